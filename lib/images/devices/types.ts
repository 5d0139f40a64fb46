/** What is known of a device, or of a file that stands for one, before anything is written to it. */
import type { Filesystem } from '../superblocks/filesystem.ts'

/** A mount in some mount namespace of this machine. */
export interface CardMount {
  /** `major:minor` of what is mounted. */
  device: string
  /** The folder, as that namespace calls it. */
  at: string
  /** In the mount namespace of this process: what `umount` can reach. */
  here: boolean
}

export interface CardPartition extends Filesystem {
  /** The kernel's name, `sdc1`; undefined where the kernel shows none (a file, a loop device without scanning). */
  name: string | undefined
  number: number
  /** Bytes from the start of the disk. */
  offset: number
  size: number
}

/** disk: a whole one. partition: of a disk. loop, file: both, as the user wishes. mapped: dm, md, zram and the like. */
export type CardKind = 'disk' | 'partition' | 'loop' | 'file' | 'mapped'

export interface CardInfo {
  /** As the user wrote it. */
  name: string
  /** Absolute, links resolved. */
  path: string
  kind: CardKind
  /** `major:minor` of the device; `device:inode` of a file's place. */
  id: string
  /** The kernel's number of this insertion of the medium; undefined for a file, and before Linux 5.15. */
  sequence: string | undefined
  /** The kernel's name of the disk that it is, or is on: `sdc`; undefined for a file. */
  disk: string | undefined
  /** How it is attached: usb, mmc, nvme, ata, scsi, virtio, loop, file, …; undefined when nobody knows. */
  transport: string | undefined
  vendor: string | undefined
  model: string | undefined
  serial: string | undefined
  /**
   * Whether the serial is the medium's own (the CID of an SD card, the number of a disk), as against the reader's in which
   * any card may lie.
   */
  serialIsUnique: boolean
  /** Bytes. */
  size: number
  /** A medium that people take out: the kernel's flag, or attached by USB or MMC; a file and a loop device as well. */
  removable: boolean
  readOnly: boolean
  /** Of it, its partitions and whatever is stacked on them, in all namespaces that can be seen. */
  mounts: CardMount[]
  /** Kernel names of devices stacked on it or its partitions: LVM, dm, md, loop. */
  holders: string[]
  /** `/` is on it or on its disk. */
  holdsRoot: boolean
  /** Swap space in use is on it or on its disk. */
  holdsSwap: boolean
  /** Of a whole disk, a loop device or a file with a partition table. */
  partitions: CardPartition[]
  /** What it holds itself, without a table. */
  content: Filesystem
}
