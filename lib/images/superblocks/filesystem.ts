/** What a superblock says of its filesystem, spelled as blkid does. */
export interface Filesystem {
  /** ext2, ext3, ext4, vfat, xfs, btrfs, f2fs, swap, squashfs, ntfs, crypto_LUKS, jbd; null: none that is known. */
  filesystem: string | null
  /** Only for vfat: the width of its table's entries. */
  fatBits?: 12 | 16 | 32
  label: string | null
  uuid: string | null
}
