/** What a stock image that cannot be built from gets: damaged files, tables, filesystems, and systems of another kind. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { type BadInput, refuses } from '../helpers/bad-input.ts'
import { claimed } from '../helpers/claimed-xz.ts'
import { MiB, tool } from '../helpers/disks.ts'
import { checkout } from '../helpers/npm-project.ts'

const sample = readFileSync(join(checkout, 'fixtures/sample.img.xz'))
/** Where its second partition begins, bytes. */
const rootStart = 46_137_344

/** The sample with a byte changed. */
function flipped(at: number): Buffer {
  const copy = Buffer.from(sample)
  copy[at < 0 ? copy.length + at : at]! ^= 0x10
  return copy
}

const shared = mkdtempSync(join(tmpdir(), 'fleetsie-bad-images-'))
const raw = join(shared, 'raw.img')
after(() => rmSync(shared, { recursive: true, force: true }))

let copies = 0
/** The raw sample after `edit`, packed again. */
function edited(edit: (disk: string) => void): Buffer {
  if (!existsSync(raw)) {
    const unpack = 'xz -dc "$1" | dd of="$2" conv=sparse bs=64K status=none'
    execFileSync('sh', ['-c', unpack, 'sh', join(checkout, 'fixtures/sample.img.xz'), raw])
  }
  const disk = join(shared, `copy-${copies++}.img`)
  tool('cp', ['--sparse=always', raw, disk])
  edit(disk)
  tool('xz', ['-0', disk])
  return readFileSync(`${disk}.xz`)
}
const debugfs = (disk: string, ...requests: string[]) => {
  for (const request of requests) tool('debugfs', ['-w', '-R', request, `${disk}?offset=${rootStart}`])
}
const patch = (disk: string, at: number, bytes: Buffer) => {
  const image = readFileSync(disk)
  bytes.copy(image, at)
  writeFileSync(disk, image)
}
/** Bytes of an MBR entry: number from 1. */
const entry = (number: number): number => 446 + 16 * (number - 1)
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

refuses('a bad image', [
  {
    title: 'a stock image that is no image at all',
    stock: Buffer.from('<html>404</html>\n'),
    code: 6,
    error: /stock\.img\.xz: this is no \.xz file.*byte 0.*\n {2}try: get the file again/,
  },
  {
    title: 'an empty file',
    stock: Buffer.alloc(0),
    code: 6,
    error: /stock\.img\.xz: this is no \.xz file/,
  },
  ...[1, 5000, sample.length - 1].map(
    (length): BadInput => ({
      title: `an .xz cut off after ${length} bytes`,
      stock: sample.subarray(0, length),
      code: 6,
      error: /stock\.img\.xz: .*\(byte \d+\)\n {2}try: get the file again/,
    }),
  ),
  ...[7, 20, sample.length >> 1, -5].map(
    (at): BadInput => ({
      title: `an .xz with one bit flipped at ${at}`,
      stock: flipped(at),
      code: 6,
      error: /stock\.img\.xz: .*(CRC32|corrupt).*bytes? \d+.*\n {2}try: get the file again/,
    }),
  ),
  {
    title: 'an .xz with something behind it',
    stock: Buffer.concat([sample, Buffer.from('more')]),
    code: 6,
    error: /stock\.img\.xz: .*something follows it \(byte \d+\)/,
  },
  {
    title: 'a size that would fill the disk',
    stock: claimed(2 ** 37),
    code: 8,
    error:
      /stock\.img\.xz: the image needs 131072 MiB or more, but only \d+ MiB are free in the store\n {2}try: /,
  },
  {
    title: 'a size beyond all images',
    stock: claimed(2 ** 50),
    code: 4,
    error: /at most 262144 MiB are possible/,
  },
  {
    title: 'no partition table',
    stock: Buffer.alloc(4 * MiB),
    from: `fetch({ file: 'stock.img.xz', name: 'stock.img' })`,
    code: 6,
    error: /partition table/,
  },
  {
    title: 'partitions that overlap',
    stock: () => edited((disk) => patch(disk, entry(2) + 8, u32(4096))),
    code: 6,
    error: /disk\.img \(made by decompress\): partition 1 begins at byte 4194304, inside partition 2/,
  },
  {
    title: 'a partition that runs past the end',
    stock: () => edited((disk) => truncateSync(disk, 100 * MiB)),
    code: 6,
    error:
      /disk\.img \(made by decompress\): partition 2 runs to byte 134217728, past the end at byte 104857600/,
  },
  {
    title: 'a filesystem with a journal to replay',
    files: { 'overlays/part_2/etc/motd': 'x' },
    stock: () => edited((disk) => debugfs(disk, 'feature needs_recovery')),
    code: 6,
    error: /part_2 was not unmounted cleanly: its journal has to be replayed\n {2}try: /,
  },
  {
    title: 'a filesystem with errors',
    files: { 'overlays/part_2/etc/motd': 'x' },
    stock: () => edited((disk) => debugfs(disk, 'freeb 1 3000', 'clri /etc/os-release')),
    layers: `[overlay({ from: 'overlays' })]`,
    code: 6,
    error: /part_2 does not pass e2fsck -fn:[\s\S]*\n {2}try: /,
  },
  {
    title: 'a filesystem of a kind that cannot be edited',
    files: { 'overlays/part_2/etc/motd': 'x' },
    stock: () =>
      edited((disk) => {
        const swap = join(shared, 'swap')
        writeFileSync(swap, Buffer.alloc(MiB))
        tool('mkswap', [swap])
        tool('dd', [
          `if=${swap}`,
          `of=${disk}`,
          'conv=notrunc',
          'bs=1M',
          `seek=${rootStart / MiB}`,
          'status=none',
        ])
      }),
    layers: `[overlay({ from: 'overlays' })]`,
    code: 4,
    error: /part_2 holds swap; layers can be applied to ext2, ext3, ext4 and FAT/,
  },
  {
    title: 'an image that holds another system',
    layers: `[install({ image, os: 'Ubuntu' })]`,
    code: 1,
    error: /this image is not Ubuntu: partition 2 holds Debian GNU\/Linux 12[\s\S]*try: set `os: 'Debian'`/,
  },
  {
    title: 'a layer for a partition that is not there',
    files: { 'overlays/part_7/x': 'x' },
    code: 1,
    error: /a layer is for partition 7, which the image does not have\n {2}try: the image has 1, 2/,
  },
])
