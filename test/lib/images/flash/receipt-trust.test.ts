/** A receipt is believed only while the card is what it was after the flash; who was there is named. */
import assert from 'node:assert/strict'
import { copyFile, mkdir, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { cardSize, ext, fat, inReader, patch, ReceiptRig } from './receipt-rig.ts'

const skip = needs('mkfs.vfat', 'mmd', 'mkfs.ext4', 'debugfs', 'sfdisk')

let rig: ReceiptRig
before(async () => {
  if (!skip) rig = await ReceiptRig.open()
})
after(() => rig?.remove())

/** A card that was flashed, in the reader ever since. `kernel` would have counted no write. */
async function flashed(name: string) {
  const path = await rig.card(name)
  const identity = inReader(path, () => 'never written')
  await rig.keep(path, identity)
  return { path, identity }
}

/** Mounts the ext4 partition with the kernel, lets `use` do something there, and unmounts it. */
async function mounted(path: string, options: string, use: (folder: string) => void): Promise<void> {
  const folder = join(rig.folder, 'mnt')
  await mkdir(folder, { recursive: true })
  tool('mount', [
    '-t',
    'ext4',
    '-o',
    `loop,offset=${ext.offset},sizelimit=${ext.size}${options}`,
    path,
    folder,
  ])
  try {
    use(folder)
  } finally {
    tool('umount', [folder])
  }
}

const mtools = (path: string): string[] => ['-i', `${path}@@${fat.offset}`]

const intrusions: [
  title: string,
  intrude: (path: string) => void | Promise<void>,
  why: RegExp,
  root?: true,
][] = [
  [
    'mounted for writing, and nothing written',
    (path) => mounted(path, '', () => {}),
    /superblock .* part_2/,
    true,
  ],
  [
    'mounted, and an empty file made',
    (path) => mounted(path, '', (folder) => tool('touch', [join(folder, 'x')])),
    /superblock .* part_2/,
    true,
  ],
  [
    'a FAT file replaced by one of the same length',
    (path) => void tool('mcopy', ['-o', ...mtools(path), '-', '::/deep/config.txt'], 'two\n'),
    /(the FAT or a folder|a small file) of part_1/,
  ],
  [
    'a FAT file renamed in its folder',
    (path) => void tool('mren', [...mtools(path), '::/deep/config.txt', '::/deep/config.bak']),
    /the FAT or a folder of part_1/,
  ],
  [
    'the dirty bit of the FAT',
    (path) => patch(path, fat.offset + 512 + 3, '\x7f'),
    /the FAT or a folder of part_1/,
  ],
  ['the disk signature', (path) => patch(path, 440, 'new!'), /outside of ext and FAT/],
  ['code between the partitions', (path) => patch(path, 600 * 1024, 'boot'), /outside of ext and FAT/],
  [
    'all content of files, by a program that knows the witnesses',
    async (path) => {
      for (let at = ext.offset + 2 * MiB; at < ext.offset + ext.size; at += MiB)
        await patch(path, at + 1000, 'other content')
    },
    /MiB \d+, taken at random/,
  ],
  ['the mark taken off', (path) => patch(path, cardSize - 2 * MiB, 'gone'), /not bear the mark/],
  ['the card cut off', (path) => truncate(path, ext.offset + 4 * MiB), /not bear the mark|could not be read/],
]

describe('a card in which something changed is read as a whole', { skip }, () => {
  for (const [number, [title, intrude, why, root]] of intrusions.entries()) {
    test(title, { skip: root && needsRoot }, async () => {
      const { path, identity } = await flashed(`intruded-${number}`)
      await intrude(path)
      assert.match(await rig.doubt(path, identity), why)
    })
  }
})

test('a card that nobody touched is believed, and the sample is stated', { skip }, async () => {
  const { path, identity } = await flashed('untouched')
  const belief = await rig.believe(path, identity)
  assert.ok('held' in belief, JSON.stringify(belief))
  assert.deepEqual(belief.held.chunks, rig.image.chunks)
  assert.deepEqual(belief.held.covers, rig.image.mapped)
  assert.equal(belief.held.how, 'receipt')
  assert.ok(belief.sampled >= 8 * MiB && belief.sampled % MiB === 0)
})

test('mounted for reading only, it is believed', { skip: skip || needsRoot }, async () => {
  const { path, identity } = await flashed('read-only')
  await mounted(path, ',ro', () => {})
  assert.equal(await rig.doubt(path, identity), 'it is believed')
})

describe('two cards in one reader, which has but one serial', { skip }, () => {
  test('the other one, of an earlier flash, does not pass for the last one', async () => {
    const first = await rig.card('first')
    const second = await rig.card('second')
    await rig.keep(first, inReader(first))
    await rig.keep(second, inReader(second))
    assert.match(await rig.doubt(first, inReader(first)), /not bear the mark/)
    assert.equal(await rig.doubt(second, inReader(second)), 'it is believed')
  })

  test('one that the reader has not had is new, and so is each when there is no receipt', async () => {
    const [known, fresh] = [await rig.card('known'), await rig.card('fresh')]
    await rig.keep(known, inReader(known))
    assert.ok(await rig.isKnown(known, inReader(known)))
    assert.ok(!(await rig.isKnown(fresh, inReader(fresh))))
    await rig.void(inReader(known))
    assert.ok(!(await rig.isKnown(known, inReader(known))))
  })

  test('a copy of its first bytes does not pass for it', async () => {
    const { path, identity } = await flashed('original')
    const copy = join(rig.folder, 'copy')
    await copyFile(rig.raw, copy)
    await truncate(copy, cardSize)
    assert.equal(await rig.doubt(path, identity), 'it is believed')
    assert.match(await rig.doubt(copy, identity), /not bear the mark/)
  })

  test('an image that leaves no room for a mark is believed in the same session only', async () => {
    const path = await rig.card('full')
    await truncate(path, rig.image.size)
    await rig.keep(
      path,
      inReader(path, () => 'session 1'),
    )
    assert.equal(
      await rig.doubt(
        path,
        inReader(path, () => 'session 1'),
      ),
      'it is believed',
    )
    assert.match(
      await rig.doubt(
        path,
        inReader(path, () => 'session 2'),
      ),
      /out of its reader or written/,
    )
    assert.match(await rig.doubt(path, inReader(path)), /out of its reader or written/)
  })
})

test('what the last flashes changed is looked at first, whatever else is the same', { skip }, async () => {
  const path = await rig.card('history')
  const identity = inReader(path, () => 'never written')
  const held = (changed: number) => ({
    chunks: rig.image.chunks!.map((sum, chunk) => (chunk === changed ? 'b'.repeat(64) : sum)),
    how: 'receipt' as const,
  })
  const { findReceipt } = await import('../../../../lib/images/flash/receipt.ts')
  await rig.keep(path, identity, { before: held(8) })
  await rig.keep(path, identity, { before: held(9), earlier: await findReceipt(rig.receipts, identity) })
  for (const chunk of [8, 9]) {
    const older = await rig.card(`older-${chunk}`)
    await copyFile(path, older)
    await patch(older, chunk * MiB + 5000, 'of an older build')
    assert.match(await rig.doubt(older, identity), /what the last flashes changed/)
  }
})
