/** A card holds the image after a write, whatever it held before; what need not be written is not. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { flash } from '../../../../lib/images/flash/flash.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import type { Held, Target } from '../../../../lib/images/flash/types.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import {
  cardSize,
  digestsOf,
  expected,
  FlashRig,
  flashOne,
  gaps,
  imageSize,
  loopOver,
  partitions,
  reportOf,
  run,
} from './flash-rig.ts'

const skip = needs('xz', 'sfdisk')
const KiB = 1024
const heads = 8192
const { signal } = new AbortController()

let rig: FlashRig
before(() => {
  rig = new FlashRig()
})
after(() => rig.remove())

describe('a full write', { skip }, () => {
  test('by a block map is what bmaptool makes of the same card', { skip: needs('bmaptool') }, async (t) => {
    // bmaptool empties a file first.
    const card = rig.card('full.img', Buffer.from([0]))
    const other = rig.path('bmaptool.img')
    const report = reportOf(await flashOne(await rig.open(t), [card], { full: true }))
    writeFileSync(rig.path('map.bmap'), rig.bmap())
    tool('bmaptool', ['--quiet', 'copy', '--bmap', rig.path('map.bmap'), rig.container('xz'), other])
    tool('cmp', [`--bytes=${imageSize}`, card, other])
    const mapped = imageSize - gaps.reduce((sum, { length }) => sum + length, 0)
    assert.equal(report.how, 'full')
    assert.equal(report.bytesWritten, mapped + heads)
    assert.equal(report.bytesVerified, mapped)
    assert.equal(report.bytesCompared, 0)
  })

  for (const kind of ['xz', 'one-block.xz', 'gz', 'img'] as const) {
    test(`of an image without a block map in ${kind} writes all, zeros included`, async (t) => {
      const card = rig.card(`all-${kind}`)
      const image = await rig.open(t, { kind, bmap: false })
      const report = reportOf(await flashOne(image, [card], { full: true }))
      assert.deepEqual(report.chunks, digestsOf(rig.bytes))
      const now = readFileSync(card)
      assert.ok(now.equals(expected(rig, Buffer.alloc(now.length, 'old'), false)))
    })
  }

  test('on a loop device', { skip: needsRoot }, async (t) => {
    const card = rig.card('loop.img')
    reportOf(await flashOne(await rig.open(t), [loopOver(t, card)], { full: true }))
    tool('sync', [card])
    const now = readFileSync(card)
    assert.ok(now.equals(expected(rig, Buffer.alloc(now.length, 'old'))))
  })
})

describe('a write of what differs', { skip }, () => {
  test('reads a card that nothing is known of, and writes nothing to one that holds the image', async (t) => {
    const card = rig.card('same.img', 'image')
    const report = reportOf(await flashOne(await rig.open(t), [card]))
    assert.equal(report.how, 'compared')
    assert.equal(report.bytesWritten, 0)
    assert.equal(report.bytesVerified, 0)
    assert.ok(report.bytesCompared >= report.bytesSaved)
  })

  const edits: [title: string, places: [at: number, length: number][], pieces: number][] = [
    ['one byte', [[9 * MiB + 5, 1]], 1],
    [
      'two pieces with one between them',
      [
        [9 * MiB, 1],
        [9 * MiB + 128 * KiB, 1],
      ],
      3,
    ],
    [
      'two pieces with two between them',
      [
        [9 * MiB, 1],
        [9 * MiB + 192 * KiB, 1],
      ],
      2,
    ],
    ['the end of one chunk and the start of the next', [[10 * MiB - 1, 2]], 2],
    ['the last sector', [[imageSize - 512, 512]], 1],
    ['a MiB across three chunks', [[13 * MiB + 32 * KiB, MiB]], 17],
  ]
  for (const [title, places, pieces] of edits) {
    for (const manifest of [true, false]) {
      const known = manifest ? 'known' : 'unknown'
      test(`writes the pieces that differ and no more: ${title}, digests ${known}`, async (t) => {
        const edited = rig.edited(
          `${title}-${manifest}.img`,
          places.map(([at, length]) => [at, Buffer.alloc(length, 0xa5)]),
        )
        const card = rig.card('delta.img', 'image')
        const before = readFileSync(card)
        const held: Held = { chunks: digestsOf(rig.bytes), how: 'receipt' }
        const report = reportOf(await flashOne(await edited.open(t, { manifest }), [card], { held }))
        assert.ok(readFileSync(card).equals(expected(edited, before)))
        // Each head is written twice: to be invalid, and last.
        assert.ok(
          report.bytesWritten <= pieces * 64 * KiB + 2 * heads,
          `${report.bytesWritten} bytes for ${pieces} pieces`,
        )
        assert.equal(report.how, 'receipt')
        assert.ok(report.bytesCompared <= 3 * MiB)
        assert.ok(report.bytesVerified > 0)
        const unmapped = new Set([11, 12, 20, 21])
        const digests = digestsOf(edited.bytes).map((digest, i) => (unmapped.has(i) ? undefined : digest))
        assert.deepEqual(report.chunks, digests)
      })
    }
  }

  test('does not believe a digest where the earlier block map left something out', async (t) => {
    // Of the chunk at 2 MiB, the card holds the image only outside of the gap.
    const card = rig.card('covers.img', 'image')
    const bytes = readFileSync(card)
    const [gap] = gaps
    bytes.fill('other', gap!.offset, gap!.offset + gap!.length)
    writeFileSync(card, bytes)
    const covers = (await rig.open(t)).mapped
    const held: Held = { chunks: digestsOf(rig.bytes), covers, how: 'receipt' }
    const report = reportOf(
      await flashOne(await rig.open(t, { bmap: false, manifest: true }), [card], { held }),
    )
    assert.ok(readFileSync(card).subarray(0, imageSize).equals(rig.bytes))
    assert.equal(report.bytesWritten, gap!.length + 2 * heads)
  })

  test('goes to partitions, each from its own first byte', async (t) => {
    const parts = partitions.map((_, i) => rig.card(`part_${i + 1}`))
    const report = reportOf(await flashOne(await rig.open(t), parts, { ranges: partitions }))
    for (const [i, { offset, length }] of partitions.entries()) {
      const now = readFileSync(parts[i]!)
      // What was there, counted from the partition's start.
      const before = Buffer.alloc(imageSize)
      Buffer.alloc(cardSize, 'old').copy(before, offset)
      assert.ok(now.subarray(0, length).equals(expected(rig, before).subarray(offset, offset + length)))
      assert.ok(now.subarray(length).equals(Buffer.alloc(cardSize, 'old').subarray(length)))
    }
    assert.equal(report.chunks[0], undefined)
    assert.equal(report.chunks[9], digestsOf(rig.bytes)[9])
  })

  test('writes the first bytes of each partition last, and those of the first one at the very end', async (t) => {
    const image = await rig.open(t)
    const acts: string[] = []
    const spied = async (path: string, name: string): Promise<Target> => {
      const target = await openTarget(path, { run })
      t.after(() => target.close())
      const { id, kind, size, readOnly, direct } = target
      return {
        ...{ path, id, kind, size, readOnly, direct },
        read: (buffer, at) => target.read(buffer, at),
        write: (buffer, at) => {
          acts.push(at > 0 ? `${name} body` : buffer.includes('half-written') ? `${name} invalid` : name)
          return target.write(buffer, at)
        },
        flush: () => {
          if (acts.at(-1) !== 'flush') acts.push('flush')
          return target.flush()
        },
        forget: () => target.forget(),
        close: async () => {},
      }
    }
    const areas = await Promise.all(
      partitions.map(async (range, i) => ({
        image: range,
        target: await spied(rig.card(`last_${i}`), `p${i}`),
      })),
    )
    const card = { name: 'card', areas, journal: rig.path('last.journal'), full: true }
    reportOf((await flash({ image, cards: [card], signal, progress: () => {} }))[0]!)
    assert.deepEqual(acts.slice(0, 4), ['p0 invalid', 'flush', 'p1 invalid', 'flush'])
    assert.deepEqual(acts.slice(-5), ['flush', 'p1', 'flush', 'p0', 'flush'])
    assert.ok(acts.slice(4, -5).every((act) => /body|flush/.test(act)))
  })

  test('tells how far it is, and what is slow', async (t) => {
    const told: Parameters<NonNullable<Parameters<typeof flashOne>[2]>['told'] & {}>[0][] = []
    const card = rig.card('progress.img')
    reportOf(await flashOne(await rig.open(t), [card], { told: (progress) => told.push(progress) }))
    assert.deepEqual([...new Set(told.map(({ phase }) => phase))], ['comparing', 'verifying'])
    for (const { done, total, rate, left } of told) {
      assert.ok(done <= total && rate >= 0 && (left === undefined || left >= 0))
    }
    assert.equal(told.at(-1)!.done, told.at(-1)!.total)
  })
})

describe('several cards', { skip }, () => {
  test('get what each needs from one decode; one that is too small does not stop the others', async (t) => {
    const image = await rig.open(t)
    const paths = ['one.img', 'two.img', 'three.img'].map((name) => rig.card(name))
    const small = rig.path('small.img')
    writeFileSync(small, Buffer.alloc(MiB))
    const targets = await Promise.all([...paths, small].map((path) => openTarget(path, { run })))
    t.after(() => Promise.all(targets.map((target) => target.close())))
    const results = await flash({
      image,
      cards: targets.map((target, i) => ({
        name: `card ${i}`,
        areas: [{ image: { offset: 0, length: imageSize }, target }],
        journal: rig.path(`${i}.journal`),
        full: i === 1,
      })),
      signal: new AbortController().signal,
      progress: () => {},
    })
    for (const [i, path] of paths.entries()) {
      assert.equal(reportOf(results[i]!).card, `card ${i}`)
      const now = readFileSync(path)
      assert.ok(now.equals(expected(rig, Buffer.alloc(now.length, 'old'))))
    }
    const last = results[3]!
    assert.ok('error' in last)
    assert.match(last.error.message, /has 1048576 bytes, and what goes there from .* has 25167360/)
    assert.equal((last.error as { code?: string }).code, 'E_UNSAFE')
  })
})
