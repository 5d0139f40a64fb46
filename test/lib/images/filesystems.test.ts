import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDisk } from '../../../lib/images/disk-file.ts'
import { identifyFilesystem } from '../../../lib/images/filesystems.ts'
import type { Filesystem } from '../../../lib/images/superblocks/filesystem.ts'
import { MiB, missing, TestDisk, tool } from '../../helpers/disks.ts'

const id = '12345678-9abc-4def-8123-456789abcdef'

/** What blkid finds in the image, in our form. */
function judge(path: string): Filesystem {
  const found = new Map<string, string>()
  const output = tool('sh', ['-c', 'blkid -p -o udev "$1" || test $? = 2 -o $? = 8', 'sh', path])
  for (const line of output.split('\n')) {
    const at = line.indexOf('=')
    const unescaped = line
      .slice(at + 1)
      .replace(/\\x([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    if (at > 0) found.set(line.slice(0, at), unescaped)
  }
  const version = found.get('ID_FS_VERSION')
  return {
    filesystem: found.get('ID_FS_TYPE') ?? null,
    ...(found.get('ID_FS_TYPE') === 'vfat' && { fatBits: Number(version!.slice(3)) as 12 | 16 | 32 }),
    label: found.get('ID_FS_LABEL_ENC') ?? null,
    uuid: found.get('ID_FS_UUID') ?? null,
  }
}

async function identify(path: string): Promise<{ found: Filesystem; warnings: string[] }> {
  const warnings: string[] = []
  const found = await withDisk(path, 'r', ({ read }) =>
    identifyFilesystem(read, (line) => warnings.push(line)),
  )
  return { found, warnings }
}

const made: [sentence: string, filesystem: string, size: number, command: string, ...args: string[]][] = [
  ['ext2', 'ext2', 4, 'mkfs.ext2', '-q', '-L', 'zwei', '-U', id],
  ['ext3', 'ext3', 8, 'mkfs.ext3', '-q', '-L', 'drei drei', '-U', id],
  ['ext4', 'ext4', 8, 'mkfs.ext4', '-q', '-L', 'sixteen bytes ok', '-U', id],
  ['ext4 with a label in UTF-8', 'ext4', 8, 'mkfs.ext4', '-q', '-L', 'Würzel', '-U', id],
  ['ext4 without a journal', 'ext4', 8, 'mkfs.ext4', '-q', '-O', '^has_journal', '-U', id],
  ['ext4 by 64-bit block numbers alone', 'ext4', 8, 'mkfs.ext3', '-q', '-O', '64bit,extent', '-U', id],
  ['ext4 without a UUID', 'ext4', 8, 'mkfs.ext4', '-q', '-U', 'clear'],
  ['an ext journal device', 'jbd', 8, 'mke2fs', '-q', '-O', 'journal_dev', '-U', id],
  ['FAT12', 'vfat', 2, 'mkfs.vfat', '-F', '12', '-i', '1234abcd', '-n', 'ZWOELF'],
  ['FAT16', 'vfat', 16, 'mkfs.vfat', '-F', '16', '-i', '00000001', '-n', 'BOOT FS'],
  ['FAT16 without a label', 'vfat', 16, 'mkfs.vfat', '-F', '16', '-i', 'deadbeef'],
  ['FAT16 without an id', 'vfat', 16, 'mkfs.vfat', '-F', '16', '-i', '00000000'],
  ['FAT32', 'vfat', 40, 'mkfs.vfat', '-F', '32', '-i', 'cafe0123', '-n', 'bootfs'],
  [
    'FAT32 in sectors of 4096 bytes',
    'vfat',
    300,
    'mkfs.vfat',
    '-F',
    '32',
    '-S',
    '4096',
    '-s',
    '1',
    '-n',
    'BIG',
  ],
  ['FAT with most clusters that are FAT12', 'vfat', 16, 'mkfs.vfat', '-a', '-s', '8', '-i', '12345678'],
  ['xfs', 'xfs', 320, 'mkfs.xfs', '-q', '-L', 'twelve bytes', '-m', `uuid=${id}`],
  ['btrfs', 'btrfs', 128, 'mkfs.btrfs', '-q', '-L', 'a butter label', '-U', id],
  ['f2fs', 'f2fs', 64, 'mkfs.f2fs', '-q', '-l', 'flash ü', '-U', id],
  [
    'ntfs',
    'ntfs',
    8,
    'mkfs.ntfs',
    '-q',
    '-F',
    '-Q',
    '-s',
    '512',
    '-p',
    '0',
    '-H',
    '0',
    '-S',
    '0',
    '-L',
    'Fenster ä',
  ],
  ['ntfs without a label', 'ntfs', 8, 'mkfs.ntfs', '-q', '-F', '-Q', '-c', '65536'],
  ['swap', 'swap', 4, 'mkswap', '-q', '-L', 'tausch', '-U', id],
  ['swap of a machine with large pages', 'swap', 4, 'mkswap', '-q', '-p', '65536', '-U', id],
]
for (const [sentence, filesystem, megabytes, command, ...args] of made) {
  test(`${sentence} is identified as blkid does`, { skip: missing('blkid', command) }, async (t) => {
    const disk = new TestDisk(megabytes * MiB)
    t.after(() => disk.remove())
    tool(command, [...args, disk.path])
    const { found, warnings } = await identify(disk.path)
    assert.equal(found.filesystem, filesystem)
    assert.deepEqual(found, judge(disk.path))
    assert.deepEqual(warnings, [])
  })
}

test('squashfs is identified as blkid does', { skip: missing('blkid', 'mksquashfs') }, async (t) => {
  const disk = new TestDisk(0)
  t.after(() => disk.remove())
  const image = `${disk.folder}/squashfs`
  tool('mksquashfs', [disk.path, image, '-quiet', '-no-progress'])
  assert.deepEqual((await identify(image)).found, judge(image))
  assert.equal((await identify(image)).found.filesystem, 'squashfs')
})

for (const version of ['1', '2']) {
  test(`LUKS ${version} is identified as blkid does`, { skip: missing('blkid', 'cryptsetup') }, async (t) => {
    const disk = new TestDisk(20 * MiB)
    t.after(() => disk.remove())
    const label = version === '2' ? ['--label', 'geheim'] : []
    const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
    const args = [
      'luksFormat',
      '-q',
      '--type',
      `luks${version}`,
      ...cheap,
      '--uuid',
      id,
      ...label,
      disk.path,
      '-',
    ]
    tool('cryptsetup', args, 'password')
    assert.deepEqual((await identify(disk.path)).found, judge(disk.path))
    assert.equal((await identify(disk.path)).found.filesystem, 'crypto_LUKS')
  })
}

test('a FAT label is that of the root folder, wherever it stands there', {
  skip: missing('blkid', 'mcopy'),
}, async (t) => {
  for (const [bits, size] of [
    ['16', 16],
    ['32', 40],
  ] as const) {
    const disk = new TestDisk(size * MiB)
    t.after(() => disk.remove())
    tool('mkfs.vfat', ['-F', bits, '-s', '1', disk.path])
    // One cluster holds 16 entries: the label comes to stand behind several of them.
    for (let i = 0; i < 30; i++)
      tool('mcopy', ['-i', disk.path, '/dev/null', `::long name of file ${i}.text`])
    tool('mlabel', ['-i', disk.path, '::LATE'])
    const { found } = await identify(disk.path)
    assert.deepEqual(found, judge(disk.path))
    assert.equal(found.label, 'LATE')
  }
})

const nothing = { filesystem: null, label: null, uuid: null }
const others: [string, (bytes: Buffer) => Buffer | undefined][] = [
  ['zeros', () => undefined],
  ['nothing at all', () => Buffer.alloc(0)],
  ['a few bytes', () => Buffer.from('LUKS')],
  ['the end mark of a boot sector alone', (b) => void b.writeUInt16LE(0xaa55, 510)],
  ['ones', (b) => b.fill(0xff)],
]
for (const [sentence, change] of others) {
  test(`${sentence}: no filesystem, for blkid as well`, { skip: missing('blkid') }, async (t) => {
    const disk = new TestDisk(MiB)
    t.after(() => disk.remove())
    disk.edit(change)
    assert.deepEqual((await identify(disk.path)).found, nothing)
    if (disk.bytes().length > 0) assert.deepEqual(judge(disk.path), nothing)
  })
}

test('the marks of two filesystems are none, with a warning', {
  skip: missing('blkid', 'mkfs.ext4'),
}, async (t) => {
  const disk = new TestDisk(8 * MiB)
  t.after(() => disk.remove())
  tool('mkfs.ext4', ['-q', '-b', '1024', disk.path])
  disk.edit((bytes) => void bytes.write('XFSB'))
  disk.edit((bytes) => void bytes.write('SWAPSPACE2', 4086))
  const { found, warnings } = await identify(disk.path)
  assert.deepEqual(found, nothing)
  assert.match(warnings.join(), /xfs and ext4/)
})

test('any flipped byte of a superblock gives an answer', {
  skip: missing('mkfs.vfat', 'mkfs.ntfs'),
}, async (t) => {
  for (const [command, ...args] of [
    ['mkfs.vfat', '-F', '32', '-n', 'X'],
    ['mkfs.ntfs', '-q', '-F', '-Q', '-L', 'X'],
  ] as [string, ...string[]][]) {
    const disk = new TestDisk(40 * MiB)
    t.after(() => disk.remove())
    tool(command, [...args, disk.path])
    const bytes = disk.bytes()
    const read = async (offset: number, length: number) => {
      assert.ok(Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && length <= 4 * MiB)
      return Buffer.from(bytes.subarray(offset, offset + length))
    }
    for (let at = 0; at < 512; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        bytes[at]! ^= flip
        await identifyFilesystem(read)
        bytes[at]! ^= flip
      }
    }
  }
})
