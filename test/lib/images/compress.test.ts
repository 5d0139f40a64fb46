/** Compressing an image by the blocks of its stock. xz, python and 7z judge the result. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Run, runner } from '../../../lib/engine/process.ts'
import { FleetsieError } from '../../../lib/errors.ts'
import { knownCheck } from '../../../lib/formats/xz/check.ts'
import type { StockIndex } from '../../../lib/formats/xz/cut.ts'
import { readFileIndex } from '../../../lib/formats/xz/file-index.ts'
import { type Compressed, type CompressOptions, compressImage } from '../../../lib/images/compress.ts'
import { memoryMemo } from '../../helpers/context.ts'

const MiB = 1024 * 1024
const folder = await mkdtemp(join(tmpdir(), 'fleetsie-compress-'))
after(() => rm(folder, { recursive: true }))

/** 8 MiB and a bit: text, noise, zeros. */
const stockImage = Buffer.alloc(8 * MiB + 1536)
stockImage.fill('stock text ', 4096, 3 * MiB)
for (let at = 5 * MiB; at < 5 * MiB + 400_000; at += 32)
  createHash('sha256').update(`${at}`).digest().copy(stockImage, at)

/** Bytes that a layer changed. */
const spots = [1.5 * MiB, 1.5 * MiB + 5, 7 * MiB]
const edited = Buffer.from(stockImage)
for (const spot of spots) edited[spot]! ^= 0xff
const touched = (offset: number, length: number): boolean =>
  spots.some((spot) => spot >= offset && spot < offset + length)

function xz(args: readonly string[], input: Buffer): Buffer {
  const { status, stdout, stderr } = spawnSync('xz', ['-c', '-1', ...args], { input, maxBuffer: 1 << 28 })
  assert.equal(status, 0, stderr.toString())
  return stdout
}

async function indexOf(file: Buffer): Promise<StockIndex> {
  const index = await readFileIndex(
    async (offset, length) => file.subarray(offset, offset + length),
    file.length,
  )
  return { check: knownCheck(index.streams[0]!.check), blocks: index.blocks }
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

let count = 0
async function compress(
  raw: Buffer,
  stock: Buffer | undefined,
  overrides: Partial<CompressOptions> = {},
): Promise<Compressed & { file: Buffer; path: string }> {
  const tmp = await mkdtemp(join(folder, 'tmp-'))
  const name = join(folder, `${count++}`)
  await writeFile(`${name}.img`, raw)
  if (stock) await writeFile(`${name}.stock.xz`, stock)
  const result = await compressImage({
    raw: `${name}.img`,
    size: raw.length,
    stock: stock && { file: `${name}.stock.xz`, sha256: sha256(stock), index: await indexOf(stock) },
    memo: memoryMemo(),
    touched,
    out: `${name}.xz`,
    run: runner({ home: tmp }),
    jobs: 2,
    tmp,
    signal: new AbortController().signal,
    progress: () => {},
    ...overrides,
  })
  const file = await readFile(`${name}.xz`)
  assert.equal(result.size, file.length)
  assert.equal(result.sha256, sha256(file))
  return { ...result, file, path: `${name}.xz` }
}

/** One line a block: `[size, whether its header has both sizes]`, and the number of streams, as xz sees them. */
function listed(path: string): { streams: number; sizes: number[]; flags: Set<string>; check: string } {
  const text = execFileSync('xz', ['--robot', '--list', '-vv', path], { encoding: 'utf8' })
  const lines = text.split('\n').map((line) => line.split('\t'))
  const blocks = lines.filter(([kind]) => kind === 'block')
  return {
    streams: Number(lines.find(([kind]) => kind === 'file')![1]),
    sizes: blocks.map((fields) => Number(fields[7])),
    flags: new Set(blocks.map((fields) => fields[12]!)),
    check: lines.find(([kind]) => kind === 'file')![6]!,
  }
}

const stocks: { name: string; file: () => Buffer; check: string; reused: number }[] = [
  {
    name: 'made by one thread',
    file: () => xz(['-T1', '--block-size=2MiB'], stockImage),
    check: 'CRC64',
    reused: 3,
  },
  {
    name: 'made by four threads',
    file: () => xz(['-T4', '--block-size=2MiB'], stockImage),
    check: 'CRC64',
    reused: 3,
  },
  {
    name: 'without a check',
    file: () => xz(['-T1', '--check=none', '--block-size=2MiB'], stockImage),
    check: 'None',
    reused: 3,
  },
  {
    name: 'with CRC32',
    file: () => xz(['-T2', '--check=crc32', '--block-size=1MiB'], stockImage),
    check: 'CRC32',
    reused: 7,
  },
  {
    name: 'with SHA-256',
    file: () => xz(['-T1', '--check=sha256', '--block-size=2MiB'], stockImage),
    check: 'SHA-256',
    reused: 3,
  },
  {
    name: 'with a BCJ and a delta filter, blocks of odd size',
    file: () =>
      xz(['-T1', '--x86', '--delta=dist=2', '--lzma2=preset=1', '--block-size=1234567'], stockImage),
    check: 'CRC64',
    reused: 5,
  },
  {
    name: 'of two streams with padding',
    file: () =>
      Buffer.concat([
        xz(['-T1', '--block-size=2MiB'], stockImage.subarray(0, 3 * MiB)),
        Buffer.alloc(8),
        xz(['-T1', '--block-size=2MiB'], stockImage.subarray(3 * MiB)),
      ]),
    check: 'CRC64',
    reused: 3,
  },
  { name: 'of one block', file: () => xz(['-T1'], stockImage), check: 'CRC64', reused: 0 },
]
for (const { name, file, check, reused } of stocks) {
  test(`an edit of a stock ${name} becomes one sound stream that keeps the untouched blocks`, async () => {
    const stock = file()
    const result = await compress(edited, stock)
    execFileSync('xz', ['-t', result.path])
    assert.ok(execFileSync('xz', ['-dc', '-T0', result.path], { maxBuffer: 1 << 28 }).equals(edited))
    const list = listed(result.path)
    assert.equal(list.streams, 1)
    assert.equal(list.check, check)
    assert.deepEqual(list.flags, new Set(['cu']), 'all headers hold both sizes, for decoders with threads')
    assert.equal(result.reused, reused)
    assert.equal(list.sizes.length, result.reused + result.encoded)
    // Taken over means the same compressed bytes.
    const { blocks } = await indexOf(stock)
    let start = 0
    for (const block of blocks) {
      if (!touched(start, block.uncompressed)) {
        const end = block.offset + block.unpadded
        assert.ok(result.file.includes(stock.subarray(Math.max(block.offset + 40, end - 2000), end)))
      }
      start += block.uncompressed
    }
  })
}

for (const [command, args] of [
  ['python3', ['-c', 'import lzma,sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())']],
  ['7z', ['e', '-so']],
  ['bsdcat', []],
] as const) {
  const skip = spawnSync(command, ['--help']).error ? `${command} is not installed` : false
  for (const filters of [[], ['--x86', '--lzma2=preset=1']]) {
    const kind = filters.length === 0 ? 'recoded' : 'encoded'
    test(`${command} decodes the result, what was clean in touched blocks ${kind}`, { skip }, async () => {
      const { path } = await compress(edited, xz(['-T1', ...filters, '--block-size=3MiB'], stockImage))
      assert.ok(execFileSync(command, [...args, path], { maxBuffer: 1 << 28 }).equals(edited))
    })
  }
}

test('the number of jobs changes no byte, nor does which encoder ends first', async () => {
  const stock = xz(['-T2', '--block-size=2MiB'], stockImage)
  const one = await compress(edited, stock, { jobs: 1 })
  const many = await compress(edited, stock, { jobs: 7 })
  assert.equal(one.sha256, many.sha256)
})

test('an image taken over whole decodes to the stock', async () => {
  const stock = xz(['-T1', '--block-size=2MiB'], stockImage)
  const result = await compress(stockImage, stock, { touched: () => false })
  assert.equal(result.encoded, 0)
  assert.ok(xz(['-d'], result.file).equals(stockImage))
  const again = await compress(stockImage, result.file, { touched: () => false })
  assert.equal(again.sha256, result.sha256)
})

test('without a stock everything is encoded, pieces of zeros once', async () => {
  const raw = Buffer.alloc(80 * MiB + 512)
  raw.write('something', 17 * MiB)
  let started = 0
  const run: Run = (...args) => {
    started++
    return runner({ home: folder })(...args)
  }
  const result = await compress(raw, undefined, { run, touched: () => false })
  assert.deepEqual({ reused: result.reused, encoded: result.encoded }, { reused: 0, encoded: 6 })
  // Zeros of 16 MiB, zeros of 512 bytes, and the piece with something in it.
  assert.equal(started, 3)
  assert.deepEqual(
    listed(result.path).sizes,
    [16, 16, 16, 16, 16, 1 / 2048].map((size) => size * MiB),
  )
  assert.ok(xz(['-d'], result.file).equals(raw))
})

test('an image that has grown keeps the blocks of its stock', async () => {
  const grown = Buffer.concat([stockImage, Buffer.alloc(3 * MiB, 'more ')])
  const result = await compress(grown, xz(['-T2', '--block-size=4MiB'], stockImage), { touched: () => false })
  assert.equal(result.reused, 3)
  assert.ok(xz(['-d'], result.file).equals(grown))
})

test('progress ends at the size of the image', async () => {
  const seen: number[] = []
  await compress(edited, undefined, { progress: (done, total) => seen.push(done / total) })
  assert.equal(seen.at(-1), 1)
})

test('a stock that has changed since its index was made is damage, named with its file and place', async () => {
  const stock = xz(['-T1', '--block-size=2MiB'], stockImage)
  const index = await indexOf(stock)
  const file = join(folder, 'changed.xz')
  await writeFile(file, stock)
  const handle = await open(file, 'r+')
  await handle.write(Buffer.from('?'), 0, 1, index.blocks[2]!.offset + 3)
  await handle.close()
  await assert.rejects(
    compress(edited, stock, { stock: { file, sha256: sha256(stock), index } }),
    (error: unknown) => {
      assert.ok(error instanceof FleetsieError)
      assert.equal(error.code, 'E_DAMAGED')
      assert.equal(error.file, file)
      assert.match(error.message, new RegExp(`byte ${index.blocks[2]!.offset}\\)`))
      return true
    },
  )
  await writeFile(file, stock.subarray(0, index.blocks[2]!.offset + 100))
  await assert.rejects(compress(edited, stock, { stock: { file, sha256: sha256(stock), index } }), {
    code: 'E_DAMAGED',
    file,
  })
})

test('an encoder that fails fails the whole, after the others have ended', async () => {
  let running = 0
  const run: Run = async (command, args, options) => {
    running++
    try {
      if (running === 2) throw new FleetsieError('E_STAGE', 'no memory')
      return await runner({ home: folder })(command, args, options)
    } finally {
      running--
    }
  }
  await assert.rejects(compress(edited, xz(['-T1'], stockImage), { run, jobs: 3 }), { code: 'E_STAGE' })
  assert.equal(running, 0)
})

test('an abort ends the whole', async () => {
  const abort = new AbortController()
  const run = runner({ home: folder, signal: abort.signal })
  const options = { run, signal: abort.signal, progress: () => abort.abort() }
  await assert.rejects(compress(edited, xz(['-T1'], stockImage), options), { code: 'E_INTERRUPTED' })
})
