import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { applyLayers } from '../../../../lib/images/apply.ts'
import { Bench, epoch, ext4Features, file, folder, hardlink, link, other } from './layers.ts'

/** Mounts the partition, or says why not. */
async function mount(bench: Bench, mode: 'ro' | 'rw'): Promise<string> {
  const at = join(bench.dir, 'mnt')
  await mkdir(at, { recursive: true })
  await bench.run('mount', [
    '-t',
    'ext4',
    '-o',
    `loop,${mode},offset=${bench.partition.offset},sizelimit=${bench.partition.size}`,
    bench.disk,
    at,
  ])
  return at
}

async function whyNot(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'needs root: mounts a loop device'
  const known = await readFile('/proc/filesystems', 'utf8').catch(() => '')
  return /\bext4\b/.test(known) ? false : 'this kernel has no ext4'
}
const skip = await whyNot()

for (const [flavour, args] of [
  ['ext4', ['-O', ext4Features]],
  ['ext4 with inline data', ['-O', `${ext4Features},inline_data`]],
  ['ext3', ['-O', 'none,has_journal,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file']],
] as const) {
  test(`the kernel finds in ${flavour} what was applied, by every name, and goes on from there`, {
    skip,
  }, async (t) => {
    const bench = await (await Bench.open(t)).ext([...args])
    const many = Array.from({ length: 1200 }, (_, i) => `a name of some length, number ${i}`)
    await bench.put(folder('d'), ...many.map((name) => file(`d/${name}`, name)))
    await bench.run('e2fsck', ['-fyD', await bench.device()], { cwd: bench.dir, okCodes: [0, 1] })
    const more = Array.from({ length: 1200 }, (_, i) => `ümläut "${i}"`)
    const said = { seconds: 1_500_000_000, nanoseconds: 123_456_789 }
    await bench.put(
      ...more.map((name) => file(`d/${name}`, name)),
      file('d/new\nline', 'x'),
      file('f', 'y', { mode: 0o4711, uid: 70_000, gid: 80_000, mtime: said }),
      hardlink('twin', 'f'),
      link('l', 'f'),
      link('long', 'x'.repeat(300)),
      other({ path: 'null', type: 'character', major: 1, minor: 3, mode: 0o666 }),
      other({ path: 'big', type: 'block', major: 259, minor: 70_000 }),
    )
    const at = await mount(bench, 'rw')
    try {
      const names = [...many, ...more, 'new\nline']
      assert.deepEqual((await readdir(join(at, 'd'))).sort(), [...names].sort())
      // By name, so that the kernel asks its index.
      for (const name of names.slice(0, -1)) assert.equal(await readFile(join(at, 'd', name), 'utf8'), name)
      const found = await stat(join(at, 'f'), { bigint: true })
      assert.deepEqual(
        [found.mode & 0o7777n, found.uid, found.gid, found.nlink],
        [0o4711n, 70_000n, 80_000n, 2n],
      )
      assert.equal(
        found.mtimeNs,
        flavour === 'ext3'
          ? 1_500_000_000_000_000_000n + (found.mtimeNs % 1_000_000_000n)
          : 1_500_000_000_123_456_789n,
      )
      assert.equal(await readlink(join(at, 'long')), 'x'.repeat(300))
      assert.equal(await readFile(join(at, 'l'), 'utf8'), 'y')
      assert.equal((await stat(join(at, 'null'))).rdev, 0x103)
      assert.equal(
        (await stat(join(at, 'big'), { bigint: true })).rdev,
        (259n << 8n) | (70_000n & 0xffn) | ((70_000n & ~0xffn) << 12n),
      )
      for (let i = 0; i < 300; i++) await writeFile(join(at, 'd', `by the kernel ${i}`), `${i}`)
    } finally {
      await bench.run('umount', [at])
    }
    await bench.run('e2fsck', ['-fn', await bench.device()], { cwd: bench.dir })
  })
}

test('a thousand files take two runs of debugfs and one e2fsck', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const layer = await bench.layer(
    folder('d'),
    ...Array.from({ length: 1000 }, (_, i) => file(`d/${i}`, `${i}`, { uid: i, mode: 0o600 })),
  )
  const commands: string[] = []
  const run: typeof bench.run = (command, ...rest) => {
    commands.push(command)
    return bench.run(command, ...rest)
  }
  await applyLayers({
    run,
    disk: bench.disk,
    partition: bench.partition,
    layers: [layer],
    epoch,
    tmp: bench.dir,
    checked: true,
  })
  assert.deepEqual(commands, ['debugfs', 'debugfs', 'e2fsck'])
})
