/** Compressing again: only what changed is made anew, and the bytes are those of a build from nothing. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Run, runner } from '../../../../lib/engine/process.ts'
import { knownCheck } from '../../../../lib/formats/xz/check.ts'
import { touchedGrain } from '../../../../lib/formats/xz/cut.ts'
import { readFileIndex } from '../../../../lib/formats/xz/file-index.ts'
import { type CompressOptions, compressImage } from '../../../../lib/images/compress.ts'
import { memoryMemo } from '../../../helpers/context.ts'

const MiB = 1024 * 1024
const folder = await mkdtemp(join(tmpdir(), 'fleetsie-memo-'))
after(() => rm(folder, { recursive: true }))

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** 3 MiB of text with a little noise in each piece, and a tail of zeros. */
const image = Buffer.alloc(3 * MiB + 512 * 1024)
image.fill('text of a stock image ', 0, 3 * MiB)
for (let at = 0; at < 3 * MiB; at += 4096) image.write(sha256(Buffer.from(`${at}`)), at, 'latin1')

function edited(...spots: number[]): Buffer {
  const copy = Buffer.from(image)
  for (const spot of spots) copy[spot]! ^= 0xff
  return copy
}

/** As a stage would say it: which pieces of 64 KiB differ from the stock. */
function touchedIn(raw: Buffer): CompressOptions['touched'] {
  return (offset, length) => {
    const from = Math.floor(offset / touchedGrain) * touchedGrain
    const to = Math.ceil((offset + length) / touchedGrain) * touchedGrain
    return !raw.subarray(from, to).equals(image.subarray(from, to))
  }
}

const chunks = Array.from({ length: Math.ceil(image.length / MiB) }, (_, i) => {
  const chunk = image.subarray(i * MiB, (i + 1) * MiB)
  return chunk.every((byte) => byte === 0) ? null : sha256(chunk)
})

const stockFile = join(folder, 'stock.xz')
const { stdout: stockBytes } = spawnSync('xz', ['-c', '-1', '-T2', '--block-size=1MiB'], {
  input: image,
  maxBuffer: 1 << 28,
})
await writeFile(stockFile, stockBytes)
const found = await readFileIndex(
  async (at, length) => stockBytes.subarray(at, at + length),
  stockBytes.length,
)
const index = { check: knownCheck(found.streams[0]!.check), blocks: found.blocks }
const stock = { file: stockFile, sha256: sha256(stockBytes), index }

let count = 0
/** Compresses, lets xz judge, and tells how many pieces xz encoded and how many processes recoded. */
async function compress(
  raw: Buffer,
  options: Partial<CompressOptions> = {},
): Promise<{ file: Buffer; encoded: number; recoders: number }> {
  const tmp = await mkdtemp(join(folder, 'tmp-'))
  const path = join(folder, `${count++}`)
  await writeFile(`${path}.img`, raw)
  let encoded = 0
  let recoders = 0
  const run: Run = (command, args, more) => {
    if (command === 'xz') encoded += args.find((arg) => arg.startsWith('--block-list='))!.split(',').length
    else recoders++
    return runner({ home: tmp })(command, args, more)
  }
  await compressImage({
    raw: `${path}.img`,
    size: raw.length,
    stock,
    chunks,
    touched: touchedIn(raw),
    out: `${path}.xz`,
    memo: memoryMemo(),
    run,
    jobs: 2,
    tmp,
    signal: new AbortController().signal,
    progress: () => {},
    ...options,
  })
  assert.ok(execFileSync('xz', ['-dc', `${path}.xz`], { maxBuffer: 1 << 28 }).equals(raw))
  return { file: await readFile(`${path}.xz`), encoded, recoders }
}

const first = edited(100, 1.5 * MiB)
const second = edited(101, 1.5 * MiB)
const third = edited(102, 1.5 * MiB, 2.5 * MiB)

test('an edit of what was touched before costs its own piece alone, and gives the bytes of a build from nothing', async () => {
  const memo = memoryMemo()
  await compress(first, { memo })
  const again = await compress(second, { memo })
  assert.deepEqual({ encoded: again.encoded, recoders: again.recoders }, { encoded: 1, recoders: 0 })
  const other = await compress(third, { memo })
  assert.deepEqual({ encoded: other.encoded, recoders: other.recoders }, { encoded: 2, recoders: 0 })
  const nothing = await compress(first, { memo })
  assert.deepEqual({ encoded: nothing.encoded, recoders: nothing.recoders }, { encoded: 0, recoders: 0 })

  assert.ok(again.file.equals((await compress(second)).file))
  assert.ok(other.file.equals((await compress(third, { jobs: 5 })).file))
})

test('a stock of another kind is compressed once, and from then on what changed', async () => {
  const memo = memoryMemo()
  const whole = { stock: undefined, memo }
  await compress(image, whole)
  const edit = await compress(first, whole)
  assert.ok(edit.encoded > 1)
  const again = await compress(second, whole)
  assert.equal(again.encoded, 1)
  assert.ok(again.file.equals((await compress(second, { stock: undefined, jobs: 1 })).file))
  const unnamed = await compress(second, { stock: undefined, chunks: undefined })
  assert.ok(again.file.equals(unnamed.file), 'how content is named does not show')
})

test('an image that grew keeps what it has, and its new zeros are not read', async () => {
  const memo = memoryMemo()
  const grown = Buffer.concat([first, Buffer.alloc(40 * MiB)])
  const touched: CompressOptions['touched'] = (offset, length) =>
    offset < image.length && touchedIn(first)(offset, Math.min(length, image.length - offset))
  const { file } = await compress(grown, { memo, touched })
  const again = await compress(grown, { memo, touched })
  assert.equal(again.encoded, 0)
  assert.ok(again.file.equals(file))
})

const badEntries: { name: string; spoil(entry: Buffer): Buffer }[] = [
  { name: 'empty', spoil: () => Buffer.alloc(0) },
  { name: 'cut off', spoil: (entry) => entry.subarray(0, -4) },
  { name: 'too long', spoil: (entry) => Buffer.concat([entry, Buffer.alloc(4)]) },
  { name: 'zeros', spoil: (entry) => Buffer.alloc(entry.length) },
  {
    name: 'with a flipped bit in their header',
    spoil: (entry) => Buffer.from(entry.map((byte, i) => (i === 5 ? byte ^ 4 : byte))),
  },
]
test('kept blocks that are none are made again', async () => {
  const memo = memoryMemo()
  const sound = await compress(first, { memo })
  for (const { name, spoil } of badEntries) {
    for (const [key, entry] of memo.entries) memo.entries.set(key, spoil(entry))
    const again = await compress(first, { memo })
    assert.ok(again.file.equals(sound.file), name)
    assert.equal(again.encoded, sound.encoded, name)
  }
})

test('what nobody touched must be what it was', async () => {
  const changed = edited(2.5 * MiB)
  const lying = compress(changed, { stock: undefined, touched: () => false })
  await assert.rejects(lying, { code: 'E_DAMAGED', message: /byte 2097152\)/ })
})

const damages: { name: string; at: number }[] = [
  { name: 'in its data', at: index.blocks[1]!.offset + 5000 },
  { name: 'in its check', at: index.blocks[1]!.offset + index.blocks[1]!.unpadded - 1 },
  { name: 'in its header', at: index.blocks[1]!.offset + 3 },
]
for (const { name, at } of damages) {
  test(`a touched stock block with damage ${name} is found`, async () => {
    const file = join(folder, `damaged-${at}.xz`)
    const bytes = Buffer.from(stockBytes)
    bytes[at]! ^= 0x10
    await writeFile(file, bytes)
    await assert.rejects(compress(first, { stock: { ...stock, file } }), { code: 'E_DAMAGED', file })
  })
}

test('large blocks are recoded by processes of their own, to the same bytes with any number of them', async () => {
  const large = Buffer.alloc(48 * MiB, 'text of a large image ')
  for (let at = 0; at < large.length; at += 1 * MiB) large.write(sha256(Buffer.from(`${at}`)), at, 'latin1')
  const { stdout } = spawnSync('xz', ['-c', '-0', '-T2', '--block-size=24MiB'], {
    input: large,
    maxBuffer: 1 << 28,
  })
  const file = join(folder, 'large.xz')
  await writeFile(file, stdout)
  const read = async (at: number, length: number): Promise<Buffer> => stdout.subarray(at, at + length)
  const { blocks } = await readFileIndex(read, stdout.length)
  const spots = [5 * MiB, 30 * MiB]
  for (const spot of spots) large[spot]! ^= 0xff
  const options = {
    stock: { file, sha256: sha256(stdout), index: { check: index.check, blocks } },
    chunks: undefined,
    touched: (offset: number, length: number) =>
      spots.some((spot) => spot >= offset && spot < offset + length),
  }
  const two = await compress(large, { ...options, jobs: 2 })
  assert.deepEqual({ encoded: two.encoded, recoders: two.recoders }, { encoded: 2, recoders: 2 })
  const one = await compress(large, { ...options, jobs: 1 })
  assert.equal(one.recoders, 1)
  assert.ok(one.file.equals(two.file))

  stdout[blocks[1]!.offset + blocks[1]!.unpadded - 1]! ^= 1
  await writeFile(file, stdout)
  await assert.rejects(compress(large, options), {
    code: 'E_DAMAGED',
    file,
    message: /does not match its check/,
  })
})

test('what was recoded while the recoder was edited is not kept: the key names the code of before', async (t) => {
  const keptWith = async (look: () => void): Promise<string[]> => {
    const kept: string[] = []
    const put = async (key: string): Promise<void> => void kept.push(key)
    await compress(first, { memo: { get: async () => look() as undefined, put } })
    return kept.filter((key) => key.includes('recoder'))
  }
  assert.notEqual((await keptWith(() => {})).length, 0)

  const { readFileSync, statSync } = fs
  const isEdited = (path: unknown): boolean => String(path).endsWith('lib/formats/lzma/finder.ts')
  t.after(() => {
    Object.assign(fs, { readFileSync, statSync })
    syncBuiltinESMExports()
  })
  const edit = (): void => {
    Object.assign(fs, {
      statSync: (path: string, options: object) =>
        isEdited(path) ? { size: 1, mtimeMs: 1 } : statSync(path, options),
      readFileSync: (path: string, options: object) =>
        isEdited(path) ? Buffer.from('x') : readFileSync(path, options),
    })
    syncBuiltinESMExports()
  }
  assert.deepEqual(await keptWith(edit), [])
})
