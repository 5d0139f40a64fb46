/** decompress: every kind of .xz, made and judged by real tools, and free space. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { chunkSize } from '../../lib/images/image.ts'
import { maxImageSize } from '../../lib/images/limits.ts'
import { buildContext, fakeInput } from '../helpers/context.ts'
import { missing } from '../helpers/disks.ts'
import { block, fetched, folder, halves, image, padding, realise, run, xz } from './decompress-rig.ts'

const xzFiles: { name: string; file: () => Buffer; check?: number; streams?: number; blocks: number }[] = [
  { name: 'one block', file: () => xz(['-T1']), check: 4, blocks: 1 },
  { name: 'blocks without sizes in their headers', file: () => xz(['-T1', block]), check: 4, blocks: 7 },
  { name: 'blocks with sizes', file: () => xz(['-T4', block]), check: 4, blocks: 7 },
  { name: 'many blocks of zeros', file: () => xz(['-T2', '--block-size=1MiB']), check: 4, blocks: 6 },
  { name: 'no check', file: () => xz(['-T2', '--check=none', block]), check: 0, blocks: 7 },
  { name: 'CRC32', file: () => xz(['-T2', '--check=crc32', block]), check: 1, blocks: 7 },
  { name: 'SHA-256', file: () => xz(['-T2', '--check=sha256', block]), check: 10, blocks: 7 },
  { name: 'a BCJ filter', file: () => xz(['-T2', '--x86', '--lzma2=preset=1', block]), check: 4, blocks: 7 },
  {
    name: 'a delta filter',
    file: () => xz(['-T1', '--delta=dist=8', '--lzma2=preset=1', block]),
    check: 4,
    blocks: 7,
  },
  {
    name: 'two streams with padding, and an empty one between',
    file: () =>
      Buffer.concat([
        xz(['-T1'], halves[0]),
        padding,
        xz([], Buffer.alloc(0)),
        xz(['-T1', block], halves[1]),
        padding,
      ]),
    check: 4,
    streams: 3,
    blocks: 6,
  },
  {
    name: 'streams of several checks, whose blocks cannot be taken over',
    file: () => Buffer.concat([xz(['--check=none'], halves[0]), xz(['--check=sha256', block], halves[1])]),
    blocks: 0,
  },
]
for (const { name, file, check, streams = 1, blocks } of xzFiles) {
  test(`an .xz with ${name} becomes the image`, async () => {
    const content = file()
    const { disk, manifest, progress } = await run('a b.img.xz', content)
    assert.ok(disk.equals(image))
    assert.equal(progress === undefined || progress <= image.length, true)
    assert.equal(manifest.xz?.check, check)
    assert.equal(manifest.xz?.blocks.length ?? 0, blocks)
    if (check !== undefined) assert.equal(manifest.xz?.streams, streams)
  })
}

const judges: { name: string; command: string; args: (path: string) => string[] }[] = [
  {
    name: 'python',
    command: 'python3',
    args: (path) => ['-c', 'import lzma,sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())', path],
  },
  { name: '7z', command: '7z', args: (path) => ['e', '-so', path] },
  { name: 'bsdcat', command: 'bsdcat', args: (path) => [path] },
]
for (const { name, command, args } of judges) {
  test(`${name} decodes the same bytes`, { skip: missing(command) }, async () => {
    const content = xz(['-T2', '--check=crc32', '--x86', '--lzma2=preset=1', block])
    const path = join(folder, 'judged.xz')
    await writeFile(path, content)
    assert.ok(
      execFileSync(command, args(path), { maxBuffer: 1 << 28 }).equals((await run('i.xz', content)).disk),
    )
  })
}

test('chunks of zeros take no room', async () => {
  const { disk, blocks } = await run('i.xz', xz(['-T2', block]))
  assert.equal(disk.length, image.length)
  assert.ok(blocks * 512 < 4.2 * chunkSize)
})

test('free space at the end, much of it in the middle, and nothing but free space, is an image as well', async () => {
  const half = Buffer.concat([image.subarray(0, 1_000_000), Buffer.alloc(8 * chunkSize - 1_000_000 + 512)])
  assert.ok((await run('i.xz', xz(['-T1', '--block-size=1500000'], half))).disk.equals(half))
  const gap = Buffer.concat([half, Buffer.alloc(80 * chunkSize), image])
  const sparse = await run('i.xz', xz(['-T1', '--block-size=1500000', '--check=crc32'], gap))
  assert.ok(sparse.disk.equals(gap))
  assert.ok(sparse.blocks * 512 < 8 * chunkSize)
  const zeros = Buffer.alloc(4 * chunkSize)
  const { disk, manifest } = await run('i.xz', xz(['-T1', '--block-size=1MiB'], zeros))
  assert.ok(disk.equals(zeros))
  assert.deepEqual(manifest.chunks, [null, null, null, null])
})
test('an abort ends the decoders and says so', async () => {
  const abort = new AbortController()
  const options = { from: fakeInput(await fetched('i.xz', xz(['-T1']))), maxSize: maxImageSize }
  const context = await buildContext(options, { signal: abort.signal, progress: () => abort.abort() })
  await assert.rejects(realise(context), { code: 'E_INTERRUPTED' })
  await context.remove()
})

test('what is no result of fetch is refused', async () => {
  const context = await buildContext({ from: fakeInput(folder), maxSize: maxImageSize })
  await assert.rejects(realise(context), { code: 'E_INPUT' })
  await context.remove()
})
