/** The index of whole files, as xz, python and lzma-native see it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import { readFileIndex, type XzFileIndex } from '../../../../lib/formats/xz/file-index.ts'
import { encodeIndex } from '../../../../lib/formats/xz/index-field.ts'
import { streamFooter, streamHeader } from '../../../../lib/formats/xz/stream.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-xz-'))
after(() => rmSync(folder, { recursive: true }))

const data = Buffer.concat([Buffer.alloc(30_000, 'fleet '), Buffer.alloc(9_000), Buffer.from('end')])
const small = data.subarray(0, 700)

function xz(args: readonly string[], input: Buffer = data): Buffer {
  const { status, stdout, stderr } = spawnSync('xz', ['-c', ...args], { input, maxBuffer: 1 << 28 })
  assert.equal(status, 0, stderr.toString())
  return stdout
}

function indexOf(file: Buffer): Promise<XzFileIndex> {
  return readFileIndex(async (offset, length) => file.subarray(offset, offset + length), file.length)
}

const zeros = (count: number): Buffer => Buffer.alloc(count)
const files: { name: string; file: () => Buffer }[] = [
  { name: 'one block', file: () => xz(['-T1']) },
  { name: 'many blocks of one thread', file: () => xz(['-T1', '--block-size=4096']) },
  { name: 'many blocks of four threads', file: () => xz(['-T4', '--block-size=4096']) },
  { name: 'blocks of a list', file: () => xz(['-T1', '--block-list=1,5000,0']) },
  { name: 'no check', file: () => xz(['-T1', '--check=none', '--block-size=8192']) },
  { name: 'CRC32', file: () => xz(['-T1', '--check=crc32', '--block-size=8192']) },
  { name: 'SHA-256', file: () => xz(['-T1', '--check=sha256', '--block-size=8192']) },
  { name: 'a BCJ filter', file: () => xz(['-T2', '--x86', '--lzma2', '--block-size=8192']) },
  { name: 'an empty stream', file: () => xz([], zeros(0)) },
  { name: 'two streams', file: () => Buffer.concat([xz(['-T1']), xz(['-T1', '--block-size=9999'])]) },
  {
    name: 'streams of several checks with padding, empty ones between',
    file: () =>
      Buffer.concat([
        xz(['--check=none']),
        zeros(4),
        xz([], zeros(0)),
        xz(['--check=sha256', '-T1', '--block-size=5000']),
        zeros(128 * 1024),
      ]),
  },
]

for (const { name, file } of files) {
  test(`a file with ${name} has the blocks that xz lists`, async () => {
    const bytes = file()
    const index = await indexOf(bytes)
    const listed = list(bytes)
    assert.deepEqual(
      index.blocks.map((block) => ({ ...block, stream: block.stream + 1 })),
      listed.blocks,
    )
    assert.deepEqual(
      index.streams.map((stream) => stream.offset),
      listed.streams,
    )
    assert.equal(index.uncompressed, xz(['-d'], bytes).length)
  })
}

test("lzma-native's index parser counts the same, check by check", async (t) => {
  let lzma: { parseFileIndex(options: object, done: (error: Error | null, info: Totals) => void): void }
  interface Totals {
    streams: number
    blocks: number
    uncompressedSize: number
  }
  try {
    const require = createRequire(import.meta.url)
    lzma = require('lzma-native')
  } catch {
    t.skip('lzma-native has no binary for this machine')
    return
  }
  for (const { name, file } of files) {
    const bytes = file()
    const totals = await new Promise<Totals>((resolve, reject) => {
      const read = (count: number, offset: number, done: (bytes: Buffer) => void): void =>
        done(bytes.subarray(offset, offset + count))
      lzma.parseFileIndex({ fileSize: bytes.length, read }, (error, info) =>
        error ? reject(error) : resolve(info),
      )
    })
    const index = await indexOf(bytes)
    assert.equal(index.streams.length, totals.streams, name)
    assert.equal(index.blocks.length, totals.blocks, name)
    assert.equal(index.uncompressed, totals.uncompressedSize, name)
  }
})

test('a file that is cut off at any byte is refused, but where a stream ends', async () => {
  const first = xz(['-T1'], small)
  const file = Buffer.concat([first, zeros(4), xz(['-T2', '--block-size=300'], small)])
  for (let length = 0; length < file.length; length++) {
    const cut = indexOf(file.subarray(0, length))
    // What ends where a stream or its padding does is a whole .xz file: nothing in it tells of more.
    if (length === first.length || length === first.length + 4) await cut
    else await assert.rejects(cut, damage)
  }
})

test('any flipped bit outside of the blocks is found', async () => {
  const file = Buffer.concat([xz(['-T1', '--block-size=300'], small), zeros(8), xz(['-T1'], small), zeros(4)])
  const { blocks } = await indexOf(file)
  const inBlock = (at: number): boolean =>
    blocks.some(({ offset, unpadded }) => at >= offset && at < offset + Math.ceil(unpadded / 4) * 4)
  for (let bit = 0; bit < file.length * 8; bit++) {
    if (inBlock(bit >> 3)) continue
    const copy = Buffer.from(file)
    copy[bit >> 3]! ^= 1 << (bit & 7)
    await assert.rejects(indexOf(copy), damage, `bit ${bit}`)
  }
})

const bad: { name: string; file: () => Buffer; error: string; says: RegExp }[] = [
  { name: 'nothing', file: () => zeros(0), error: 'E_DAMAGED', says: /empty/ },
  {
    name: 'only zeros',
    file: () => zeros(4096),
    error: 'E_DAMAGED',
    says: /magic bytes are missing \(byte 0\)/,
  },
  {
    name: 'padding before the first stream',
    file: () => Buffer.concat([zeros(4), xz([])]),
    error: 'E_DAMAGED',
    says: /byte 0/,
  },
  {
    name: 'padding of three bytes',
    file: () => Buffer.concat([xz([]), zeros(3)]),
    error: 'E_DAMAGED',
    says: /no multiple of four/,
  },
  {
    name: 'something after its end',
    file: () => Buffer.concat([xz([]), Buffer.from('more')]),
    error: 'E_DAMAGED',
    says: /no stream ends here/,
  },
  {
    name: 'a footer that points before the file',
    file: () => Buffer.concat([streamHeader(4), streamFooter(4, 4096)]),
    error: 'E_DAMAGED',
    says: /points before the file \(byte 16\)/,
  },
  {
    name: 'an index of blocks that are not there',
    file: () => wrap(encodeIndex([{ unpadded: 1000, uncompressed: 5 }])),
    error: 'E_DAMAGED',
    says: /larger than the file/,
  },
  {
    name: 'a block with no room for its check',
    file: () =>
      Buffer.concat([
        streamHeader(4),
        zeros(8),
        wrap(encodeIndex([{ unpadded: 8, uncompressed: 5 }])).subarray(12),
      ]),
    error: 'E_DAMAGED',
    says: /impossible block size/,
  },
  {
    name: 'more data than numbers reach',
    file: () => {
      const record = { unpadded: 20, uncompressed: 2 ** 53 - 1 }
      const index = encodeIndex([record, record])
      return Buffer.concat([streamHeader(4), zeros(40), index, streamFooter(4, index.length)])
    },
    error: 'E_UNSUPPORTED',
    says: /2\^53/,
  },
  {
    name: 'header and footer of different checks',
    file: () => {
      const index = encodeIndex([])
      return Buffer.concat([streamHeader(4), index, streamFooter(1, index.length)])
    },
    error: 'E_DAMAGED',
    says: /header and footer differ/,
  },
]
for (const { name, file, error, says } of bad) {
  test(`a file with ${name} is refused`, async () => {
    await assert.rejects(indexOf(file()), (thrown: unknown) => {
      assert.ok(thrown instanceof FleetsieError)
      assert.equal(thrown.code, error)
      assert.match(thrown.message, says)
      return true
    })
  })
}

test('a million streams are not listed', async () => {
  const index = encodeIndex([])
  const empty = Buffer.concat([streamHeader(4), index, streamFooter(4, index.length)])
  const length = empty.length * 1_000_000
  const read = async (offset: number, count: number): Promise<Buffer> => {
    const from = offset % empty.length
    return Buffer.alloc(from + count, empty).subarray(from)
  }
  await assert.rejects(readFileIndex(read, length), { code: 'E_UNSUPPORTED' })
})

function wrap(index: Buffer): Buffer {
  return Buffer.concat([streamHeader(4), index, streamFooter(4, index.length)])
}

function damage(error: unknown): boolean {
  assert.ok(error instanceof FleetsieError, String(error))
  assert.equal(error.code, 'E_DAMAGED')
  assert.match(error.message, /\(byte \d+\)$/)
  return true
}

/** What `xz --list` says, stream offsets and blocks. */
function list(bytes: Buffer): { streams: number[]; blocks: XzFileIndex['blocks'] } {
  const path = join(folder, 'listed.xz')
  writeFileSync(path, bytes)
  const { status, stdout } = spawnSync('xz', ['--robot', '--list', '-vv', path], { encoding: 'utf8' })
  assert.equal(status, 0)
  const lines = stdout.split('\n').map((line) => line.split('\t'))
  return {
    streams: lines.filter(([kind]) => kind === 'stream').map((fields) => Number(fields[3])),
    blocks: lines
      .filter(([kind]) => kind === 'block')
      .map((fields) => ({
        offset: Number(fields[4]),
        // xz lists the size with its padding; without it header, data and check remain.
        unpadded:
          Number(fields[11]) + Number(fields[13]) + (fields[9] === 'None' ? 0 : fields[10]!.length / 2),
        uncompressed: Number(fields[7]),
        stream: Number(fields[1]),
      })),
  }
}
