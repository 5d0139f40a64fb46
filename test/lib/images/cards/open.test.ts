import assert from 'node:assert/strict'
import {
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import {
  expectCount,
  partitionAreas,
  wholeArea,
  writablePartitions,
} from '../../../../lib/images/cards/areas.ts'
import { openImageFile } from '../../../../lib/images/cards/image.ts'
import {
  closeTargets,
  expectElsewhere,
  expectUnchanged,
  openCard,
  seeCards,
} from '../../../../lib/images/cards/open.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import type { DiskImage } from '../../../../lib/images/flash/types.ts'
import { loopDevice } from '../../../helpers/cards.ts'
import { MiB, missing, TestDisk, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'

const skip = missing('sfdisk', 'mke2fs', 'flock')
const folder = mkdtempSync(join(tmpdir(), 'fleetsie-open-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const { signal } = new AbortController()
const run = runner({ home: folder })
const access = { cwd: folder, allowed: {}, run, signal }
const path = (name: string): string => join(folder, name)
const card = (name: string, size = 32 * MiB): string => {
  writeFileSync(path(name), '')
  truncateSync(path(name), size)
  return path(name)
}

/** Partition 1, an extended one, and partition 5 with an ext4 of 4 MiB in its 8 MiB. */
async function openTestImage(): Promise<{ image: DiskImage; close(): Promise<void> }> {
  const disk = new TestDisk(24 * MiB, 'label: dos\n2048,8192,c\n10240,32768,5\n12288,16384,83\n')
  tool('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', `offset=${12288 * 512}`, disk.path, '4M'])
  const options = { run, tmp: folder, jobs: 1, signal, note: () => {} }
  const image = await openImageFile(disk.path, options)
  return {
    image,
    close: async () => {
      await image.close()
      disk.remove()
    },
  }
}

describe('a card is opened as it was looked at', { skip }, () => {
  let opened: Awaited<ReturnType<typeof openTestImage>>
  beforeEach(async (t) => {
    opened = await openTestImage()
    ;(t as unknown as { after(work: () => Promise<void>): void }).after(() => opened.close())
  })
  const see = (name: string) => seeCards([{ role: 'disk', names: [name] }], access)

  test('and is all of the image', async () => {
    card('a.img')
    const [seen] = await see('./a.img')
    const open = await openCard(seen!, opened.image, access)
    assert.deepEqual(
      open.areas.map(({ image }) => image),
      [{ offset: 0, length: 24 * MiB }],
    )
    await closeTargets(open.targets)
  })

  const swaps: [title: string, swap: () => void][] = [
    ['another file has its name', () => renameSync(card('other.img'), path('a.img'))],
    ['it has another size', () => truncateSync(path('a.img'), 40 * MiB)],
    [
      'a link leads to another file',
      () => {
        rmSync(path('a.img'))
        symlinkSync(card('other.img'), path('a.img'))
      },
    ],
  ]
  for (const [title, swap] of swaps) {
    test(`and refused when ${title} by then`, async () => {
      card('a.img')
      const [seen] = await see('./a.img')
      swap()
      await assert.rejects(openCard(seen!, opened.image, access), {
        code: 'E_UNSAFE',
        message: /became another device/,
      })
      const held = readdirSync('/proc/self/fd').map((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`)
        } catch {
          return ''
        }
      })
      assert.deepEqual(
        held.filter((name) => name.startsWith(folder)),
        [],
        'nothing stays open',
      )
    })
  }

  for (const [title, swap] of swaps) {
    test(`and not written when ${title} before the user has answered`, async (t) => {
      card('a.img')
      const [seen] = await see('./a.img')
      const open = await openCard(seen!, opened.image, access)
      t.after(() => closeTargets(open.targets))
      await expectUnchanged(open, access)
      swap()
      await assert.rejects(expectUnchanged(open, access), {
        code: 'E_UNSAFE',
        message: /became another device/,
      })
    })
  }

  test('and not while another one writes it', async () => {
    card('a.img')
    const [seen] = await see('./a.img')
    const open = await openCard(seen!, opened.image, access)
    await assert.rejects(openCard(seen!, opened.image, access), { code: 'E_UNSAFE', message: /in use/ })
    await closeTargets(open.targets)
  })

  test('but not when the image is that file', async () => {
    card('a.img')
    const [seen] = await see('./a.img')
    await assert.rejects(expectElsewhere(path('a.img'), [seen!]), { code: 'E_UNSAFE' })
    await expectElsewhere(card('b.img'), [seen!])
  })
})

describe('partitions of an image', { skip }, () => {
  test('are those that hold something, in their order', async () => {
    const { image, close } = await openTestImage()
    assert.deepEqual(
      writablePartitions(image.table).map(({ number }) => number),
      [1, 5],
    )
    expectCount(['sdc1', 'sdc5'], image)
    assert.throws(() => expectCount(['sdc1'], image), {
      code: 'E_USAGE',
      message: 'not enough device partitions given: missing #2',
    })
    assert.throws(() => expectCount(['a', 'b', 'c'], image), { code: 'E_USAGE', message: /too many/ })
    await close()
  })

  const sizes: [size: number, length: number | RegExp][] = [
    [9 * MiB, 8 * MiB],
    [8 * MiB, 8 * MiB],
    [5 * MiB, 4 * MiB],
    [4 * MiB, 4 * MiB],
    [4 * MiB - 512, /too small: it has 4193792 bytes, and the filesystem of partition 5 needs 4194304/],
  ]
  for (const [size, length] of sizes) {
    test(`the filesystem of 4 MiB in one of 8 ${typeof length === 'number' ? 'fits' : 'does not fit'} into ${size} bytes`, async () => {
      const { image, close } = await openTestImage()
      const targets = await Promise.all(
        [card('1.img'), card('5.img', size)].map(async (path) => ({
          name: path,
          target: await openTarget(path, { run }),
        })),
      )
      const areas = partitionAreas(image, targets, signal)
      if (typeof length === 'number')
        assert.deepEqual((await areas)[1]!.image, { offset: 12288 * 512, length })
      else await assert.rejects(areas, { code: 'E_UNSAFE', message: length })
      await closeTargets(targets.map(({ target }) => target))
      await close()
    })
  }

  test('all of it does not go onto a smaller card', async () => {
    const { image, close } = await openTestImage()
    const target = await openTarget(card('a.img', 20 * MiB), { run })
    assert.throws(() => wholeArea(image, target, 'a'), {
      code: 'E_UNSAFE',
      message: /20971520 bytes, and disk.img needs 25165824/,
    })
    await closeTargets([target])
    await close()
  })
})

describe('two loop devices over one file', { skip: skip || needsRoot || missing('losetup') }, () => {
  const rows: [title: string, second: { offset: number; size: number } | undefined, refused: boolean][] = [
    ['are refused when both show all of it', undefined, true],
    ['are refused when one shows a part of the other', { offset: 24 * MiB, size: 8 * MiB }, true],
    ['are taken when each shows a part of its own', { offset: 16 * MiB, size: 8 * MiB }, false],
  ]
  for (const [title, second, refused] of rows) {
    test(title, async (t) => {
      const file = card('twice.img')
      const undo = (work: () => void) => t.after(work)
      const first = refused ? undefined : { offset: 0, size: 16 * MiB }
      const names = [loopDevice(undo, file, first), loopDevice(undo, file, second)]
      const seen = seeCards(
        names.map((name) => ({ role: 'disk', names: [name] })),
        access,
      )
      if (refused) await assert.rejects(seen, { code: 'E_UNSAFE', message: /over the same file as/ })
      else assert.equal((await seen).length, 2)
    })
  }
})
