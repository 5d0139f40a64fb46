/** Cards that fail, lie or are taken away, and writes that are interrupted: what is said, and that the next call goes on. */
import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { FleetsieError } from '../../../../lib/errors.ts'
import type { FlashResult } from '../../../../lib/images/flash/types.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { virtualDisk } from '../../../helpers/virtual-disk.ts'
import {
  cardSize,
  expected,
  FlashRig,
  flashOne,
  imageSize,
  loopOver,
  partitions,
  reportOf,
} from './flash-rig.ts'

const skip = needs('xz', 'sfdisk')

let rig: FlashRig
before(() => {
  rig = new FlashRig()
})
after(() => rig.remove())

function errorOf(result: FlashResult): FleetsieError {
  assert.ok('error' in result, 'it was written')
  assert.ok(result.error instanceof FleetsieError)
  return result.error
}

function holdsImage(path: string): void {
  const now = readFileSync(path)
  assert.ok(now.equals(expected(rig, Buffer.alloc(now.length, 'old'))))
}

describe('a card that', { skip: skip || needs('nbdkit', 'nbdfuse', 'fusermount3') }, () => {
  const [range] = partitions
  const size = 7 * MiB
  const write = 'dd of=$f seek=$4 conv=notrunc oflag=seek_bytes status=none'
  const read = 'dd if=$f skip=$4 count=$3 iflag=skip_bytes,count_bytes status=none'
  const get_size = `test -e $f || truncate -s ${size} $f; echo ${size}`
  const bad = 3 * MiB + 123_457
  const covers = (at: number): string => `[ $4 -le ${at} ] && [ $(($4 + $3)) -gt ${at} ]`

  async function flashed(test: TestContext, path: string, full = true): Promise<FlashResult> {
    const journal = rig.path(`${test.name}.journal`)
    return flashOne(await rig.open(test), [path], { full, ranges: [range!], journal })
  }

  test('holds another byte than was written is named with that byte', async (t) => {
    // Where the image has no zero.
    const at = rig.bytes.subarray(range!.offset + bad).findIndex((byte) => byte !== 0) + bad
    const spoil = `printf '\\0' | dd of=$f bs=1 seek=${at} conv=notrunc status=none`
    const { path } = await virtualDisk(t, {
      get_size,
      pread: read,
      pwrite: `${write}; if ${covers(at)}; then ${spoil}; fi`,
    })
    const error = errorOf(await flashed(t, path))
    assert.equal(error.code, 'E_VERIFY')
    assert.equal(error.exitCode, 5)
    assert.match(error.message, new RegExp(`${path} does not hold .* byte ${at} reads back differently`))
  })

  test('takes a write wrong once gets it once more', async (t) => {
    const at = rig.bytes.subarray(range!.offset + bad).findIndex((byte) => byte !== 0) + bad
    const once = `if ${covers(at)} && [ ! -e $f.once ]; then touch $f.once; printf '\\0' | dd of=$f bs=1 seek=${at} conv=notrunc status=none; fi`
    const { path } = await virtualDisk(t, { get_size, pread: read, pwrite: `${write}; ${once}` })
    const report = reportOf(await flashed(t, path))
    assert.ok(report.bytesWritten > range!.length - 128 * 1024)
    assert.ok(
      readFileSync(path)
        .subarray(bad, bad + MiB)
        .equals(rig.bytes.subarray(range!.offset + bad).subarray(0, MiB)),
    )
  })

  for (const [title, full, behaviour, message] of [
    [
      'cannot be read',
      false,
      {
        get_size,
        pread: `if ${covers(bad)} && [ ! -e $f.mended ]; then echo EIO >&2; exit 1; fi; ${read}`,
        pwrite: write,
      },
      /^reading .* failed at byte \d+: EIO/,
    ],
    [
      'cannot be written',
      true,
      {
        get_size,
        pread: read,
        pwrite: `if ${covers(bad)} && [ ! -e $f.mended ]; then echo EIO >&2; exit 1; fi; ${write}`,
      },
      /^writing .* failed at byte \d+: EIO/,
    ],
  ] as const) {
    test(`${title} is named with the byte, and gone on with when it is mended`, async (t) => {
      const { path, kept } = await virtualDisk(t, behaviour)
      const error = errorOf(await flashed(t, path, full))
      assert.equal(error.code, 'E_IO')
      assert.match(error.message, message)
      const at = Number(/byte (\d+)/.exec(error.message)![1])
      assert.ok(Math.abs(at - bad) <= MiB, `${at}`)
      assert.match(error.hint!, /give the same command again/)
      writeFileSync(`${kept}.mended`, '')
      const report = reportOf(await flashed(t, path, full))
      assert.equal(report.resumed, true)
      const bytes = readFileSync(path)
      assert.ok(bytes.subarray(2 * MiB, 6 * MiB).equals(rig.bytes.subarray(3 * MiB, 7 * MiB)))
    })
  }
})

describe('a loop device', { skip: skip || needsRoot }, () => {
  test('over a file that became shorter fails where that ends; when it is long again, all goes on', async (t) => {
    const card = rig.card('short.img')
    const device = loopOver(t, card)
    truncateSync(card, 13 * MiB)
    const journal = rig.path('short.journal')
    const error = errorOf(await flashOne(await rig.open(t), [device], { journal }))
    assert.equal(error.code, 'E_IO')
    assert.match(error.message, new RegExp(`(reading|writing) ${device} failed at byte \\d+: EIO`))
    truncateSync(card, cardSize)
    const report = reportOf(await flashOne(await rig.open(t), [device], { journal }))
    assert.equal(report.resumed, true)
    tool('sync', [card])
    assert.ok(
      readFileSync(card)
        .subarray(0, 11 * MiB)
        .equals(expected(rig, Buffer.alloc(cardSize, 'old')).subarray(0, 11 * MiB)),
    )
    assert.ok(
      readFileSync(card)
        .subarray(14 * MiB, 20 * MiB)
        .equals(rig.bytes.subarray(14 * MiB, 20 * MiB)),
    )
  })
})

describe('a file on a full tmpfs', { skip: skip || needsRoot }, () => {
  test('is named as full; with more room all goes on', async (t) => {
    const folder = rig.path('tmpfs')
    mkdirSync(folder)
    tool('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'none', folder])
    t.after(() => void tool('umount', [folder]))
    const card = join(folder, 'card.img')
    tool('truncate', ['-s', String(cardSize), card])
    const journal = rig.path('tmpfs.journal')
    const error = errorOf(await flashOne(await rig.open(t), [card], { full: true, journal }))
    assert.equal(error.code, 'E_IO')
    assert.match(error.message, /writing .*card.img failed at byte \d+: ENOSPC/)
    assert.match(error.hint!, /make room/)
    tool('mount', ['-o', 'remount,size=64m', folder])
    const report = reportOf(await flashOne(await rig.open(t), [card], { full: true, journal }))
    assert.equal(report.resumed, true)
    assert.ok(readFileSync(card).equals(expected(rig, Buffer.alloc(cardSize))))
  })
})

describe('a write that is interrupted', { skip }, () => {
  /** Stops after the first progress of this phase. */
  async function interrupted(t: TestContext, card: string, phase: 'writing' | 'verifying'): Promise<void> {
    const abort = new AbortController()
    const result = await flashOne(await rig.open(t, { signal: abort.signal }), [card], {
      full: true,
      signal: abort.signal,
      told: (progress) => {
        if (progress.phase === phase) abort.abort()
      },
    })
    const error = errorOf(result)
    assert.equal(error.code, 'E_INTERRUPTED')
    assert.equal(error.exitCode, 130)
    assert.ok(readFileSync(card).subarray(128, 512).equals(Buffer.alloc(384)), 'it has no partition table')
  }

  for (const phase of ['writing', 'verifying'] as const) {
    test(`while ${phase} goes on where it was`, async (t) => {
      const card = rig.card(`${phase}.img`)
      await interrupted(t, card, phase)
      const report = reportOf(await flashOne(await rig.open(t), [card], { full: true }))
      assert.equal(report.resumed, true)
      if (phase === 'verifying') assert.ok(report.bytesWritten <= 8192)
      holdsImage(card)
    })
  }

  const disturbances: [title: string, disturb: (card: string) => void, resumed: boolean][] = [
    [
      'a journal that is cut off counts as far as it goes',
      (card) => truncateSync(`${card}.journal`, readFileSync(`${card}.journal`).length - 5),
      true,
    ],
    [
      'lines that are no journal are left out',
      (card) => appendFileSync(`${card}.journal`, 'deadbeef {"state":"verified","cells":[[3,null]]}\n'),
      true,
    ],
    ['a journal of noise is none', (card) => writeFileSync(`${card}.journal`, 'noise\n\n'), false],
    [
      'a card that somebody wrote to since is looked at anew',
      (card) => writeFileSync(card, Buffer.alloc(cardSize, 'old')),
      false,
    ],
    [
      'a card that was wiped since is looked at anew',
      (card) => writeFileSync(card, Buffer.alloc(cardSize)),
      false,
    ],
  ]
  for (const [title, disturb, resumed] of disturbances) {
    test(title, async (t) => {
      const card = rig.card('disturbed.img')
      await interrupted(t, card, 'verifying')
      disturb(card)
      const report = reportOf(await flashOne(await rig.open(t), [card], { full: true }))
      assert.equal(report.resumed, resumed)
      for (const at of [MiB, 5 * MiB, 14 * MiB, 22 * MiB]) {
        const length = Math.min(MiB, imageSize - at)
        assert.ok(
          readFileSync(card)
            .subarray(at, at + length)
            .equals(rig.bytes.subarray(at, at + length)),
        )
      }
    })
  }

  test('is not gone on with by another image', async (t) => {
    const card = rig.card('other-image.img')
    await interrupted(t, card, 'verifying')
    const other = rig.edited('another.img', [[9 * MiB, Buffer.alloc(100_000, 'another')]])
    const report = reportOf(await flashOne(await other.open(t), [card], { full: true }))
    assert.equal(report.resumed, false)
    const now = readFileSync(card)
    assert.ok(now.equals(expected(other, Buffer.alloc(now.length, 'old'))))
  })
})
