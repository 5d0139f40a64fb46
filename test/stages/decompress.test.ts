/** decompress: every container, made and judged by real tools, and every kind of damage. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { BuildStage } from '../../lib/engine/stage.ts'
import { FleetsieError } from '../../lib/errors.ts'
import { chunkSize, chunksDigest, type ImageManifest, readManifest } from '../../lib/images/image.ts'
import { maxImageSize } from '../../lib/images/limits.ts'
import { decompress } from '../../stages/decompress.ts'
import { claimed, withIndex } from '../helpers/claimed-xz.ts'
import { buildContext, fakeInput } from '../helpers/context.ts'

const folder = await mkdtemp(join(tmpdir(), 'fleetsie-decompress-'))
after(() => rm(folder, { recursive: true }))
let count = 0

interface Outcome {
  disk: Buffer
  /** Of 512 bytes, as the filesystem counts what the file takes. */
  blocks: number
  manifest: ImageManifest
  declared: unknown
  progress: number | undefined
}

/** A folder as `fetch` makes it. */
async function fetched(name: string, content: Buffer): Promise<string> {
  const path = join(folder, `${count++}`)
  await mkdir(path)
  await writeFile(join(path, name), content)
  const sha256 = createHash('sha256').update(content).digest('hex')
  await writeFile(join(path, 'file.json'), JSON.stringify({ name, sha256, size: content.length }))
  return path
}

async function realise(context: object): Promise<void> {
  await (decompress.stage as BuildStage).run(context as never)
}

/** Runs the stage on a file of that name and content. */
async function run(name: string, content: Buffer, maxSize = maxImageSize): Promise<Outcome> {
  const path = await fetched(name, content)
  const context = await buildContext({ from: fakeInput(path), maxSize })
  try {
    await realise(context)
    assert.deepEqual((await readdir(context.out)).sort(), ['disk.img', 'image.json'])
    return {
      disk: await readFile(join(context.out, 'disk.img')),
      blocks: (await stat(join(context.out, 'disk.img'))).blocks,
      manifest: await readManifest(context.out),
      declared: context.record.declared.get('disk.img'),
      progress: context.record.progress.at(-1)?.done,
    }
  } finally {
    await context.remove()
    await rm(path, { recursive: true })
  }
}

function tool(command: string, args: readonly string[], input: Buffer = image): Buffer {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, maxBuffer: 1 << 28 })
  if (error) throw error
  assert.equal(status, 0, `${command}: ${stderr}`)
  return stdout
}

const xz = (args: readonly string[], input = image): Buffer => tool('xz', ['-c', '-3', ...args], input)

/** Text, noise and long zeros, so that blocks of all kinds are there. */
const image = Buffer.alloc(5 * chunkSize + 1024)
image.write('boot', 0)
for (let at = 300_000; at < 500_000; at += 32) createHash('sha256').update(`${at}`).digest().copy(image, at)
image.fill('text of a file ', 4 * chunkSize - 9999, 4 * chunkSize + 9999)
image.write('the end', image.length - 7)

const block = '--block-size=777216'
const halves = [image.subarray(0, 2_000_000), image.subarray(2_000_000)] as const
const padding = Buffer.alloc(4096)
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

const python = (script: string, input = image): Buffer =>
  tool(
    'python3',
    ['-c', `import sys,io\ndata=sys.stdin.buffer.read()\nout=sys.stdout.buffer\n${script}`],
    input,
  )
const zip = (method: string, names: readonly string[]): Buffer =>
  python(
    `import zipfile\nb=io.BytesIO()\nz=zipfile.ZipFile(b,'w',zipfile.${method})\n${names
      .map((name) => `z.writestr(${JSON.stringify(name)},data)`)
      .join('\n')}\nz.close()\nout.write(b.getvalue())`,
  )

const others: { name: string; kind: string; file: () => Buffer }[] = [
  { name: 'os.img.gz', kind: 'gz', file: () => tool('gzip', ['-c']) },
  {
    name: 'two-members.img.gz',
    kind: 'gz',
    file: () => Buffer.concat(halves.map((half) => tool('gzip', ['-c'], half))),
  },
  { name: 'padded.img.gz', kind: 'gz', file: () => Buffer.concat([tool('gzip', ['-c']), padding]) },
  { name: 'os.img.zst', kind: 'zst', file: () => tool('zstd', ['-q', '-c']) },
  {
    name: 'two-frames.img.zst',
    kind: 'zst',
    file: () => Buffer.concat(halves.map((half) => tool('zstd', ['-q', '-c'], half))),
  },
  {
    name: 'deflated.zip',
    kind: 'zip',
    file: () => zip('ZIP_DEFLATED', ['folder/readme.txt', 'folder/os.IMG']),
  },
  { name: 'stored.zip', kind: 'zip', file: () => zip('ZIP_STORED', ['os.img']) },
  { name: 'os.img', kind: 'raw', file: () => image },
  { name: 'named-by-mistake.zip', kind: 'xz', file: () => xz([]) },
  { name: 'a.img', kind: 'gz', file: () => tool('gzip', ['-c']) },
]
for (const { name, kind, file } of others) {
  test(`${name} is a ${kind} file and becomes the image`, async () => {
    const content = file()
    const { disk, manifest, declared } = await run(name, content)
    assert.ok(disk.equals(image))
    const sha256 = createHash('sha256').update(content).digest('hex')
    assert.deepEqual(manifest.container, { kind, sha256 })
    assert.equal(manifest.size, image.length)
    assert.deepEqual(declared, { chunks: chunksDigest(manifest.chunks) })
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

interface Bad {
  name: string
  file: string
  content: () => Buffer
  code?: string
  says: RegExp
  maxSize?: number
}
const bad: Bad[] = [
  { name: 'no xz file', file: 'i.img.xz', content: () => image, says: /no \.xz file.*byte 0/ },
  { name: 'an empty file named .xz', file: 'i.xz', content: () => Buffer.alloc(0), says: /no \.xz file/ },
  { name: 'no gz file', file: 'i.gz', content: () => image, says: /no \.gz file/ },
  { name: 'no zst file', file: 'i.zst', content: () => image, says: /no \.zst file/ },
  { name: 'no zip file', file: 'i.zip', content: () => image, says: /no \.zip file/ },
  { name: 'an empty raw file', file: 'i.img', content: () => Buffer.alloc(0), says: /nothing/ },
  {
    name: 'a raw file of half a sector more',
    file: 'i.img',
    content: () => image.subarray(0, 1300),
    says: /1300 bytes/,
  },
  { name: 'an .xz of nothing', file: 'i.xz', content: () => xz([], Buffer.alloc(0)), says: /nothing/ },
  {
    name: 'an .xz of half a sector more',
    file: 'i.xz',
    content: () => xz([], image.subarray(0, 700)),
    says: /700 bytes/,
  },
  {
    name: 'an .xz with text after it',
    file: 'i.xz',
    content: () => Buffer.concat([xz([]), Buffer.from('text')]),
    says: /no stream ends here.*byte \d+/,
  },
  {
    name: 'a gz with text after it',
    file: 'i.gz',
    content: () => Buffer.concat([tool('gzip', ['-c']), Buffer.from('text')]),
    says: /byte \d+/,
  },
  {
    name: 'a gz with text after its padding',
    file: 'i.gz',
    content: () => Buffer.concat([tool('gzip', ['-c']), padding, Buffer.from('text')]),
    says: /something follows \(byte \d+\)/,
  },
  {
    name: 'a zst with text after it',
    file: 'i.zst',
    content: () => Buffer.concat([tool('zstd', ['-q', '-c']), Buffer.from('text')]),
    says: /format|header/,
  },
  {
    name: 'a zip with text after it',
    file: 'i.zip',
    content: () => Buffer.concat([zip('ZIP_STORED', ['i.img']), Buffer.from('text')]),
    says: /directory of the zip/,
  },
  {
    name: 'a zip with wrong data',
    file: 'i.zip',
    content: () => flip(zip('ZIP_STORED', ['i.img']), 8 * 5000),
    says: /CRC32.*i\.img.*byte 0/,
  },
  {
    name: 'a zip with two images',
    file: 'i.zip',
    content: () => zip('ZIP_STORED', ['a.img', 'b.img']),
    code: 'E_INPUT',
    says: /2 files/,
  },
  {
    name: 'a zip without one',
    file: 'i.zip',
    content: () => zip('ZIP_STORED', ['a.txt']),
    code: 'E_INPUT',
    says: /0 files/,
  },
  {
    name: 'a zip packed by bzip2',
    file: 'i.zip',
    content: () => zip('ZIP_BZIP2', ['a.img']),
    code: 'E_UNSUPPORTED',
    says: /method 12/,
  },
  {
    name: 'a bzip2 file',
    file: 'i.img.bz2',
    content: () => python('import bz2\nout.write(bz2.compress(data))'),
    code: 'E_UNSUPPORTED',
    says: /bzip2/,
  },
  {
    name: 'an .xz larger than allowed',
    file: 'i.xz',
    content: () => xz([]),
    maxSize: chunkSize,
    code: 'E_UNSAFE',
    says: /larger than 1 MiB: 6 MiB/,
  },
  {
    name: 'a gz larger than allowed',
    file: 'i.gz',
    content: () => tool('gzip', ['-c']),
    maxSize: chunkSize,
    code: 'E_UNSAFE',
    says: /larger than 1 MiB/,
  },
  {
    name: 'a zst larger than allowed',
    file: 'i.zst',
    content: () => tool('zstd', ['-q', '-c']),
    maxSize: chunkSize,
    code: 'E_UNSAFE',
    says: /larger than 1 MiB/,
  },
  {
    name: 'a zip larger than allowed',
    file: 'i.zip',
    content: () => zip('ZIP_DEFLATED', ['i.img']),
    maxSize: chunkSize,
    code: 'E_UNSAFE',
    says: /larger than 1 MiB/,
  },
  {
    name: 'an .xz with a dictionary of 768 MiB',
    file: 'i.xz',
    content: () => xz(['--lzma2=preset=0,dict=768MiB', '-T1'], image.subarray(0, 512)),
    code: 'E_UNSUPPORTED',
    says: /more than 256MiB.*block 1, bytes 12 to/,
  },
]
for (const { name, file, content, code = 'E_DAMAGED', says, maxSize } of bad) {
  test(`${name} is refused`, async () => {
    await assert.rejects(run(file, content(), maxSize), (error: unknown) => {
      assert.ok(error instanceof FleetsieError, String(error))
      assert.equal(error.code, code, error.message)
      assert.match(error.message, says)
      assert.equal(error.file, file)
      return true
    })
  })
}

const room = await statfs(tmpdir())
const tooMuch = room.bavail * room.bsize + 1024 ** 3
const vast = tooMuch > maxImageSize && 'more is free here than an image can have'

test('an .xz that claims more than is free is refused before anything is decoded', {
  skip: vast,
}, async () => {
  const size = tooMuch - (tooMuch % 512)
  await assert.rejects(run('i.xz', claimed(size)), { code: 'E_IO', file: 'i.xz' })
})

test('an .xz that claims more than an image can have is refused before anything is decoded', async () => {
  await assert.rejects(run('i.xz', claimed(maxImageSize + 512)), { code: 'E_UNSUPPORTED' })
})

test('an index that gives a block too little does not let it write over the next', async () => {
  const lied = withIndex(xz(['-T1', '--block-size=2MiB']), (records) =>
    records.map((record, i) => ({ ...record, uncompressed: record.uncompressed + [-512, 512, 0][i]! })),
  )
  await assert.rejects(run('i.xz', lied), damage('i.xz', /block 1/))
})

const noise = image.subarray(299_520, 310_272)
const small = {
  T1: xz(['-T1', '--block-size=4096'], noise),
  T2: xz(['-T2', '--check=sha256', '--block-size=4096'], noise),
}
for (const [name, file] of Object.entries(small)) {
  test(`flipped bits all over the blocks of an .xz made with -${name} are found, and the block is named`, async () => {
    const expected = await run('i.xz', file)
    assert.ok(expected.disk.equals(noise))
    const { blocks } = expected.manifest.xz!
    const [, second, third] = blocks
    const header = `\\(byte (${second!.offset}|${second!.offset + 1})\\)`
    const inSecond = new RegExp(`: block 2, bytes ${second!.offset} to \\d+$|${header}$`)
    // Block header, first and last byte of the data, padding and check of the second block, and some between.
    const spots = [
      second!.offset,
      second!.offset + 9,
      second!.offset + 14,
      third!.offset - 33,
      third!.offset - 1,
    ]
    for (let at = second!.offset + 40; at < third!.offset; at += 997) spots.push(at)
    for (const at of spots) {
      const bit = at * 8 + (at % 8)
      await assert.rejects(run('i.xz', flip(file, bit)), damage('i.xz', inSecond), `bit ${bit}`)
    }
  })
}

for (const [name, content] of [
  ['i.xz', small.T1],
  ['i.gz', tool('gzip', ['-c'], noise)],
  ['i.zst', tool('zstd', ['-q', '-c'], noise)],
  ['i.zip', zip('ZIP_DEFLATED', ['i.img'])],
] as const) {
  test(`${name} cut off anywhere is damaged`, async () => {
    const lengths = [0, 1, 4, 6, 11, 12, 30, content.length - 1, content.length - 4, content.length - 13]
    for (let i = 1; i < 6; i++) lengths.push(Math.floor((content.length * i) / 6))
    for (const length of lengths) {
      await assert.rejects(run(name, content.subarray(0, length)), damage(name, /./), `${length} bytes`)
    }
  })
}

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

function damage(file: string, says: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FleetsieError, String(error))
    assert.equal(error.code, 'E_DAMAGED', error.message)
    assert.equal(error.file, file)
    assert.match(error.message, says)
    return true
  }
}

function flip(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}

function missing(command: string): string | false {
  return spawnSync(command, ['--help']).error ? `${command} is not installed` : false
}
