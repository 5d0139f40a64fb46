/** What a card holds, by reading it: the digests of what the image maps, and what cannot be read. */
import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chunkDigests } from '../../../../lib/images/chunk-digests.ts'
import { compareCard } from '../../../../lib/images/flash/compare.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import type { Area, DiskImage } from '../../../../lib/images/flash/types.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { type Behaviour, virtualDisk } from '../../../helpers/virtual-disk.ts'
import { ext, fat, patch, ReceiptRig, run, signal } from './receipt-rig.ts'

const skip = needs('mkfs.vfat', 'mmd', 'mkfs.ext4', 'debugfs', 'sfdisk')
const noVirtual = skip || needs('nbdkit', 'nbdfuse', 'fusermount3')

let rig: ReceiptRig
before(async () => {
  if (!skip) rig = await ReceiptRig.open()
})
after(() => rig?.remove())

async function compare(areas: Area[], image: Pick<DiskImage, 'size' | 'mapped' | 'chunks'> = rig.image) {
  const told: [number, number][] = []
  const comparison = await compareCard({ areas, image, signal, progress: (...now) => told.push(now) })
  return { ...comparison, told }
}

async function compareFile(path: string, image?: Pick<DiskImage, 'size' | 'mapped' | 'chunks'>) {
  const target = await openTarget(path, { run, readOnly: true })
  try {
    return await compare([{ image: { offset: 0, length: rig.image.size }, target }], image)
  } finally {
    await target.close()
  }
}

/** Whether the image maps anything in this chunk. */
const isMapped = (chunk: number): boolean =>
  rig.image.mapped.some(({ offset, length }) => offset < (chunk + 1) * MiB && offset + length > chunk * MiB)

test('each chunk in which the image maps anything has the digest of what the card has there', {
  skip,
}, async () => {
  const path = await rig.card('patched')
  const changed = [0, 1, 9]
  for (const chunk of changed) await patch(path, chunk * MiB + 12_345, 'something else')
  const { held, bytes, unreadable, told } = await compareFile(path)
  assert.equal(held.how, 'compared')
  assert.equal(held.covers, undefined)
  assert.deepEqual(unreadable, [])
  const digests = new Map(await chunkDigests(path, [...rig.image.chunks!.keys()]))
  for (const [chunk, sum] of held.chunks.entries())
    assert.equal(sum, isMapped(chunk) ? digests.get(chunk) : undefined, `chunk ${chunk}`)
  const differing = held.chunks.flatMap((sum, chunk) =>
    sum !== undefined && sum !== rig.image.chunks![chunk] ? [chunk] : [],
  )
  assert.deepEqual(differing, changed)
  assert.deepEqual(told.at(-1), [bytes, bytes])
})

test('of partitions only the chunks are known that lie wholly in one', { skip }, async (t) => {
  const areas: Area[] = []
  // The second one begins within a chunk.
  for (const [i, place] of [fat, { offset: ext.offset + 512, size: ext.size - 512 }].entries()) {
    const path = join(rig.folder, `part-${i}`)
    tool('dd', [
      `if=${rig.raw}`,
      `of=${path}`,
      'iflag=skip_bytes,count_bytes',
      `skip=${place.offset}`,
      `count=${place.size}`,
      'bs=64K',
      'status=none',
    ])
    const target = await openTarget(path, { run })
    t.after(() => target.close())
    areas.push({ image: { offset: place.offset, length: place.size }, target })
  }
  const { held } = await compare(areas)
  for (const [chunk, sum] of held.chunks.entries()) {
    const inside = (chunk >= 1 && chunk < 5) || (chunk > 5 && chunk < 21)
    assert.equal(sum, inside && isMapped(chunk) ? rig.image.chunks![chunk] : undefined, `chunk ${chunk}`)
  }
})

test('a device is read past the cache', { skip: skip || needsRoot }, async (t) => {
  const path = await rig.card('device')
  const device = tool('losetup', ['--find', '--show', path]).trim()
  t.after(() => tool('losetup', ['--detach', device]))
  const { held } = await compareFile(device)
  assert.ok(held.chunks.some((sum) => sum !== undefined))
  for (const [chunk, sum] of held.chunks.entries())
    if (sum !== undefined) assert.equal(sum, rig.image.chunks![chunk])
})

/** A card on which reads that touch [from, to) fail. */
const unreadable = (path: string, from: number, to: number): Behaviour => ({
  get_size: `stat -c %s ${path}`,
  pread: `if [ $4 -lt ${to} ] && [ $(($4 + $3)) -gt ${from} ]; then echo EIO bad >&2; exit 1; fi
    dd if=${path} skip=$4 count=$3 iflag=skip_bytes,count_bytes status=none`,
})

test('places that cannot be read are told, and nothing is known of them', { skip: noVirtual }, async (t) => {
  const path = await rig.card('bad')
  const disk = await virtualDisk(t, unreadable(path, 8 * MiB + 4096, 9 * MiB + 1))
  const { held, unreadable: told } = await compareFile(disk.path)
  assert.deepEqual(told, [
    { offset: 8 * MiB, length: MiB },
    { offset: 9 * MiB, length: MiB },
  ])
  for (const [chunk, sum] of held.chunks.entries()) {
    const known = isMapped(chunk) && chunk !== 8 && chunk !== 9
    assert.equal(sum, known ? rig.image.chunks![chunk] : undefined, `chunk ${chunk}`)
  }
})

test('a card that cannot be read in many places is given up', { skip: noVirtual }, async (t) => {
  const path = await rig.card('failing')
  const disk = await virtualDisk(t, unreadable(path, 2 * MiB, 64 * MiB))
  const { size } = rig.image
  const mapped = [{ offset: 0, length: size }]
  await assert.rejects(compareFile(disk.path, { size, mapped, chunks: [] }), {
    code: 'E_IO',
    message: /cannot be read in more than \d+ places, one of them at byte \d+/,
  })
})

test('a card with other content is not read further than that shows', { skip }, async () => {
  const path = join(rig.folder, 'other')
  tool('sh', ['-c', `head -c ${rig.image.size} /dev/zero | tr '\\0' x > ${path}`])
  const { size } = rig.image
  const chunks = Array<string>(size / MiB).fill('a'.repeat(64))
  const { held, bytes } = await compareFile(path, { size, mapped: [{ offset: 0, length: size }], chunks })
  assert.equal(held.chunks.filter((sum) => sum !== undefined).length, 16)
  assert.equal(bytes, 16 * MiB)
})

test('an abort ends the reading', { skip }, async () => {
  const path = await rig.card('aborted')
  await copyFile(rig.raw, path)
  const target = await openTarget(path, { run })
  const areas = [{ image: { offset: 0, length: rig.image.size }, target }]
  const reason = new Error('enough')
  const aborted = { areas, image: rig.image, signal: AbortSignal.abort(reason), progress: () => {} }
  await assert.rejects(compareCard(aborted), reason)
  await target.close()
})
