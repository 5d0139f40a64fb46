/** An empty disk for the Debian image: MBR, a FAT32 partition to boot from, an ext4 partition for the rest. */
import { open, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Run } from '../../engine/process.ts'

const MiB = 1024 * 1024
const sector = 512
export const bootPlace = { number: 1, offset: MiB, size: 127 * MiB, filesystem: 'vfat' } as const
const rootOffset = bootPlace.offset + bootPlace.size

export interface DiskPlan {
  /** Bytes of the whole disk, a multiple of 1 MiB. */
  size: number
  /** Eight hex digits. */
  diskId: string
  rootUuid: string
  /** Seconds since 1970. */
  epoch: number
}

export function rootPlace(size: number): { number: 2; offset: number; size: number; filesystem: 'ext4' } {
  return { number: 2, offset: rootOffset, size: size - rootOffset, filesystem: 'ext4' }
}

/** Debian 12's own defaults, whatever mke2fs.conf of the machine that builds says. */
const features =
  'none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,metadata_csum,' +
  'sparse_super,large_file,huge_file,dir_nlink,extra_isize'

/** Makes the sparse file `disk` with its table and an empty root filesystem. `mbr`: the boot code, at most 440 bytes. */
export async function makeDisk(disk: string, plan: DiskPlan, mbr: Buffer, run: Run): Promise<void> {
  const root = rootPlace(plan.size)
  await writeFile(disk, '')
  await truncate(disk, plan.size)
  const file = await open(disk, 'r+')
  try {
    await file.write(tableSector(plan, mbr))
  } finally {
    await file.close()
  }
  const extended = `offset=${root.offset},hash_seed=${plan.rootUuid},lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0`
  await run(
    'mke2fs',
    [
      ...['-q', '-F', '-t', 'ext4', '-O', features, '-b', '4096', '-I', '256', '-i', '16384', '-m', '1'],
      ...['-L', 'rootfs', '-U', plan.rootUuid, '-E', extended, basename(disk), `${root.size / 4096}`],
    ],
    // By its own name: mke2fs takes all behind a '?' in a path as options.
    { cwd: dirname(disk), env: { E2FSPROGS_FAKE_TIME: `${plan.epoch}`, MKE2FS_CONFIG: '/dev/null' } },
  )
}

/** Makes the file `image` with an empty FAT32 filesystem, as large as the boot partition. */
export async function makeBootFilesystem(image: string, diskId: string, run: Run): Promise<void> {
  await writeFile(image, '')
  await truncate(image, bootPlace.size)
  // --invariant: else the label's entry gets the wall clock, whatever SOURCE_DATE_EPOCH says.
  const hidden = `${bootPlace.offset / sector}`
  await run(
    'mkfs.fat',
    [...['-F', '32', '-s', '2', '-h', hidden, '--invariant', '-i', diskId, '-n', 'bootfs'], basename(image)],
    { cwd: dirname(image) },
  )
}

/** Copies the data of `image` to byte `offset` of `disk`; zeros stay holes. */
export async function placeImage(image: string, disk: string, offset: number): Promise<void> {
  const [from, to] = [await open(image), await open(disk, 'r+')]
  try {
    const buffer = Buffer.alloc(MiB)
    const zeros = Buffer.alloc(MiB)
    for (let at = 0; ; ) {
      const { bytesRead } = await from.read(buffer, 0, MiB, at)
      if (bytesRead === 0) return
      const piece = buffer.subarray(0, bytesRead)
      if (piece.compare(zeros, 0, bytesRead) !== 0) await to.write(piece, 0, bytesRead, offset + at)
      at += bytesRead
    }
  } finally {
    await Promise.all([from.close(), to.close()])
  }
}

/** The first sector: boot code, signature, two entries (as `sfdisk --dump` shows them), 55 AA. */
function tableSector(plan: DiskPlan, mbr: Buffer): Buffer {
  const bytes = Buffer.alloc(sector)
  mbr.copy(bytes, 0, 0, 440)
  bytes.writeUInt32LE(Number.parseInt(plan.diskId, 16), 440)
  const root = rootPlace(plan.size)
  for (const [index, { type, active, place }] of [
    { type: 0x0c, active: 0x80, place: bootPlace },
    { type: 0x83, active: 0, place: root },
  ].entries()) {
    const at = 446 + 16 * index
    bytes[at] = active
    // No address in cylinders reaches here; FE FF FF says that the sector numbers count.
    bytes.set([0xfe, 0xff, 0xff, type, 0xfe, 0xff, 0xff], at + 1)
    bytes.writeUInt32LE(place.offset / sector, at + 8)
    bytes.writeUInt32LE(place.size / sector, at + 12)
  }
  bytes.writeUInt16LE(0xaa55, 510)
  return bytes
}
