import assert from 'node:assert/strict'
import { closeSync, openSync, readSync, truncateSync, writeSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { type MbrTable, readMbr } from '../../../lib/formats/mbr.ts'
import { growMbr } from '../../../lib/formats/mbr-grow.ts'
import type { Patch } from '../../../lib/formats/random-access.ts'
import { MiB, missing, readerOf, sfdiskTable, TestDisk, tool } from '../../helpers/disks.ts'

const skip = missing('sfdisk')

const primaries = `label: dos
label-id: 0x0badcafe
start=2048, size=8192, type=c, bootable
start=10240, size=20480, type=83
`
const logicals = `label: dos
label-id: 0x1234abcd
start=2048, size=8192, type=c
start=10240, size=40960, type=f
start=12288, size=4096, type=83
start=18432, size=4096, type=82
start=24576, size=8192, type=83, bootable
`

function patchFile(path: string, patches: readonly Patch[]): void {
  const fd = openSync(path, 'r+')
  for (const { offset, bytes } of patches) writeSync(fd, bytes, 0, bytes.length, offset)
  closeSync(fd)
}

function readSector(path: string, at: number): Buffer {
  const fd = openSync(path, 'r')
  const sector = Buffer.alloc(512)
  readSync(fd, sector, 0, 512, at)
  closeSync(fd)
  return sector
}

const parse = (bytes: Buffer): Promise<MbrTable> => readMbr(readerOf(bytes), bytes.length)

/** Start, size, type and boot flag of each partition in sectors, as sfdisk's JSON spells them. */
function likeSfdisk(table: MbrTable): unknown {
  return table.partitions.map(({ number, offset, size, type, bootable }) => ({
    number,
    start: offset / 512,
    size: size / 512,
    type: type.toString(16),
    ...(bootable && { bootable }),
  }))
}

function sfdiskView(path: string): { id: string; partitions: unknown } {
  const { id, partitions } = sfdiskTable(path)
  return {
    id,
    partitions: partitions.map(({ node, ...rest }) => ({
      number: Number(/\d+$/.exec(String(node))![0]),
      ...rest,
    })),
  }
}

for (const [sentence, script] of [
  ['primary partitions are read as sfdisk reads them', primaries],
  ['logical partitions are numbered from 5 in the order of the chain', logicals],
  ['an extended partition without logical ones is no fault', 'label: dos\nstart=2048, size=8192, type=5\n'],
  ['slots may be empty', 'label: dos\n3 : start=2048, size=8192, type=83\n'],
  [
    'partitions may lie in another order than their slots',
    'label: dos\nstart=20480, size=2048\nstart=2048, size=2048\n',
  ],
] as const) {
  test(sentence, { skip }, async (t) => {
    const disk = new TestDisk(40 * MiB, script)
    t.after(() => disk.remove())
    const table = await parse(disk.bytes())
    assert.deepEqual({ id: `0x${table.diskId}`, partitions: likeSfdisk(table) }, sfdiskView(disk.path))
  })
}

test('an EBR that holds no partition takes no number', { skip }, async (t) => {
  const disk = new TestDisk(40 * MiB, logicals)
  t.after(() => disk.remove())
  disk.edit((bytes) => void bytes.fill(0, 16384 * 512 + 446, 16384 * 512 + 462))
  const table = await parse(disk.bytes())
  assert.deepEqual(likeSfdisk(table), sfdiskView(disk.path).partitions)
  assert.equal(table.partitions.length, 4)
})

const growths = [
  {
    sentence: 'the last primary partition grows, and the disk with it',
    script: primaries,
    number: 2,
    add: 50 * MiB,
  },
  {
    sentence: 'a primary partition grows into the free end of the disk',
    script: primaries,
    number: 2,
    add: MiB,
  },
  { sentence: 'a logical partition grows inside its extended one', script: logicals, number: 7, add: MiB },
  {
    sentence: 'a logical partition takes its extended one along',
    script: logicals,
    number: 7,
    add: 90 * MiB,
  },
  {
    sentence: 'the only logical partition grows, its EBR being the first',
    script: 'label: dos\nstart=2048, size=8192, type=5\nstart=4096, size=2048\n',
    number: 5,
    add: 64 * MiB,
  },
  {
    sentence: 'a partition grows past the reach of CHS addresses',
    script: primaries,
    number: 2,
    add: 9000 * MiB,
  },
]
for (const { sentence, script, number, add } of growths) {
  test(`${sentence}: only sizes change`, { skip }, async (t) => {
    const disk = new TestDisk(40 * MiB, script)
    t.after(() => disk.remove())
    disk.edit((bytes) => void bytes.write('boot code', 3))
    const old = await parse(disk.bytes())
    const { offset, size } = old.partitions.find((partition) => partition.number === number)!
    const growth = growMbr(old, number, size + add)
    assert.equal(growth.diskSize, Math.max(40 * MiB, Math.ceil((offset + size + add) / MiB) * MiB))

    // The judge makes the table of that size anew: every sector of ours must be as it would have been made.
    const end = (offset + size + add) / 512
    const container = old.partitions.find(({ kind }) => kind === 'extended' && number > 4)
    const lines = script.split('\n').map((line) => {
      const start = Number(/start=(\d+)/.exec(line)?.[1]) * 512
      const grows = start === offset || start === container?.offset
      return grows ? line.replace(/size=(\d+)/, (_, n) => `size=${Math.max(n, end - start / 512)}`) : line
    })
    const judge = new TestDisk(growth.diskSize, `label-id: 0x${old.diskId}\n${lines.join('\n')}`)
    t.after(() => judge.remove())
    // Nine gigabytes of holes are not for a Buffer.
    truncateSync(disk.path, growth.diskSize)
    patchFile(disk.path, growth.patches)
    for (const at of old.sectors.keys()) {
      const [ours, theirs] = [disk.path, judge.path].map((path) => readSector(path, at)) as [Buffer, Buffer]
      if (at === 0) assert.equal(ours.toString('latin1', 3, 12), 'boot code')
      assert.equal(ours.toString('hex', 440), theirs.toString('hex', 440), `the sector at byte ${at}`)
    }
    assert.match(tool('sfdisk', ['--verify', disk.path]), /No errors/)
  })
}

for (const [sentence, chs, grown] of [
  ['an end without a CHS address keeps none', '000000', '000000'],
  ['an end in another geometry becomes the one that points to the LBA', '0f3f10', 'feffff'],
] as const) {
  test(sentence, { skip }, async (t) => {
    const disk = new TestDisk(40 * MiB, primaries)
    t.after(() => disk.remove())
    disk.edit((bytes) => void bytes.write(chs, 462 + 5, 'hex'))
    const growth = growMbr(await parse(disk.bytes()), 2, 11 * MiB)
    assert.equal(growth.patches[0]!.bytes.toString('hex', 462 + 5, 462 + 8), grown)
  })
}

const refused = [
  {
    sentence: 'a partition that others follow',
    script: primaries,
    number: 1,
    size: 8 * MiB,
    says: /partition 2 comes after/,
  },
  {
    sentence: 'an extended partition by itself',
    script: logicals,
    number: 2,
    size: 30 * MiB,
    says: /no partition 2 that/,
  },
  {
    sentence: 'a partition that is not there',
    script: primaries,
    number: 3,
    size: MiB,
    says: /no partition 3/,
  },
  { sentence: 'making a partition smaller', script: primaries, number: 2, size: MiB, says: /only grow/ },
  {
    sentence: 'a size that is no multiple of a sector',
    script: primaries,
    number: 2,
    size: 20 * MiB + 1,
    says: /only grow/,
  },
  { sentence: 'more than an MBR can say', script: primaries, number: 2, size: 2 ** 41, says: /cannot hold/ },
]
for (const { sentence, script, number, size, says } of refused) {
  test(`refused: ${sentence}`, { skip }, async (t) => {
    const disk = new TestDisk(40 * MiB, script)
    t.after(() => disk.remove())
    const table = await parse(disk.bytes())
    assert.throws(() => growMbr(table, number, size), { code: 'E_INPUT', message: says })
  })
}

test('refused: a disk too small for the grown partition, or smaller than it was', { skip }, async (t) => {
  const disk = new TestDisk(40 * MiB, primaries)
  t.after(() => disk.remove())
  const table = await parse(disk.bytes())
  assert.throws(() => growMbr(table, 2, 60 * MiB, 50 * MiB), {
    code: 'E_INPUT',
    message: /68157440 bytes, not 52428800/,
  })
  assert.throws(() => growMbr(table, 2, 11 * MiB, 30 * MiB), {
    code: 'E_INPUT',
    message: /41943040 bytes, not 31457280/,
  })
})

/** Byte offsets of an entry's fields in the sector at `sectorAt`. */
const entry = (sectorAt: number, slot: number) => {
  const at = sectorAt + 446 + slot * 16
  return { status: at, type: at + 4, start: at + 8, sectors: at + 12 }
}

const damage: [
  sentence: string,
  script: string,
  change: (bytes: Buffer) => Buffer | undefined,
  says: RegExp,
][] = [
  ['an empty file', primaries, () => Buffer.alloc(0), /no partition table: byte 510/],
  ['half a sector', primaries, (b) => b.subarray(0, 256), /no partition table: byte 510/],
  ['a disk of zeros', primaries, (b) => void b.fill(0), /no partition table: byte 510/],
  [
    'boot code in place of the table',
    primaries,
    (b) => void b.writeUInt8(0x33, entry(0, 1).status),
    /byte 462 .* it is 33/,
  ],
  [
    'a partition past the end',
    primaries,
    (b) => b.subarray(0, 10 * MiB),
    /partition 2 runs to byte 15728640, past the end at byte 10485760; its entry is at byte 462/,
  ],
  [
    'partitions that overlap',
    primaries,
    (b) => void b.writeUInt32LE(9000, entry(0, 1).start),
    /partition 2 begins at byte 4608000, inside partition 1.* 462 and 446/,
  ],
  [
    'a partition over the table itself',
    primaries,
    (b) => void b.writeUInt32LE(0, entry(0, 0).start),
    /partition 1 begins at byte 0, inside the partition table/,
  ],
  [
    'a partition of the most sectors that fit the field',
    primaries,
    (b) => void b.writeUInt32LE(0xffffffff, entry(0, 1).sectors),
    /partition 2 runs to byte 2199028497920/,
  ],
  [
    'two extended partitions',
    logicals,
    (b) => void b.writeUInt8(5, entry(0, 0).type),
    /second extended.* 462/,
  ],
  [
    'an EBR chain that loops',
    logicals,
    (b) => {
      const link = entry(22528 * 512, 1)
      b.writeUInt8(5, link.type)
      b.writeUInt32LE(0, link.start)
      b.writeUInt32LE(9, link.sectors)
      return undefined
    },
    /loops: the entry at byte 11534798 links back to byte 5242880/,
  ],
  [
    'an EBR chain that leaves its partition',
    logicals,
    (b) => void b.writeUInt32LE(50000, entry(10240 * 512, 1).start),
    /byte 5243342 links to byte 30842880, outside/,
  ],
  [
    'a link to what is no EBR',
    logicals,
    (b) => void b.writeUInt32LE(3000, entry(10240 * 512, 1).start),
    /no EBR at byte 6778880/,
  ],
  [
    'a logical partition past its extended one',
    logicals,
    (b) => void b.writeUInt32LE(40000, entry(22528 * 512, 0).sectors),
    /partition 7 runs to byte .* past the end at byte 26214400/,
  ],
  [
    'a logical partition over another EBR',
    logicals,
    (b) => void b.writeUInt32LE(4097, entry(10240 * 512, 0).sectors),
    /an EBR begins at byte 8388608, inside partition 5/,
  ],
  [
    'an absurd number of logical partitions',
    'label: dos\nstart=2048, size=40960, type=5\n',
    (b) => {
      for (let index = 0; index < 200; index++) {
        const at = (2048 + index * 2) * 512
        b.writeUInt16LE(0xaa55, at + 510)
        b.writeUInt8(5, entry(at, 1).type)
        b.writeUInt32LE(index * 2 + 2, entry(at, 1).start)
        b.writeUInt32LE(2, entry(at, 1).sectors)
      }
      return undefined
    },
    /more than 128 EBRs/,
  ],
]
for (const [sentence, script, change, says] of damage) {
  test(`damaged: ${sentence}`, { skip }, async (t) => {
    const disk = new TestDisk(40 * MiB, script)
    t.after(() => disk.remove())
    const bytes = disk.bytes()
    await assert.rejects(parse(change(bytes) ?? bytes), { code: 'E_DAMAGED', message: says })
  })
}

let disk: TestDisk | undefined
before(() => {
  if (!skip) disk = new TestDisk(40 * MiB, logicals)
})
after(() => disk?.remove())

test('no single flipped byte of a table makes anything but a table or E_DAMAGED', { skip }, async () => {
  const bytes = disk!.bytes()
  for (const sectorAt of [0, 10240 * 512, 16384 * 512, 22528 * 512]) {
    for (let at = sectorAt + 440; at < sectorAt + 512; at++) {
      const kept = bytes[at]!
      bytes[at] = kept ^ 0xff
      await parse(bytes).catch((error: { code?: string }) => assert.equal(error.code, 'E_DAMAGED'))
      bytes[at] = kept
    }
  }
})
