import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from '../../../lib/formats/crc32.ts'
import { type GptTable, readGpt } from '../../../lib/formats/gpt.ts'
import { growGpt } from '../../../lib/formats/gpt-grow.ts'
import { MiB, missing, readerOf, sfdiskTable, TestDisk, tool } from '../../helpers/disks.ts'

const skip = missing('sfdisk', 'sgdisk')
const size = 24 * MiB
const sectors = size / 512
const backupAt = size - 512

const script = `label: gpt
label-id: 7B54A4EC-BB65-7B45-85EF-0B1AF21786E2
first-lba: 34
start=2048, size=8192, type=uefi, name="EFI sys"
start=10240, size=8192, name="wurzel ö", attrs="LegacyBIOSBootable GUID:63"
`
const parse = (bytes: Buffer): Promise<GptTable> => readGpt(readerOf(bytes), bytes.length)

function newDisk(t: { after(work: () => void): void }, text = script): TestDisk {
  const disk = new TestDisk(size, text)
  t.after(() => disk.remove())
  return disk
}

function likeSfdisk(table: GptTable): unknown {
  return table.partitions.map(({ offset, size, type, id, name }) => ({
    start: offset / 512,
    size: size / 512,
    type: type.toUpperCase(),
    uuid: id.toUpperCase(),
    ...(name && { name }),
  }))
}

const sfdiskView = (path: string): { id: string; partitions: unknown } => {
  const { id, partitions } = sfdiskTable(path)
  return { id, partitions: partitions.map(({ node: _node, attrs: _attrs, ...rest }) => rest) }
}

/** Puts the header's CRC right again after a change, so that only the change is at fault. */
function sign(bytes: Buffer, at: number): void {
  bytes.writeUInt32LE(0, at + 16)
  bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 92)), at + 16)
}

function signEntries(bytes: Buffer, at: number): void {
  const entriesAt = Number(bytes.readBigUInt64LE(at + 72)) * 512
  bytes.writeUInt32LE(crc32(bytes.subarray(entriesAt, entriesAt + 128 * 128)), at + 88)
  sign(bytes, at)
}

for (const [sentence, text] of [
  ['a GPT is read as sfdisk reads it', script],
  ['the array may begin after a gap', script.replace('first-lba: 34\n', '')],
  ['slots may be empty', 'label: gpt\n5 : start=4096, size=2048, name="fünf"\n'],
  ['a name may fill its field', `label: gpt\nstart=2048, size=2048, name="${'n'.repeat(36)}"\n`],
] as const) {
  test(sentence, { skip }, async (t) => {
    const disk = newDisk(t, text)
    const table = await parse(disk.bytes())
    const view = sfdiskView(disk.path)
    assert.deepEqual({ id: table.diskId.toUpperCase(), partitions: likeSfdisk(table) }, view)
    assert.deepEqual(table.warnings, [])
  })
}

test('attributes are kept and the bootable one is told', { skip }, async (t) => {
  const { partitions } = await parse(newDisk(t).bytes())
  assert.deepEqual(
    partitions.map(({ number, bootable, attributes }) => ({ number, bootable, attributes })),
    [
      { number: 1, bootable: false, attributes: 0n },
      { number: 2, bootable: true, attributes: 4n | (1n << 63n) },
    ],
  )
})

const recoverable: [string, (bytes: Buffer) => Buffer | undefined, RegExp][] = [
  ['a wiped first header', (b) => void b.fill(0, 512, 1024), /first .* backup is used.* at byte 512$/],
  [
    'a flipped bit in the first header',
    (b) => void b.writeUInt8(7, 512 + 60),
    /header's CRC is wrong at byte 512$/,
  ],
  [
    'a flipped bit in the first entries',
    (b) => void b.writeUInt8(7, 1024 + 60),
    /entries at byte 1024 is wrong$/,
  ],
  [
    'a wiped backup header',
    (b) => void b.fill(0, backupAt),
    /backup GPT header is damaged: .* at byte 25165312$/,
  ],
  [
    'an image cut just before its backup',
    (b) => b.subarray(0, backupAt - 33 * 512),
    /backup .* sector 49151 of 49118$/,
  ],
  [
    'a backup of another table',
    (b) => {
      b.writeUInt8(0x41, backupAt - 32 * 512 + 56)
      return void signEntries(b, backupAt)
    },
    /differs/,
  ],
]
for (const [sentence, change, says] of recoverable) {
  test(`${sentence} is told, and the sound table used`, { skip }, async (t) => {
    const bytes = newDisk(t).bytes()
    const intact = await parse(bytes)
    const cut = change(bytes) ?? bytes
    // Where the disk ends early the first header's bounds no longer hold, so keep them inside.
    if (cut.length < size) {
      cut.writeBigUInt64LE(BigInt(cut.length / 512 - 1), 512 + 48)
      sign(cut, 512)
    }
    const table = await parse(cut)
    assert.deepEqual(likeSfdisk(table), likeSfdisk(intact))
    assert.equal(table.warnings.length, 1)
    assert.match(table.warnings[0]!, says)
  })
}

/** Changes a field of both headers and signs them again. */
const inBoth = (change: (bytes: Buffer, at: number) => void) => (bytes: Buffer) => {
  for (const at of [512, backupAt]) {
    change(bytes, at)
    sign(bytes, at)
  }
  return undefined
}
/** Changes an entry in both arrays and signs all. */
const inEntries = (change: (bytes: Buffer, at: number) => void) => (bytes: Buffer) => {
  change(bytes, 1024)
  change(bytes, backupAt - 32 * 512)
  signEntries(bytes, 512)
  signEntries(bytes, backupAt)
  return undefined
}

const damage: [string, (bytes: Buffer) => Buffer | undefined, RegExp][] = [
  ['no protective MBR', (b) => void b.fill(0, 446, 512), /no protective MBR/],
  [
    'nothing but a protective MBR',
    (b) => b.fill(0, 512),
    /both GPT headers .* at byte 512; backup: .* 25165312$/,
  ],
  ['a single sector', (b) => b.subarray(0, 512), /both GPT headers/],
  [
    'a bad CRC in both headers',
    (b) => {
      b.writeUInt8(7, 512 + 60)
      b.writeUInt8(7, backupAt + 60)
      return undefined
    },
    /both .* CRC is wrong at byte 512; backup: .* CRC is wrong at byte 25165312/,
  ],
  [
    'an image cut in half',
    (b) => b.subarray(0, size / 2),
    /both GPT headers .* sectors 34 to 49118 .* has 24576/,
  ],
  [
    'an absurd count of entries',
    inBoth((b, at) => b.writeUInt32LE(0xffffffff, at + 80)),
    /4294967295 entries/,
  ],
  ['no entries at all', inBoth((b, at) => b.writeUInt32LE(0, at + 80)), /0 entries/],
  ['entries of an absurd size', inBoth((b, at) => b.writeUInt32LE(0x80000000, at + 84)), /2147483648 bytes/],
  ['entries of an odd size', inBoth((b, at) => b.writeUInt32LE(200, at + 84)), /entries of 200 bytes/],
  ['a header of an absurd size', inBoth((b, at) => b.writeUInt32LE(4000, at + 12)), /a header of 4000 bytes/],
  [
    'entries inside the partitions',
    inBoth((b, at) => b.writeBigUInt64LE(2000n, at + 72)),
    /the entries at sector 2000/,
  ],
  [
    'entries past the end',
    inBoth((b, at) => b.writeBigUInt64LE(2n ** 63n, at + 72)),
    /the entries at sector 9223/,
  ],
  [
    'entries over a header',
    inBoth((b, at) => b.writeBigUInt64LE(at === 512 ? 33n : BigInt(sectors - 32), at + 72)),
    /sector 33; backup: .* puts the entries at sector 49120/,
  ],
  [
    'a header where partitions may be',
    inBoth((b, at) => b.writeBigUInt64LE(at === 512 ? 1n : BigInt(sectors - 1), at + (at === 512 ? 40 : 48))),
    /lies where partitions may be; backup: .* lies where/,
  ],
  [
    'usable sectors past the end',
    inBoth((b, at) => b.writeBigUInt64LE(2n ** 40n, at + 48)),
    /gives sectors 34 to/,
  ],
  [
    'a header that is elsewhere',
    inBoth((b, at) => b.writeBigUInt64LE(5n, at + 24)),
    /says that it is at sector 5/,
  ],
  [
    'a partition past the end',
    inEntries((b, at) => b.writeBigUInt64LE(BigInt(sectors), at + 40)),
    /partition 1 .* at byte 1024$/,
  ],
  [
    'a partition over the table',
    inEntries((b, at) => b.writeBigUInt64LE(3n, at + 32)),
    /sectors 3 to 10239.* 1024$/,
  ],
  [
    'a partition that ends before it begins',
    inEntries((b, at) => b.writeBigUInt64LE(9n, at + 40)),
    /sectors 2048 to 9/,
  ],
  [
    'partitions that overlap',
    inEntries((b, at) => b.writeBigUInt64LE(10240n, at + 40)),
    /partition 2 begins at byte 5242880, inside partition 1.* bytes 1152 and 1024/,
  ],
]
for (const [sentence, change, says] of damage) {
  test(`damaged: ${sentence}`, { skip }, async (t) => {
    const bytes = newDisk(t).bytes()
    await assert.rejects(parse(change(bytes) ?? bytes), { code: 'E_DAMAGED', message: says })
  })
}

test('a GPT for sectors of 4096 bytes is refused by name', { skip }, async (t) => {
  const bytes = newDisk(t).bytes()
  bytes.copy(bytes, 4096, 512, 1024)
  bytes.fill(0, 512, 1024)
  bytes.fill(0, backupAt)
  await assert.rejects(parse(bytes), { code: 'E_UNSUPPORTED', message: /4096 bytes/ })
})

for (const { sentence, text, number, add, diskSize } of [
  { sentence: 'the last partition grows, and the disk with it', text: script, number: 2, add: 40 * MiB },
  { sentence: 'the last partition grows into free space', text: script, number: 2, add: MiB },
  {
    sentence: 'the backup moves to the end of a larger disk',
    text: script,
    number: 2,
    add: 0,
    diskSize: 31 * MiB + 512,
  },
  {
    sentence: 'an array behind a gap stays there',
    text: script.replace('first-lba: 34\n', ''),
    number: 2,
    add: 9 * MiB,
  },
  {
    sentence: 'the partition that ends last need not have the last slot',
    text: 'label: gpt\nstart=20480, size=2048, name=a\nstart=2048, size=2048, name=b\n',
    number: 1,
    add: 40 * MiB,
  },
]) {
  test(`${sentence}: ids, names and attributes stay`, { skip }, async (t) => {
    const disk = newDisk(t, text)
    disk.edit((bytes) => void bytes.write('boot code', 3))
    const before = sfdiskTable(disk.path)
    const old = await parse(disk.bytes())
    const partition = old.partitions.find((one) => one.number === number)!
    disk.apply(growGpt(old, number, partition.size + add, diskSize))

    const after = sfdiskTable(disk.path)
    const grown = before.partitions.find(({ start }) => start === partition.offset / 512)!
    grown['size'] = Number(grown['size']) + add / 512
    assert.deepEqual(
      { id: after.id, partitions: after.partitions },
      { id: before.id, partitions: before.partitions },
    )
    assert.match(tool('sgdisk', ['--verify', disk.path]), /No problems found/)
    const bytes = disk.bytes()
    assert.equal(bytes.readUInt32LE(446 + 12), Math.floor(bytes.length / 512) - 1)
    assert.deepEqual((await parse(bytes)).warnings, [])
    assert.equal(bytes.toString('latin1', 3, 12), 'boot code')
    if (bytes.length > size) assert.ok(bytes.subarray(backupAt, size).every((byte) => byte === 0))
    // Either header must do by itself.
    bytes.fill(0, 512, 1024)
    assert.deepEqual(likeSfdisk(await parse(bytes)), sfdiskView(disk.path).partitions)
  })
}

test('growing writes a new backup where the old one was damaged', { skip }, async (t) => {
  const disk = newDisk(t)
  disk.edit((bytes) => void bytes.fill(0, backupAt))
  const table = await parse(disk.bytes())
  disk.apply(growGpt(table, 2, 10 * MiB))
  assert.match(tool('sgdisk', ['--verify', disk.path]), /No problems found/)
})

test('a hybrid MBR keeps its own partitions', { skip }, async (t) => {
  const disk = newDisk(t)
  tool('sgdisk', ['--hybrid=1', disk.path])
  const before = disk.bytes().subarray(446, 512)
  disk.apply(growGpt(await parse(disk.bytes()), 2, 40 * MiB))
  assert.deepEqual(disk.bytes().subarray(446, 512), before)
  assert.match(tool('sgdisk', ['--verify', disk.path]), /No problems found/)
})

const refused: [string, number, number, number | undefined, RegExp][] = [
  ['a partition that others follow', 1, 8 * MiB, undefined, /partition 2 comes after/],
  ['a partition that is not there', 9, 8 * MiB, undefined, /no partition 9/],
  ['making a partition smaller', 2, MiB, undefined, /only grow/],
  ['a size that is no multiple of a sector', 2, 8 * MiB + 1, undefined, /only grow/],
  ['a disk with no room for the backup', 2, 19 * MiB, size, /needs a disk of 25182720/],
  ['a smaller disk', 2, 4 * MiB, 20 * MiB, /not 20971520/],
]
for (const [sentence, number, bytes, diskSize, says] of refused) {
  test(`refused: ${sentence}`, { skip }, async (t) => {
    const table = await parse(newDisk(t).bytes())
    assert.throws(() => growGpt(table, number, bytes, diskSize), { code: 'E_INPUT', message: says })
  })
}

test('refused: growing while the first header is damaged, with a remedy that works', { skip }, async (t) => {
  const disk = newDisk(t)
  disk.edit((bytes) => void bytes.fill(0, 512, 1024))
  const table = await parse(disk.bytes())
  assert.throws(() => growGpt(table, 2, 40 * MiB), {
    code: 'E_DAMAGED',
    hint: /sgdisk -e/,
    message: /byte 512/,
  })
  tool('sgdisk', ['-e', disk.path])
  disk.apply(growGpt(await parse(disk.bytes()), 2, 40 * MiB))
  assert.match(tool('sgdisk', ['--verify', disk.path]), /No problems found/)
})

test('no single flipped byte of a GPT makes anything but a table or E_DAMAGED', { skip }, async (t) => {
  const bytes = newDisk(t).bytes()
  const intact = likeSfdisk(await parse(bytes))
  for (const start of [440, 512, 1024, 1152, backupAt, backupAt - 32 * 512]) {
    for (let at = start; at < start + 100; at++) {
      const kept = bytes[at]!
      bytes[at] = kept ^ 0x10
      await parse(bytes).then(
        (table) => assert.deepEqual(likeSfdisk(table), intact),
        (error: { code?: string }) => assert.equal(error.code, 'E_DAMAGED'),
      )
      bytes[at] = kept
    }
  }
})
