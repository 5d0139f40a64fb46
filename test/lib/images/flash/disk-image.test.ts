/** Any part of an image can be read from any container, and what is wrong with it is found and named. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { parseBmap } from '../../../../lib/formats/bmap-parse.ts'
import { BufferPool } from '../../../../lib/images/flash/buffers.ts'
import { type OpenDiskImage, openDiskImage } from '../../../../lib/images/flash/disk-image.ts'
import type { DiskImage } from '../../../../lib/images/flash/types.ts'
import { chunkSize } from '../../../../lib/images/image.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs } from '../../../helpers/needs.ts'
import { Random } from '../../../helpers/random.ts'
import { digestsOf, FlashRig, imageSize, partitions, run } from './flash-rig.ts'

const signal = new AbortController().signal
const skip = needs('xz', 'zstd', 'gzip', 'zip', 'sfdisk')

let rig: FlashRig
before(() => {
  rig = new FlashRig()
})
after(() => rig.remove())

async function bytesOf(image: DiskImage, ranges: { offset: number; length: number }[]): Promise<Buffer> {
  const parts: Buffer[] = []
  let at = -1
  for await (const part of image.read(ranges, signal)) {
    assert.ok(part.at >= at, 'parts ascend')
    at = part.at + part.bytes.length
    parts.push(Buffer.from(part.bytes))
  }
  return Buffer.concat(parts)
}

function randomRanges(random: Random): { offset: number; length: number }[] {
  const ranges: { offset: number; length: number }[] = []
  for (let at = random.int(0, 5 * MiB); at < imageSize; ) {
    const length = Math.min(random.int(1, 2 * MiB), imageSize - at)
    ranges.push({ offset: at, length })
    at += length + random.int(1, 5 * MiB)
  }
  return ranges
}

describe('an image', { skip }, () => {
  for (const kind of ['xz', 'one-block.xz', 'gz', 'zst', 'zip', 'img'] as const) {
    test(`in ${kind} is read whole and in random parts`, async (t) => {
      const image = await rig.open(t, { kind, bmap: false })
      assert.equal(image.size, imageSize)
      assert.deepEqual(
        image.table.partitions.map(({ offset, size }) => ({ offset, length: size })),
        partitions,
      )
      assert.ok(rig.bytes.equals(await bytesOf(image, image.mapped as { offset: number; length: number }[])))
      const random = new Random(`parts of ${kind}`)
      for (let i = 0; i < 5; i++) {
        const ranges = randomRanges(random)
        const wanted = ranges.map(({ offset, length }) => rig.bytes.subarray(offset, offset + length))
        assert.ok(Buffer.concat(wanted).equals(await bytesOf(image, ranges)))
      }
    })
  }

  test('gives whole chunks with their digests', async (t) => {
    const image = await rig.open(t)
    const digests = digestsOf(rig.bytes)
    const pool = new BufferPool(6, chunkSize)
    const found: [number, string | null][] = []
    for await (const { index, digest, buffer } of image.readChunks([0, 3, 4, 17, 24], pool, signal)) {
      found.push([index, digest])
      pool.give(buffer)
    }
    assert.deepEqual(
      found,
      [0, 3, 4, 17, 24].map((i) => [i, digests[i]]),
    )
  })

  test('whose digests are known is decoded no further than what is asked for', async (t) => {
    // The second block begins at byte 3145728.
    const file = rig.damaged('xz', (bytes) => flip(bytes, placeInBlock(2, 0.9)))
    const at = 3 * MiB
    const image = await rig.open(t, { file, manifest: true })
    assert.ok(rig.bytes.subarray(at, at + MiB).equals(await bytesOf(image, [{ offset: at, length: MiB }])))
    const whole = await rig.open(t, { file })
    await assert.rejects(bytesOf(whole, [{ offset: at, length: MiB }]), { code: 'E_DAMAGED' })
  })
})

/** A byte of the .xz, at that part of its block, counted from 1. */
function placeInBlock(block: number, part: number): number {
  const line = tool('xz', ['--robot', '-lvv', rig.container('xz')])
    .split('\n')
    .map((line) => line.split('\t'))
    .find(([kind, , , number]) => kind === 'block' && number === String(block))!
  return Number(line[4]) + Math.floor(Number(line[6]) * part)
}

function flip(bytes: Buffer, at: number): undefined {
  bytes[at]! ^= 0xff
}

type Wrong = [
  title: string,
  message: RegExp,
  code: FleetsieError['code'],
  options: () => Partial<OpenDiskImage>,
]

const wrong: Wrong[] = [
  [
    'a block that is damaged',
    /: block 3, bytes \d+ to \d+/,
    'E_DAMAGED',
    () => ({ file: rig.damaged('xz', (bytes) => flip(bytes, placeInBlock(3, 0.5))) }),
  ],
  [
    'a single block that is damaged',
    /corrupt/i,
    'E_DAMAGED',
    () => ({ file: rig.damaged('one-block.xz', (bytes) => flip(bytes, Math.floor(bytes.length / 2))) }),
  ],
  [
    'a file that is cut off',
    /byte \d+/,
    'E_DAMAGED',
    () => ({ file: rig.damaged('xz', (bytes) => bytes.subarray(0, bytes.length - 4)) }),
  ],
  [
    'a chunk that is not what the manifest says',
    /chunk 9 .*from byte 9437184/,
    'E_VERIFY',
    () => {
      const manifest = rig.manifest()
      manifest.chunks[9] = '0'.repeat(64)
      return { manifest }
    },
  ],
  // A map of yesterday beside the file would leave out what has to be written.
  ...(['xz', 'one-block.xz', 'gz', 'zst', 'zip', 'img'] as const).map(
    (kind): Wrong => [
      `a range that is not what the block map says, in ${kind}`,
      /bytes \d+ to \d+ of the image are not those of its block map/,
      'E_VERIFY',
      () => {
        const other = rig.edited('other.img', [[14 * MiB, Buffer.from('edited')]])
        return { bmap: parseBmap(rig.bmap()), file: other.container(kind) }
      },
    ],
  ),
  [
    'a block map of another size',
    /is for an image of 4096 bytes/,
    'E_INPUT',
    () => ({ bmap: { ...parseBmap(rig.bmap()), imageSize: 4096 } }),
  ],
]

for (const kind of ['xz', 'one-block.xz', 'gz', 'zst', 'zip', 'img'] as const) {
  test(`looking into ${kind} ends when the user ends it`, { skip }, async () => {
    const user = new AbortController()
    const file = rig.container(kind)
    const image = openDiskImage({ file, run, tmp: rig.folder, jobs: 2, signal: user.signal }).then(readAll)
    user.abort(new Error('SIGINT'))
    await assert.rejects(image, /SIGINT|interrupted|aborted/)
  })
}

async function readAll(image: DiskImage): Promise<void> {
  try {
    for await (const _ of image.read(image.mapped, signal));
  } finally {
    await image.close()
  }
}

describe('is refused', { skip }, () => {
  for (const [title, message, code, options] of wrong) {
    test(title, async () => {
      const common = { file: rig.container('xz'), run, tmp: rig.folder, jobs: 2, signal }
      await assert.rejects(openDiskImage({ ...common, ...options() }).then(readAll), { code, message })
    })
  }
})
