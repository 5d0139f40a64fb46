import assert from 'node:assert/strict'
import { truncateSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { growTableEntry } from '../../../lib/images/grow-table-entry.ts'
import { readTable, writeTable } from '../../../lib/images/partition-table.ts'
import { type PartitionTable, readPartitionTable } from '../../../lib/images/partitions.ts'
import { MiB, missing, TestDisk, tool } from '../../helpers/disks.ts'

const skip = missing('sfdisk', 'sgdisk', 'partx', 'blkid', 'mkfs.vfat', 'mkfs.ext4', 'mkswap')
const id = '12345678-9abc-4def-8123-456789abcdef'

const mbr = `label: dos
label-id: 0x00c0ffee
start=2048, size=8192, type=c, bootable
start=10240, size=51200, type=5
start=12288, size=16384, type=83
start=30720, size=8192, type=82
start=40960, size=8192, type=83
`
const gpt = `label: gpt
label-id: 7B54A4EC-BB65-7B45-85EF-0B1AF21786E2
first-lba: 34
start=2048, size=8192, type=uefi, name="EFI sys", attrs=LegacyBIOSBootable
start=12288, size=16384, name="wurzel two"
start=30720, size=8192, type=swap
`

/** A disk whose partitions at sectors 2048, 12288 and 30720 hold a FAT, an ext4 and a swap. */
function newDisk(t: TestContext, script: string): TestDisk {
  const disk = new TestDisk(32 * MiB, script)
  t.after(() => disk.remove())
  const put = (start: number, sectors: number, command: string, ...args: string[]): void => {
    const part = join(disk.folder, 'part')
    writeFileSync(part, '')
    truncateSync(part, sectors * 512)
    tool(command, [...args, part])
    tool('dd', [`if=${part}`, `of=${disk.path}`, `seek=${start}`, 'conv=notrunc,sparse', 'status=none'])
  }
  put(2048, 8192, 'mkfs.vfat', '-i', '1234abcd', '-n', 'BOOT')
  put(12288, 16384, 'mkfs.ext4', '-q', '-L', 'root', '-U', id)
  put(30720, 8192, 'mkswap', '-q', '-U', id)
  return disk
}

/** The table as partx and blkid see it, both on libblkid. */
function judge(path: string): unknown {
  const shell = (line: string): Map<string, string> =>
    new Map([...line.matchAll(/([A-Z_]+)="?([^"\n]*)"?/g)].map(([, name, value]) => [name!, value!]))
  const whole = shell(tool('blkid', ['-p', '-o', 'export', path]))
  const rows = tool('partx', ['--pairs', '--output', 'NR,START,SECTORS,TYPE,UUID,NAME,FLAGS', path])
    .trim()
    .split('\n')
  const partitions = rows.map(shell).map((row) => {
    const offset = Number(row.get('START')) * 512
    const size = Number(row.get('SECTORS')) * 512
    const output = tool('sh', [
      '-c',
      'blkid -p -o export -O $2 -S $3 "$1" || test $? = 2',
      'sh',
      path,
      `${offset}`,
      `${size}`,
    ])
    const found = shell(output)
    return {
      number: Number(row.get('NR')),
      offset,
      size,
      type: row.get('TYPE')!.replace(/^0x/, '').replace(/^.$/, '0$&'),
      bootable: ['0x80', '0x4'].includes(row.get('FLAGS')!),
      ...(whole.get('PTTYPE') === 'gpt' && { name: row.get('NAME')! }),
      partuuid: row.get('UUID')!,
      filesystem: found.get('TYPE') ?? null,
      ...(found.get('TYPE') === 'vfat' && { fatBits: Number(found.get('VERSION')!.slice(3)) }),
      label: found.get('LABEL') ?? null,
      uuid: found.get('UUID') ?? null,
    }
  })
  const table = whole.get('PTTYPE') === 'dos' ? 'mbr' : 'gpt'
  return { format: 1, table, sectorSize: 512, diskId: whole.get('PTUUID'), size: 32 * MiB, partitions }
}

for (const [sentence, script] of [
  ['an MBR with logical partitions is described as libblkid describes it', mbr],
  ['a GPT is described as libblkid describes it', gpt],
] as const) {
  test(sentence, { skip }, async (t) => {
    const disk = newDisk(t, script)
    const table = await readPartitionTable(disk.path, assert.fail)
    assert.deepEqual(table, judge(disk.path))
    const known = table.partitions.map(({ filesystem }) => filesystem).filter((name) => name !== null)
    assert.deepEqual(known, ['vfat', 'ext4', 'swap'])
  })
}

test('a disk id of zeros still gives PARTUUIDs, as the kernel has them', { skip }, async (t) => {
  const disk = new TestDisk(8 * MiB, 'label: dos\nlabel-id: 0\nstart=2048\n')
  t.after(() => disk.remove())
  disk.edit((bytes) => void bytes.fill(0, 440, 444))
  const { diskId, partitions } = await readPartitionTable(disk.path)
  assert.deepEqual([diskId, partitions[0]!.partuuid], ['00000000', '00000000-01'])
})

test('what is left of a GPT under an MBR is not read', { skip }, async (t) => {
  const disk = newDisk(t, gpt)
  const leftover = disk.bytes().subarray(512, 34 * 512)
  const other = newDisk(t, mbr)
  other.edit((bytes) => void leftover.copy(bytes, 512))
  assert.equal((await readPartitionTable(other.path)).table, 'mbr')
})

test('a damaged first GPT header is warned of', { skip }, async (t) => {
  const disk = newDisk(t, gpt)
  const intact = await readPartitionTable(disk.path)
  disk.edit((bytes) => void bytes.fill(0, 512, 1024))
  const warnings: string[] = []
  assert.deepEqual(await readPartitionTable(disk.path, (line) => warnings.push(line)), intact)
  assert.match(warnings.join(), /^the first GPT header is damaged, its backup is used/)
})

test('a partition with the marks of two filesystems is warned of by its number', { skip }, async (t) => {
  const disk = newDisk(t, mbr)
  disk.edit((bytes) => void bytes.write('XFSB', 12288 * 512))
  const warnings: string[] = []
  const { partitions } = await readPartitionTable(disk.path, (line) => warnings.push(line))
  assert.equal(partitions.find(({ number }) => number === 5)!.filesystem, null)
  assert.match(warnings.join(), /^partition 5 has the marks of xfs and ext4/)
})

const damage: [string, (disk: TestDisk) => void, RegExp][] = [
  ['an empty file', (disk) => truncateSync(disk.path, 0), /no partition table: byte 510/],
  [
    'a FAT without a table around it',
    (disk) => tool('mkfs.vfat', ['-I', disk.path]),
    /vfat filesystem from byte 0/,
  ],
  [
    'an ext4 without a table around it',
    (disk) => tool('mkfs.ext4', ['-qF', disk.path]),
    /ext4 filesystem from byte 0/,
  ],
  [
    'a table without partitions',
    (disk) => tool('sfdisk', ['-q', disk.path], 'label: dos\n'),
    /lists no partition/,
  ],
  [
    'a disk cut short',
    (disk) => truncateSync(disk.path, 20 * MiB),
    /partition 2 runs to byte 31457280, past the end/,
  ],
]
for (const [sentence, change, says] of damage) {
  test(`damaged: ${sentence}, with the file's name`, { skip }, async (t) => {
    const disk = newDisk(t, mbr)
    if (sentence.includes('table')) truncateSync(disk.path, 0)
    if (sentence.includes('table')) truncateSync(disk.path, 32 * MiB)
    change(disk)
    await assert.rejects(readPartitionTable(disk.path), { code: 'E_DAMAGED', message: says, file: disk.path })
  })
}

test('a folder is no disk', async () => {
  await assert.rejects(readPartitionTable('/'), { code: 'E_INPUT', file: '/' })
})

for (const [sentence, script, number, size] of [
  ['the last logical partition of an MBR', mbr, 7, 30 * MiB],
  ['the last partition of a GPT', gpt, 3, 50 * MiB],
] as const) {
  test(`${sentence} grows in the file, and all else on it stays`, { skip }, async (t) => {
    const disk = newDisk(t, script)
    const before = await readPartitionTable(disk.path)
    const diskSize = await growTableEntry(disk.path, number, size)
    assert.equal(disk.bytes().length, diskSize)
    const after = await readPartitionTable(disk.path, assert.fail)
    const grown = before.partitions.find((partition) => partition.number === number)!
    const container = before.partitions.find(({ type }) => type === '05')
    if (container) container.size = grown.offset + size - container.offset
    grown.size = size
    assert.deepEqual(after, { ...before, size: diskSize })
    const verdict = script === gpt ? tool('sgdisk', ['-v', disk.path]) : tool('sfdisk', ['-V', disk.path])
    assert.match(verdict, /No (problems|errors)/)
  })
}

test('a refused growth leaves the file as it was', { skip }, async (t) => {
  const disk = newDisk(t, mbr)
  const before = disk.bytes()
  await assert.rejects(growTableEntry(disk.path, 1, 8 * MiB), { code: 'E_INPUT', file: disk.path })
  assert.ok(disk.bytes().equals(before))
})

test('a table is read back from its object as it was written, and nothing else is', { skip }, async (t) => {
  const disk = newDisk(t, gpt)
  const table = await readPartitionTable(disk.path)
  const folder = join(disk.folder, 'object')
  await mkdir(folder)
  await assert.rejects(readTable(folder), { code: 'E_INPUT', message: /result of `mount`/ })
  await writeTable(folder, table)
  assert.deepEqual(await readTable(folder), table)
  await writeTable(folder, { ...table, size: -1 } satisfies PartitionTable)
  await assert.rejects(readTable(folder), { code: 'E_STORE', message: /^size: / })
  writeFileSync(join(folder, 'table.json'), '{')
  await assert.rejects(readTable(folder), { code: 'E_STORE' })
})
