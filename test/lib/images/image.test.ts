/** The image object: its manifest, and the file written sparsely from pieces in any order. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { FleetsieError } from '../../../lib/errors.ts'
import {
  chunkSize,
  chunksDigest,
  type ImageManifest,
  readManifest,
  writeManifest,
} from '../../../lib/images/image.ts'
import { type ImageContent, ImageWriter } from '../../../lib/images/image-writer.ts'

const folder = await mkdtemp(join(tmpdir(), 'fleetsie-image-'))
after(() => rm(folder, { recursive: true }))
let files = 0

async function written(
  size: number,
  write: (writer: ImageWriter) => Promise<void> | void,
): Promise<ImageContent & { file: string }> {
  const file = join(folder, `${files++}.img`)
  const writer = await ImageWriter.create(file)
  try {
    await write(writer)
    return { ...(await writer.finish(size)), file }
  } finally {
    await writer.close()
  }
}

/** What a manifest must hold, computed the plain way. */
function chunksOf(image: Buffer): (string | null)[] {
  return Array.from({ length: Math.ceil(image.length / chunkSize) }, (_, i) => {
    const chunk = image.subarray(i * chunkSize, (i + 1) * chunkSize)
    return chunk.every((byte) => byte === 0) ? null : createHash('sha256').update(chunk).digest('hex')
  })
}

const image = Buffer.alloc(5 * chunkSize + 1536)
image.write('boot', 446)
image.fill('data ', 2 * chunkSize - 700, 3 * chunkSize + 900)
image.write('end', image.length - 3)

test('pieces in any order and of any length give the same file and manifest', async () => {
  let seed = 11
  for (const step of [512, 65_536, 700_001, chunkSize, 3 * chunkSize, image.length]) {
    const offsets = Array.from({ length: Math.ceil(image.length / step) }, (_, i) => i * step)
    for (let i = offsets.length - 1; i > 0; i--) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      const j = seed % (i + 1)
      ;[offsets[i], offsets[j]] = [offsets[j]!, offsets[i]!]
    }
    const content = await written(image.length, async (writer) => {
      for (const offset of offsets) {
        writer.write(offset, image.subarray(offset, offset + step))
        if (writer.behind) await writer.caughtUp()
      }
    })
    assert.deepEqual(content.chunks, chunksOf(image))
    assert.equal(content.digest, chunksDigest(content.chunks))
    assert.ok((await readFile(content.file)).equals(image))
    assert.ok((await stat(content.file)).blocks * 512 <= 4 * chunkSize + 4096, 'chunks of zeros take no room')
  }
})

test('a file that a program writes is followed chunk by chunk, and known zeros are not read', async () => {
  const content = await written(image.length, async (writer) => {
    writer.markZeros(4 * chunkSize - 100, chunkSize + 100)
    const program = await writer.appending()
    for (let at = 0; at < image.length; at += 600_000) {
      await program.write(image, at, Math.min(600_000, image.length - at))
      await writer.follow(await writer.written(), image.length)
    }
    await program.close()
  })
  assert.deepEqual(content.chunks, chunksOf(image))
})

test('marked zeros count only where they fill a chunk', async () => {
  const content = await written(3 * chunkSize, async (writer) => {
    const bytes = Buffer.alloc(3 * chunkSize)
    bytes.fill(1, 0, 1000)
    bytes.fill(1, 2 * chunkSize + 1000)
    const program = await writer.appending()
    await program.write(bytes, 0, 1000)
    await writer.extend(2 * chunkSize + 1000)
    await program.write(bytes, 2 * chunkSize + 1000)
    await program.close()
    writer.markZeros(1000, 2 * chunkSize)
    await writer.follow(bytes.length, bytes.length)
  })
  assert.deepEqual(
    content.chunks.map((chunk) => chunk === null),
    [false, true, false],
  )
})

test('the digest is a sha256 over sha256 sums, zeros for a chunk of zeros', () => {
  const sum = createHash('sha256').update('x').digest()
  const expected = createHash('sha256')
    .update(Buffer.concat([sum, Buffer.alloc(32)]))
    .digest('hex')
  assert.equal(chunksDigest([sum.toString('hex'), null]), expected)
})

const faults: { name: string; write: (writer: ImageWriter) => void }[] = [
  { name: 'a gap', write: (writer) => writer.write(512, Buffer.alloc(2 * chunkSize - 512)) },
  { name: 'a missing end', write: (writer) => writer.write(0, Buffer.alloc(chunkSize)) },
  { name: 'something past the end', write: (writer) => writer.write(0, Buffer.alloc(3 * chunkSize)) },
  {
    name: 'a chunk written twice',
    write: (writer) => {
      writer.write(0, Buffer.alloc(2 * chunkSize))
      writer.write(0, Buffer.alloc(1))
    },
  },
]
for (const { name, write } of faults) {
  test(`an image with ${name} is not finished`, async () => {
    await assert.rejects(written(2 * chunkSize, write), { code: 'E_BUG' })
  })
}

const manifest: ImageManifest = {
  format: 1,
  size: chunkSize + 512,
  chunkSize,
  chunks: ['a'.repeat(64), null],
  container: { kind: 'xz', sha256: 'b'.repeat(64) },
  xz: {
    check: 4,
    streams: 2,
    blocks: [
      { offset: 12, unpadded: 101, uncompressed: chunkSize, stream: 0 },
      { offset: 300, unpadded: 50, uncompressed: 512, stream: 1 },
    ],
  },
}

test('a manifest comes back as it was written, the same bytes each time', async () => {
  await writeManifest(folder, manifest)
  const first = await readFile(join(folder, 'image.json'))
  assert.deepEqual(await readManifest(folder), manifest)
  await writeManifest(folder, await readManifest(folder))
  assert.deepEqual(await readFile(join(folder, 'image.json')), first)
})

const bad: { name: string; manifest: unknown; says: RegExp }[] = [
  { name: 'is of another format', manifest: { ...manifest, format: 2 }, says: /format/ },
  { name: 'has an unknown field', manifest: { ...manifest, more: 1 }, says: /more/ },
  { name: 'has too few chunks', manifest: { ...manifest, chunks: [null] }, says: /1 chunks/ },
  {
    name: 'has a chunk that is no sha256',
    manifest: { ...manifest, chunks: [null, 'A'] },
    says: /chunks\.1/,
  },
  { name: 'has a size that is no multiple of 512', manifest: { ...manifest, size: 1000 }, says: /size/ },
  { name: 'has blocks of another size', manifest: { ...manifest, size: chunkSize + 1024 }, says: /hold/ },
  {
    name: 'has blocks out of order',
    manifest: { ...manifest, xz: { ...manifest.xz, blocks: manifest.xz!.blocks.toReversed() } },
    says: /xz\.blocks\.1 is out of order/,
  },
  { name: 'is no JSON', manifest: undefined, says: /damaged/ },
]
for (const { name, manifest: value, says } of bad) {
  test(`a manifest that ${name} is refused`, async () => {
    await writeFile(join(folder, 'image.json'), value === undefined ? '{' : JSON.stringify(value))
    await assert.rejects(readManifest(folder), (error: unknown) => {
      assert.ok(error instanceof FleetsieError)
      assert.equal(error.code, 'E_STORE')
      assert.match(error.message, says)
      return true
    })
  })
}

test('a folder without a manifest is no image', async () => {
  await assert.rejects(readManifest(join(folder, 'none')), { code: 'E_INPUT' })
})
