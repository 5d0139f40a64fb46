/** The working image of `save`: what it holds depends on the stock image and the layers, never on what was done before. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { cutRanges } from '../../../../lib/formats/bmap.ts'
import { MiB } from '../../../helpers/disks.ts'
import { directory, file, type Member, symlink } from '../../../helpers/layers.ts'
import { needs } from '../../../helpers/needs.ts'
import { differing, epoch, SaveRig, type Seen } from './rig.ts'

const skip = needs('debugfs', 'e2fsck', 'mkfs.vfat', 'mcopy', 'fsck.fat', 'resize2fs')

/** Numbers from 0 on, always the same ones. */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

function content(roll: (sides: number) => number, limit: number): Buffer {
  const bytes = Buffer.alloc(roll(limit))
  const seed = roll(5)
  for (let at = 0; at < bytes.length; at += 32)
    createHash('sha256').update(`${seed} ${at}`).digest().copy(bytes, at)
  return bytes
}

/** Files, folders, links, and things taken away that an earlier layer did not bring: the stock has a few. */
function randomLayers(roll: (sides: number) => number): Record<number, Member[]> {
  const boot: Member[] = []
  for (let i = roll(4); i > 0; i--) boot.push(file(`b${i}.txt`, content(roll, 200_000)))
  const root: Member[] = [directory('d'), directory('d/e')]
  for (let i = roll(6); i > 0; i--) root.push(file(`d/f${i}`, content(roll, 600_000)))
  for (let i = roll(40); i > 0; i--) root.push(file(`d/e/small ${i}`, content(roll, 3000)))
  if (roll(2)) root.push(symlink('d/link', 'x'.repeat(1 + roll(200))))
  if (roll(2)) root.push({ entry: { path: 'old', type: 'whiteout' } })
  if (roll(2)) root.push(file('top', content(roll, 50_000), { mode: 0o755, uid: roll(70_000) }))
  return { ...(boot.length > 0 ? { 1: boot } : {}), 2: root }
}

function assertTold(seen: Seen, stock: Buffer, base: Buffer): void {
  assert.deepEqual(seen.changed, differing(seen.disk, base))
  const touched = new Set(differing(seen.disk, stock))
  for (let index = 0; index * 65_536 < seen.disk.length; index++)
    assert.equal(seen.touched(index * 65_536, 65_536), touched.has(index), `piece ${index}`)
  assert.equal(seen.touched(0, seen.disk.length), touched.size > 0)
  assert.deepEqual(
    cutRanges(seen.ranges),
    seen.ranges.map(({ first, last }) => ({ first, last })),
  )
  for (const { first, last, sha256 } of seen.ranges) {
    const bytes = seen.disk.subarray(first * 4096, (last + 1) * 4096)
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, `blocks ${first} to ${last}`)
  }
  assert.deepEqual(seen.chunks, chunksOfBytes(seen.disk))
}

function chunksOfBytes(disk: Buffer): (string | null)[] {
  return Array.from({ length: Math.ceil(disk.length / MiB) }, (_, chunk) => {
    const bytes = disk.subarray(chunk * MiB, (chunk + 1) * MiB)
    return bytes.every((byte) => byte === 0) ? null : createHash('sha256').update(bytes).digest('hex')
  })
}

for (const [title, grow] of [
  ['an image as it came', undefined],
  ['an image that grows', 40 * MiB],
] as const) {
  test(`any layers, one after the other, on ${title}: the bytes of a fresh copy, and every change is told`, {
    skip,
  }, async (t) => {
    const rig = await SaveRig.open(t)
    if (grow) rig.grow = { to: grow, epoch }
    const roll = dice(7)
    const stock = await readFile(rig.stock)
    let base: Buffer | undefined
    for (let round = 0; round < 5; round++) {
      const set = await rig.set(randomLayers(roll))
      const seen = await rig.edit(set)
      assert.deepEqual(seen.notes, [])
      const from = grow ? join(await rig.carried(), 'base.img') : rig.stock
      base ??= await readFile(from)
      assert.ok(base.length === (grow ?? stock.length))
      assertTold(seen, stock, base)
      assert.ok((await rig.editFresh(from, set)).equals(seen.disk), `round ${round}`)
      assert.ok((await readFile(join(await rig.carried(), 'disk.img'))).equals(base), 'all is put back')
      assert.ok((await readFile(rig.stock)).equals(stock))
    }
  })
}
