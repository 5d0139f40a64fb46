/** The file of a receipt: who cannot be trusted is nobody's receipt, and none outlives the first write of a flash. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findReceipt, keepReceipt } from '../../../../lib/images/flash/receipt.ts'
import { readMark } from '../../../../lib/images/flash/receipt-mark.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import { MiB, tool } from '../../../helpers/disks.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { ext, fat, inReader, patch, ReceiptRig, run } from './receipt-rig.ts'

const skip = needs('mkfs.vfat', 'mmd', 'mkfs.ext4', 'debugfs', 'sfdisk')
const state = () => 'never written'

let rig: ReceiptRig
let path: string
before(async () => {
  if (skip) return
  rig = await ReceiptRig.open()
  path = await rig.card('card')
})
after(() => rig?.remove())
beforeEach(async () => {
  if (!skip) await rig.keep(path, inReader(path, state))
})

const only = (): string => {
  const [name, ...more] = readdirSync(rig.receipts).filter((entry) => entry.endsWith('.json'))
  assert.deepEqual(more, [])
  return join(rig.receipts, name!)
}
const change = (edit: (receipt: Record<string, unknown>) => void) => () => {
  const receipt = JSON.parse(readFileSync(only(), 'utf8'))
  edit(receipt)
  writeFileSync(only(), JSON.stringify(receipt))
}

const faults: [title: string, harm: () => void][] = [
  ['that was cut off', () => truncateSync(only(), statSync(only()).size / 2)],
  ['of another form', change((receipt) => (receipt['form'] = 2))],
  ['with a field that nobody knows', change((receipt) => (receipt['believe'] = true))],
  ['with something else in the place of a digest', change((receipt) => (receipt['chunks'] = ['x']))],
  ['of another card', change((receipt) => (receipt['card'] = 'usb\nanother reader'))],
  [
    'that is a link to one',
    () => {
      renameSync(only(), join(rig.folder, 'elsewhere'))
      symlinkSync(
        join(rig.folder, 'elsewhere'),
        join(rig.receipts, `${createHash('sha256').update('usb\nreader').digest('hex').slice(0, 32)}.json`),
      )
    },
  ],
  ['larger than any can be', () => truncateSync(only(), 65 * MiB)],
]

describe('no receipt is one', { skip }, () => {
  for (const [title, harm] of faults) {
    test(title, async () => {
      assert.equal(await rig.doubt(path, inReader(path, state)), 'it is believed')
      harm()
      assert.equal(await findReceipt(rig.receipts, inReader(path)), undefined)
      assert.match(await rig.doubt(path, inReader(path, state)), /there is no receipt/)
      for (const name of readdirSync(rig.receipts)) rmSync(join(rig.receipts, name))
    })
  }
})

test('one of other places on the card is not believed', { skip }, async () => {
  for (const start of [512, MiB]) {
    const moved = { ...inReader(path, state), starts: [start] }
    assert.match(await rig.doubt(path, moved), /wrote other places/)
  }
  change((receipt) => {
    const [area] = receipt['areas'] as { image: { length: number } }[]
    area!.image.length += MiB
  })()
  assert.match(await rig.doubt(path, inReader(path, state)), /wrote other places/)
})

test('before the first write it is void, and the card bears no mark by which another one could be believed', {
  skip,
}, async (t) => {
  const elsewhere = readFileSync(only())
  await rig.void(inReader(path))
  assert.deepEqual(readdirSync(rig.receipts), [])
  const target = await openTarget(path, { run })
  t.after(() => target.close())
  assert.equal(await readMark(target), undefined)
  writeFileSync(
    join(rig.receipts, `${createHash('sha256').update('usb\nreader').digest('hex').slice(0, 32)}.json`),
    elsewhere,
  )
  await target.close()
  assert.match(await rig.doubt(path, inReader(path)), /not bear the mark/)
})

test('the mark is taken off a device that is open for writing by this process alone', {
  skip: skip || needsRoot,
}, async (t) => {
  const file = await rig.card('behind')
  const device = tool('losetup', ['--find', '--show', file]).trim()
  t.after(() => tool('losetup', ['--detach', device]))
  await rig.keep(device, inReader(device))
  assert.equal(await rig.doubt(device, inReader(device)), 'it is believed')
  const target = await openTarget(device, { run })
  try {
    assert.match((await readMark(target)) ?? '', /^[0-9a-f]{64}$/)
    await rig.void(inReader(device))
    assert.equal(await readMark(target), undefined)
  } finally {
    await target.close()
  }
  assert.ok(
    readFileSync(file)
      .subarray(rig.image.size)
      .every((byte) => byte === 0),
  )
})

test('voiding overwrites nothing that is no mark', { skip }, async () => {
  const other = await rig.card('unmarked')
  await patch(other, 30 * MiB, 'somebody’s data')
  const all = readFileSync(other)
  await rig.void({ ...inReader(other), key: 'usb\nunmarked' })
  assert.ok(readFileSync(other).equals(all))
})

test('the image is on the card byte for byte, mark or not', { skip }, () => {
  const size = rig.image.size
  assert.ok(readFileSync(path).subarray(0, size).equals(readFileSync(rig.raw)))
})

test('kill -9 while cards are written leaves no receipt, or a whole one, and nothing else for long', {
  skip,
}, async () => {
  const script = fileURLToPath(new URL('./receipt-process.ts', import.meta.url))
  for (let round = 0; round < 4; round++) {
    const child = spawn(process.execPath, ['--import', 'tsx', script, rig.folder, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let lines = 0
    child.stdout.on('data', (text: Buffer) => {
      lines += text.toString().split('\n').length - 1
      if (lines > round) child.kill('SIGKILL')
    })
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'])
    const doubt = await rig.doubt(path, inReader(path))
    assert.match(doubt, /there is no receipt|not bear the mark|it is believed/)
  }
  await rig.keep(path, inReader(path))
  assert.deepEqual(readdirSync(rig.receipts), [only().slice(rig.receipts.length + 1)])
})

test('of what a device got of its own no digest is kept, so that none tells a password', {
  skip,
}, async () => {
  // As values are written: a file of the FAT, and blocks of the ext4 partition.
  const own = [
    { offset: fat.offset + 2 * MiB + 512, length: 1024 },
    { offset: ext.offset + 6 * MiB, length: 4096 },
  ]
  const before = {
    chunks: rig.image.chunks!.map(() => 'b'.repeat(64)),
    how: 'compared' as const,
  }
  await rig.keep(path, inReader(path), { own, before })
  const receipt = await findReceipt(rig.receipts, inReader(path))
  for (const chunk of [3, 11]) {
    assert.equal(receipt!.chunks[chunk], '')
    assert.ok(!receipt!.changed.flat().includes(chunk))
    for (const { places } of receipt!.witnesses)
      for (const { offset, length } of places)
        for (const secret of own)
          assert.ok(offset + length <= secret.offset || secret.offset + secret.length <= offset)
  }
  const belief = await rig.believe(path, inReader(path))
  assert.ok('held' in belief)
  assert.equal(belief.held.chunks[3], undefined)
  assert.equal(belief.held.chunks[4], rig.image.chunks![4])
})

test('64 cards are remembered, and the oldest of more is forgotten', { skip }, async () => {
  const receipt = (await findReceipt(rig.receipts, inReader(path)))!
  for (let i = 0; i < 70; i++) {
    await keepReceipt(rig.receipts, { ...receipt, card: `card ${i}` }, {})
    const name = `${createHash('sha256').update(`card ${i}`).digest('hex').slice(0, 32)}.json`
    utimesSync(join(rig.receipts, name), 1000 + i, 1000 + i)
  }
  assert.equal(readdirSync(rig.receipts).length, 64)
  const known = async (key: string) =>
    (await findReceipt(rig.receipts, { ...inReader(path), key })) !== undefined
  assert.deepEqual(await Promise.all(['card 0', 'card 69'].map(known)), [false, true])
})
