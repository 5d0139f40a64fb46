/** decompress: what is refused for what it is, what it holds or what it claims. */
import assert from 'node:assert/strict'
import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { FleetsieError } from '../../lib/errors.ts'
import { chunkSize } from '../../lib/images/image.ts'
import { maxImageSize } from '../../lib/images/limits.ts'
import { claimed } from '../helpers/claimed-xz.ts'
import { flippedBit, image, padding, python, run, tool, xz, zip } from './decompress-rig.ts'

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
    content: () => flippedBit(zip('ZIP_STORED', ['i.img']), 8 * 5000),
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
