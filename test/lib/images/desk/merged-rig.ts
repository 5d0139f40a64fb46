/** A desk in a temporary folder with a small ext4 image, mounted by the kernel, and what a build makes of its overlays/. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { applyLayers } from '../../../../lib/images/apply.ts'
import { layOut } from '../../../../lib/images/desk/lay-out.ts'
import { withStock } from '../../../../lib/images/desk/stock.ts'
import { takeIn } from '../../../../lib/images/desk/take-in.ts'
import type { Desk, DeskPart } from '../../../../lib/images/desk/types.ts'
import type { Volume } from '../../../../lib/images/volume.ts'
import { git } from '../../../helpers/overlays.ts'
import { outputOf } from './build.ts'

/** What the image is made from. */
export const stock = `
mkdir -p etc/conf.d usr/lib usr/bin home/pi var/log d/sub/deep tmp opt
echo host > etc/hostname; echo one > etc/conf.d/one; echo two > etc/conf.d/two
head -c 100000 /dev/zero > usr/lib/zeros; echo '#!/bin/sh' > usr/bin/tool; chmod 755 usr/bin/tool
chmod 4755 usr/bin/tool; chown 1000:1000 home/pi; chmod 0750 home/pi; chmod 1777 tmp
ln -s usr/lib lib; ln -s ../etc/hostname var/link; mkfifo var/fifo; mknod var/null c 1 3
echo x > d/sub/deep/x; echo y > d/sub/y; setfattr -n user.note -v hello d/sub/y; setfattr -n user.n -v f d/sub
echo secret > etc/shadow; chmod 0640 etc/shadow; chown 0:42 etc/shadow
ln d/sub/y d/sub/y2; echo 'a b' > 'opt/a b'; echo log > var/log/syslog
`

/** What a test compares: by path, one line that says all that counts. */
export type Tree = Map<string, string>

export class DeskRig {
  readonly folder: string
  readonly desk: Desk
  readonly warnings: string[] = []
  readonly notes: string[] = []
  part!: DeskPart
  mounted = false

  constructor(folder: string) {
    this.folder = folder
    this.desk = {
      folder,
      disk: join(folder, 'os.img'),
      run: runner({ home: folder, env: { MKE2FS_CONFIG: '/dev/null' } }),
      caller: undefined,
      note: (line) => this.notes.push(line),
      warn: (line) => this.warnings.push(line),
    }
  }

  /** `fill` is a shell script that runs in a folder from which the image is made. */
  static async open(t: TestContext, fill: string): Promise<DeskRig> {
    const folder = await mkdtemp(join(tmpdir(), 'fleetsie-desk-'))
    const rig = new DeskRig(folder)
    t.after(() => rig.close())
    const stock = join(folder, 'stock')
    await mkdir(stock)
    execFileSync('bash', ['-ec', fill], { cwd: stock, stdio: 'pipe' })
    const offset = 1 << 20
    const size = 24 << 20
    const { run, disk } = rig.desk
    await run('truncate', ['-s', `${offset + size}`, disk])
    const features =
      'has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,metadata_csum,sparse_super,large_file'
    await run('mke2fs', [
      '-q',
      '-F',
      '-t',
      'ext4',
      '-O',
      `none,${features}`,
      '-b',
      '4096',
      '-N',
      '4096',
      '-d',
      stock,
      '-E',
      `offset=${offset}`,
      disk,
      `${size >> 10}k`,
    ])
    await rm(stock, { recursive: true })
    const partition = {
      number: 2,
      offset,
      size,
      type: '83',
      bootable: false,
      partuuid: '',
      filesystem: 'ext4',
      label: null,
      uuid: null,
    }
    rig.part = { partition, form: { whiteouts: 'device', owners: true } }
    await mkdir(join(folder, 'overlays'))
    await writeFile(join(folder, '.gitignore'), '/*\n!/overlays\n')
    git(folder, 'init', '-q')
    for (const name of ['original', 'work', 'part_2']) await mkdir(join(folder, name))
    return rig
  }

  at(...names: string[]): string {
    return join(this.folder, ...names)
  }

  async mount(): Promise<void> {
    await layOut(this.desk, this.part)
    await this.attach()
  }

  async attach(): Promise<void> {
    const { run, disk } = this.desk
    const { offset, size } = this.part.partition
    const options = `ro,noload,loop,offset=${offset},sizelimit=${size}`
    await run('mount', ['-t', 'ext4', '-o', options, disk, this.at('original')])
    const layers =
      'lowerdir=original,upperdir=.new_2,workdir=work,redirect_dir=off,metacopy=off,index=off,xino=auto'
    await run('mount', ['-t', 'overlay', '-o', layers, 'desk', this.at('part_2')], { cwd: this.folder })
    this.mounted = true
  }

  async detach(): Promise<void> {
    this.mounted = false
    await this.desk.run('umount', [this.at('part_2')])
    await this.desk.run('umount', [this.at('original')])
  }

  async unmount(): Promise<void> {
    await this.detach()
    await takeIn(this.desk, this.part)
  }

  /** Runs a shell script in the merged tree. */
  sh(script: string): string {
    return execFileSync('bash', ['-ec', script], { cwd: this.at('part_2'), stdio: 'pipe', encoding: 'utf8' })
  }

  commit(): void {
    git(this.folder, 'add', 'overlays')
    git(this.folder, 'commit', '-qm', 'desk', '--allow-empty')
  }

  async close(): Promise<void> {
    if (this.mounted) await this.detach()
    await rm(this.folder, { recursive: true, force: true })
  }

  /** The merged tree, as a program that walks it sees it. */
  async merged(): Promise<Tree> {
    const tree: Tree = new Map()
    const top = this.at('part_2')
    const xattrs = this.xattrsBelow(top)
    const visit = async (path: string): Promise<void> => {
      const at = join(top, path)
      const stats = await lstat(at)
      const rdev = BigInt(stats.rdev)
      const what = stats.isFile()
        ? digest(await readFile(at))
        : stats.isSymbolicLink()
          ? await readlink(at)
          : stats.isCharacterDevice() || stats.isBlockDevice()
            ? `${(rdev >> 8n) & 0xfffn},${(rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)}`
            : ''
      const type = stats.isFile()
        ? 'file'
        : stats.isDirectory()
          ? 'directory'
          : stats.isSymbolicLink()
            ? 'symlink'
            : stats.isFIFO()
              ? 'fifo'
              : stats.isBlockDevice()
                ? 'block'
                : 'character'
      const mode = type === 'symlink' ? '' : (stats.mode & 0o7777).toString(8)
      if (path !== '')
        tree.set(path, [type, mode, stats.uid, stats.gid, what, xattrs.get(path) ?? ''].join(' '))
      if (!stats.isDirectory() || path === 'lost+found') return
      for (const name of await readdir(at)) await visit(path === '' ? name : `${path}/${name}`)
    }
    await visit('')
    tree.delete('lost+found')
    return tree
  }

  private xattrsBelow(top: string): Map<string, string> {
    const dump = execFileSync('getfattr', ['-R', '-h', '-P', '-d', '-m', '-', '-e', 'base64', '.'], {
      cwd: top,
      encoding: 'latin1',
      stdio: 'pipe',
    })
    const found = new Map<string, string>()
    for (const block of dump.split('\n\n')) {
      const [name, ...values] = block.split('\n')
      if (!name?.startsWith('# file: ')) continue
      found.set(
        unescaped(name.slice(8)),
        values
          .filter(Boolean)
          .map((value) => unescaped(value.replace('=0s', '=')))
          .sort()
          .join(' '),
      )
    }
    return found
  }

  /** What the image has once a build's layer of overlays/ is applied. */
  async built(folder = this.folder): Promise<Tree> {
    const { layer, remove } = await outputOf(folder, 2)
    const disk = this.at('built.img')
    try {
      await copyFile(this.desk.disk, disk)
      const { run } = this.desk
      if (layer)
        await applyLayers({
          run,
          disk,
          partition: this.part.partition,
          layers: [layer],
          epoch: 1_700_000_000,
          tmp: this.folder,
        })
      return await withStock({ disk }, this.part, async (stock) => {
        const tree: Tree = new Map()
        const visit = (id: number, folder: string): void => {
          for (const { name, id: child } of stock.children(id)) {
            const path = folder === '' ? name : `${folder}/${name}`
            const { type } = stock.node(child)
            const { mode, uid, gid, xattrs } = stock.attributes(child)
            const device = stock.device(child)
            const what =
              type === 'file'
                ? digest(contentOf(stock.volume, child))
                : type === 'symlink'
                  ? stock.target(child)
                  : type === 'character' || type === 'block'
                    ? `${device!.major},${device!.minor}`
                    : ''
            const named = [...xattrs]
              .map(([key, value]) => `${key}=${value.toString('base64')}`)
              .sort()
              .join(' ')
            tree.set(
              path,
              [type, type === 'symlink' ? '' : mode.toString(8), uid, gid, what, named].join(' '),
            )
            if (type === 'directory') visit(child, path)
          }
        }
        visit(stock.rootId, '')
        tree.delete('lost+found')
        return tree
      })
    } finally {
      await rm(disk, { force: true })
      await remove()
    }
  }
}

/** getfattr(1) writes odd bytes in octal. */
function unescaped(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(bytes, 'latin1').toString()
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16)

function contentOf(volume: Volume, id: number): Buffer {
  const whole = Buffer.alloc(volume.node(id).size)
  for (const { at, bytes } of volume.pieces(id)) bytes.copy(whole, at)
  return whole
}

/** Both trees are the same, or the lines that differ are the message. */
export function sameTrees(actual: Tree, expected: Tree, hint = ''): void {
  const lines: string[] = []
  for (const path of new Set([...actual.keys(), ...expected.keys()])) {
    if (actual.get(path) !== expected.get(path)) {
      lines.push(`${JSON.stringify(path)}\n  is     ${actual.get(path)}\n  wanted ${expected.get(path)}`)
    }
  }
  assert.equal(lines.join('\n'), '', hint)
}
