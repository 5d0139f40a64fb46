/** What an archive may hold at most, checked before memory is taken. */
export const tarLimits = {
  /** Linux: PATH_MAX without its NUL. Also for link targets. */
  pathBytes: 4095,
  /** Linux: NAME_MAX. */
  nameBytes: 255,
  /** Linux: XATTR_NAME_MAX and XATTR_SIZE_MAX. */
  xattrNameBytes: 255,
  xattrBytes: 65_536,
  /** All pax records of one member; about what a file with the most xattrs that ext4 stores can take. */
  paxBytes: 1 << 20,
  /** Members of an archive: four times the inodes of a full desktop system. */
  members: 1_000_000,
  /** Data ranges of one sparse file. */
  extents: 1 << 20,
  /** The kernel's (dev_t)-1 style "nobody" value, 4294967295, means "leave as it is". */
  id: 0xffff_fffe,
  /** Linux: 12 and 20 bits. */
  major: 0xfff,
  minor: 0xfffff,
}
