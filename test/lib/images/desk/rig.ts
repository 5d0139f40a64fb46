/** A disk with every kind of partition that a desk meets, and desks to mount it in. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runner } from '../../../../lib/engine/process.ts'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { attachDesk } from '../../../../lib/images/desk/attach.ts'
import type { Attachment } from '../../../../lib/images/desk/attachment.ts'
import { detachDesk } from '../../../../lib/images/desk/detach.ts'
import { withDeskLock } from '../../../../lib/images/desk/lock.ts'
import { deskState } from '../../../../lib/images/desk/state.ts'
import { readPartitionTable } from '../../../../lib/images/partitions.ts'
import { MiB, TestDisk, tool, toolEnvironment } from '../../../helpers/disks.ts'

export const driver = fileURLToPath(new URL('driver.ts', import.meta.url))
export const nobody = 65534
export const asNobody = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups']

/** part_1 FAT, part_2 ext4, part_3 extended with part_5 ext2 and part_6 swap, part_4 nothing that is known. */
export function makeDisk(): TestDisk {
  const script = ['label: dos', 'label-id: 0x5eed0004', '']
  const lines = [
    '2048,8192,c',
    '10240,16384,83',
    '26624,12288,5',
    '38912,1024,da',
    '28672,4096,83',
    '34816,256,82',
  ]
  const disk = new TestDisk(20 * MiB, [...script, ...lines].join('\n'))
  const tree = mkdtempSync(join(tmpdir(), 'fleetsie-tree-'))
  try {
    mkdirSync(join(tree, 'etc/deep'), { recursive: true })
    writeFileSync(join(tree, 'etc/hostname'), 'stock\n')
    writeFileSync(join(tree, 'etc/shadow'), 'root:*:\n', { mode: 0o600 })
    writeFileSync(join(tree, 'etc/deep/file'), 'deep\n')
    const ext = (type: string, label: string, sector: number, sectors: number, root: string): void => {
      const options = [
        '-q',
        '-F',
        '-t',
        type,
        '-L',
        label,
        '-d',
        root,
        '-E',
        `offset=${sector * 512},root_owner=0:0`,
      ]
      tool('mke2fs', [...options, disk.path, `${sectors / 2}k`])
    }
    ext('ext4', 'rootfs', 10240, 16384, tree)
    ext('ext2', 'data', 28672, 4096, tree)
    tool('mkfs.fat', ['--offset=2048', '-F', '16', '-s', '1', '-n', 'BOOTFS', disk.path, '4096'])
    const long = 'a long name, with ümläut.txt'
    writeFileSync(join(tree, long), 'long\n')
    for (const name of ['etc', long])
      tool('mcopy', ['-i', `${disk.path}@@${MiB}`, '-s', join(tree, name), '::'])
    const swap = join(tree, 'swap')
    writeFileSync(swap, Buffer.alloc(256 * 512))
    tool('mkswap', ['-q', swap])
    disk.edit((bytes) => void readFileSync(swap).copy(bytes, 34816 * 512))
  } finally {
    rmSync(tree, { recursive: true })
  }
  return disk
}

/** For assert.rejects. */
export const failure = (code: string, pattern: RegExp) => (error: FleetsieError) => {
  assert.equal(error.code, code, error.message)
  assert.match(error.message, pattern)
  return true
}

export const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

/** Answers of the driver. */
export interface Answer {
  result?: unknown
  error?: { code: string; message: string; hint?: string }
  notes: string[]
}

/** A desk in a folder of its own, called `name`. */
export class TestDesk {
  readonly top = mkdtempSync(join(tmpdir(), 'fleetsie-desk-'))
  folder: string
  readonly notes: string[] = []
  readonly #name: string

  constructor(disk: TestDisk, name = 'desk', owner = 0) {
    this.folder = join(this.top, name)
    this.#name = 'os.img'
    mkdirSync(this.folder)
    cpSync(disk.path, this.disk)
    chmodSync(this.top, 0o755)
    for (const path of [this.folder, this.disk]) chownSync(path, owner, owner)
  }

  get disk(): string {
    return join(this.folder, this.#name)
  }

  path(...names: string[]): string {
    return join(this.folder, ...names)
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8')
  }

  attach(signal = new AbortController().signal): Promise<Attachment> {
    const { folder, disk } = this
    const hear = (line: string): void => void this.notes.push(line)
    return withDeskLock(folder, async () => {
      const table = await readPartitionTable(disk)
      const run = runner({ home: folder, signal })
      return attachDesk({ folder, disk, table, run, note: hear, warn: hear, signal })
    })
  }

  detach(): Promise<void> {
    const { folder } = this
    return withDeskLock(folder, () => detachDesk({ folder, run: runner({ home: folder }) }))
  }

  /** One call in a process of its own. */
  async drive(verb: string, by: readonly string[] = [], env: Record<string, string> = {}): Promise<Answer> {
    const child = this.start(verb, by, env)
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    await new Promise((resolve) => child.once('close', resolve))
    if (out === '') throw new Error(err)
    return JSON.parse(out)
  }

  start(verb: string, by: readonly string[] = [], env: Record<string, string> = {}) {
    const [command, ...args] = [
      ...by,
      process.execPath,
      '--import',
      import.meta.resolve('tsx'),
      driver,
      verb,
      this.folder,
      this.disk,
    ]
    return spawn(command!, args, { env: { ...toolEnvironment, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
  }

  /** Lines of mountinfo about this desk, wherever it was moved below its folder. */
  mounts(): string[] {
    return readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(this.top))
  }

  loops(): string[] {
    return tool('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])
      .split('\n')
      .filter((line) => line.includes(this.top))
  }

  /**
   * `loops` when there are none any more, or those that stay. A test that gave itself mounts of its own while this was
   * mounted has copies of them, and keeps the devices for as long as it runs.
   */
  async stuckLoops(): Promise<string[]> {
    for (let tries = 0; tries < 600 && this.loops().length > 0; tries++) await sleep(50)
    return this.loops()
  }

  /** Nothing of it is left but the image, the upper folders and an empty folder of ours. */
  async assertUnmounted(): Promise<void> {
    assert.deepEqual(this.mounts(), [])
    assert.deepEqual(await this.stuckLoops(), [])
    assert.equal((await deskState(this.folder)).is, 'unmounted')
    const left = readdirSync(this.folder).filter((name) => !/^\.new_\d$/.test(name))
    assert.deepEqual(left, ['.desk', 'os.img'])
    assert.deepEqual(readdirSync(this.path('.desk')), [])
  }

  /** Whatever the test left: only mounts below its own folder, the last made first. */
  remove(): void {
    for (const line of this.mounts().reverse()) {
      const target = line
        .split(' ')[4]!
        .replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
      tool('umount', ['-c', '-i', target])
    }
    rmSync(this.top, { recursive: true, force: true })
  }
}

/** For a suite: one disk for all its tests, and desks of `owner` that it is put on; `withDesk` removes its own. */
export function desks(owner?: number) {
  let disk: TestDisk
  before(() => {
    disk = makeDisk()
  })
  after(() => disk.remove())
  return {
    another: (): TestDesk => new TestDesk(disk),
    withDesk: async (work: (desk: TestDesk) => Promise<void>, name?: string): Promise<void> => {
      const desk = new TestDesk(disk, name, owner)
      try {
        await work(desk)
      } finally {
        desk.remove()
      }
    },
  }
}
