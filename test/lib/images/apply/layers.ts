/** Makes layers and filesystems for the tests of applyLayers. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { TestContext } from 'node:test'
import { type Run, runner } from '../../../../lib/engine/process.ts'
import type { FleetsieError } from '../../../../lib/errors.ts'
import type { LayerEntry, LayerInput } from '../../../../lib/formats/layer.ts'
import { compareEntries, writeLayer } from '../../../../lib/formats/layer.ts'
import { applyLayers } from '../../../../lib/images/apply.ts'
import type { EditablePartition } from '../../../../lib/images/partition-edit.ts'

// Debian 12's defaults, written down because another host's mke2fs.conf may say otherwise.
export const ext4Features =
  'none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,metadata_csum,sparse_super,large_file,huge_file,dir_nlink,extra_isize'
export const epoch = 1_700_000_000
const plain = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map<string, Buffer>(),
}

type More = Partial<typeof plain>

export function file(
  path: string,
  content: string | Buffer = '',
  more: More & { extents?: { offset: number; length: number }[]; size?: number } = {},
): LayerInput {
  const bytes = Buffer.from(content)
  return {
    entry: { ...plain, size: bytes.length, ...more, path, type: 'file' },
    content: Readable.from(bytes.length ? [bytes] : []),
  }
}
export const folder = (path: string, more: More = {}): LayerInput => ({
  entry: { ...plain, mode: 0o755, ...more, path, type: 'directory' },
})
export const link = (path: string, target: string, more: More = {}): LayerInput => ({
  entry: { ...plain, mode: 0o777, ...more, path, type: 'symlink', target },
})
export const hardlink = (path: string, target: string): LayerInput => ({
  entry: { ...plain, path, type: 'hardlink', target },
})
export const whiteout = (path: string): LayerInput => ({ entry: { path, type: 'whiteout' } })
export const opaque = (path: string): LayerInput => ({ entry: { path, type: 'opaque' } })
export const other = (entry: { path: string } & Record<string, unknown>): LayerInput => ({
  entry: { ...plain, ...entry } as LayerEntry,
})

/** A temporary folder with a disk image in it. */
export class Bench {
  readonly dir: string
  readonly run: Run
  readonly disk: string
  partition: EditablePartition = { number: 2, offset: 0, size: 0, filesystem: 'ext4' }
  private layers = 0

  constructor(dir: string) {
    this.dir = dir
    this.disk = join(dir, 'disk image?.img')
    this.run = runner({ home: dir, env: { MKE2FS_CONFIG: '/dev/null' } })
  }

  static async open(test: TestContext): Promise<Bench> {
    const dir = await mkdtemp(join(tmpdir(), 'fleetsie-apply-'))
    test.after(() => rm(dir, { recursive: true, force: true }))
    return new Bench(dir)
  }

  /** An ext filesystem of `size` MiB at `offset`; `tree` is a debugfs script that fills it. */
  async ext(
    args: string[] = ['-O', ext4Features],
    { size = 32, offset = 1 << 20, filesystem = 'ext4' } = {},
  ): Promise<this> {
    await writeFile(this.disk, '')
    await truncate(this.disk, offset + size * 2 ** 20)
    await this.run(
      'mkfs.ext4',
      [
        '-q',
        '-F',
        '-b',
        '4096',
        '-I',
        '256',
        '-U',
        '11111111-2222-3333-4444-555555555555',
        '-E',
        `hash_seed=11111111-2222-3333-4444-555555555555,offset=${offset},no_copy_xattrs,lazy_itable_init=0`,
        ...args,
        './disk image?.img',
        `${size * 1024}k`,
      ],
      {
        cwd: this.dir,
        env: { E2FSPROGS_FAKE_TIME: '1600000000' },
      },
    )
    this.partition = { number: 2, offset, size: size * 2 ** 20, filesystem }
    return this
  }

  /** A FAT filesystem of `size` MiB. */
  async fat(bits: number, size: number, offset = 1 << 20): Promise<this> {
    const part = join(this.dir, 'part.img')
    await writeFile(part, '')
    await truncate(part, size * 2 ** 20)
    await this.run('mkfs.vfat', ['-F', `${bits}`, '-i', '12345678', '-n', 'BOOT', '--invariant', part])
    await writeFile(this.disk, Buffer.alloc(offset))
    const out = await open(this.disk, 'a')
    await out.write(await readFile(part))
    await out.close()
    this.partition = { number: 1, offset, size: size * 2 ** 20, filesystem: 'vfat' }
    return this
  }

  async layer(...inputs: LayerInput[]): Promise<string> {
    const path = join(this.dir, `layer-${this.layers++}.tar`)
    const sorted = inputs.sort((a, b) => compareEntries(a.entry, b.entry))
    await pipeline(Readable.from(writeLayer(sorted)), createWriteStream(path))
    return path
  }

  /** Applies, and holds against the answer every byte that changed. */
  async apply(...layers: string[]): Promise<void> {
    const { run, disk, partition, dir } = this
    const before = await readFile(disk)
    const touched = await applyLayers({ run, disk, partition, layers, epoch, tmp: dir })
    const after = await readFile(disk)
    let end = 0
    for (const { offset, length } of [...touched, { offset: after.length, length: 0 }]) {
      assert.ok(offset >= end)
      assert.equal(
        before.compare(after, end, offset, end, offset),
        0,
        `a change between ${end} and ${offset} is not told`,
      )
      end = offset + length
    }
  }

  async put(...inputs: LayerInput[]): Promise<void> {
    await this.apply(await this.layer(...inputs))
  }

  /** What debugfs prints for one request. */
  async ask(request: string): Promise<string> {
    const { stdout } = await this.run('debugfs', ['-R', request, await this.device()], { cwd: this.dir })
    return stdout.toString()
  }

  /** Commands for debugfs, to make an image the way that another tool left it. */
  async tell(...commands: string[]): Promise<void> {
    await writeFile(join(this.dir, 'commands'), `${commands.join('\n')}\n`)
    await this.run('debugfs', ['-w', '-f', 'commands', await this.device()], {
      cwd: this.dir,
      env: { E2FSPROGS_FAKE_TIME: '1600000000' },
    })
  }

  /** e2fsck -fn on a copy of the partition alone: its exit code and what it said. */
  async fsck(): Promise<void> {
    await this.run('e2fsck', ['-fn', await this.device()], { cwd: this.dir })
  }

  async content(path: string): Promise<Buffer> {
    return (await this.run('debugfs', ['-R', `cat ${path}`, await this.device()], { cwd: this.dir })).stdout
  }

  async sum(): Promise<string> {
    return createHash('sha256')
      .update(await readFile(this.disk))
      .digest('hex')
  }

  async device(): Promise<string> {
    await this.run('ln', ['-sfn', this.disk, join(this.dir, 'dev')])
    return `dev?offset=${this.partition.offset}`
  }

  async patch(at: number, bytes: Buffer): Promise<void> {
    const handle = await open(this.disk, 'r+')
    await handle.write(bytes, 0, bytes.length, this.partition.offset + at)
    await handle.close()
  }
}

export function failsWith(code: string, pattern: RegExp, hint?: RegExp): (error: FleetsieError) => boolean {
  return (error) => {
    assert.equal(error.code, code, error.stack)
    assert.match(error.message, pattern)
    if (hint) assert.match(error.hint ?? '', hint)
    return true
  }
}

/** Lines of `ls -p` without '.' and '..': inode, mode, uid, gid, name, size. */

export async function listed(bench: Bench, path: string): Promise<string[][]> {
  const lines = (await bench.ask(`ls -p ${path}`)).split('\n').filter((line) => line.startsWith('/'))
  return lines
    .map((line) => line.split('/').slice(1, 7))
    .filter(([, , , , name]) => name !== '.' && name !== '..')
}

export async function stat(bench: Bench, path: string): Promise<string> {
  return bench.ask(`stat ${path}`)
}
