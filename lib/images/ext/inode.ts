/** One inode of ext, decoded: struct ext4_inode in Linux's fs/ext4/ext4.h. */
import type { NodeType, VolumeTime } from '../volume.ts'

export const inodeFlags = {
  index: 0x1000,
  extents: 0x80000,
  encrypted: 0x800,
  inlineData: 0x10000000,
  casefold: 0x40000000,
} as const

const types: Record<number, NodeType> = {
  1: 'fifo',
  2: 'character',
  4: 'directory',
  6: 'block',
  8: 'file',
  10: 'symlink',
  12: 'socket',
}

export interface Inode {
  number: number
  raw: Buffer
  type: NodeType
  /** 07777 bits. */
  mode: number
  uid: number
  gid: number
  size: number
  links: number
  flags: number
  /** Units of 512 bytes. */
  sectors: number
  /** Block of its extended attributes, 0: none. */
  xattrBlock: number
  /** Bytes of the inode after the first 128 that are fields. */
  extra: number
}

/** Undefined: the type bits are none of a file's. */
export function decodeInode(raw: Buffer, number: number, blockSize: number): Inode | undefined {
  const mode = raw.readUInt16LE(0)
  const type = types[mode >> 12]
  if (type === undefined) return undefined
  const flags = raw.readUInt32LE(0x20)
  const count = raw.readUInt32LE(0x1c) + raw.readUInt16LE(0x74) * 2 ** 32
  return {
    number,
    raw,
    type,
    mode: mode & 0o7777,
    uid: raw.readUInt16LE(2) + raw.readUInt16LE(0x78) * 65536,
    gid: raw.readUInt16LE(0x18) + raw.readUInt16LE(0x7a) * 65536,
    size:
      raw.readUInt32LE(4) + (type === 'file' || type === 'directory' ? raw.readUInt32LE(0x6c) * 2 ** 32 : 0),
    links: raw.readUInt16LE(0x1a),
    flags,
    // huge_file: the count of such an inode is in blocks.
    sectors: flags & 0x40000 ? count * (blockSize / 512) : count,
    xattrBlock: raw.readUInt32LE(0x68) + raw.readUInt16LE(0x76) * 2 ** 32,
    extra: raw.length > 128 ? raw.readUInt16LE(0x80) : 0,
  }
}

export const times = {
  atime: { low: 0x8, extra: 0x8c },
  ctime: { low: 0xc, extra: 0x84 },
  mtime: { low: 0x10, extra: 0x88 },
  crtime: { low: 0x90, extra: 0x94 },
} as const

/** Whether the inode has room for the field at `at`. */
export function hasField(inode: Inode, at: number): boolean {
  return at < 128 || at + 4 <= 128 + inode.extra
}

export function readTime(inode: Inode, which: keyof typeof times): VolumeTime {
  const { low, extra } = times[which]
  const seconds = inode.raw.readInt32LE(low)
  if (!hasField(inode, extra)) return { seconds, nanoseconds: 0 }
  const more = inode.raw.readUInt32LE(extra)
  return { seconds: seconds + (more & 3) * 2 ** 32, nanoseconds: more >>> 2 }
}

/** The two words of a time; what the inode cannot hold becomes the nearest that it can, as Linux does it. */
export function encodeTime(time: VolumeTime, wide: boolean): { low: number; extra: number } {
  const last = wide ? 2 ** 34 - 2 ** 31 - 1 : 2 ** 31 - 1
  const seconds = Math.min(Math.max(time.seconds, -(2 ** 31)), last)
  const nanoseconds = seconds === time.seconds ? time.nanoseconds : 0
  const low = seconds >>> 0
  const epoch = Math.round((seconds - (low | 0)) / 2 ** 32) & 3
  return { low, extra: wide ? nanoseconds * 4 + epoch : 0 }
}

/** i_block[0] holds a small number in the old form, i_block[1] any other: Linux's old_decode_dev and new_decode_dev. */
export function deviceOf({ raw }: Inode): { major: number; minor: number } {
  const old = raw.readUInt32LE(0x28)
  if (old !== 0) return { major: (old >>> 8) & 0xff, minor: old & 0xff }
  const wide = raw.readUInt32LE(0x2c)
  return { major: (wide >>> 8) & 0xfff, minor: (wide & 0xff) | ((wide >>> 12) & 0xfff00) }
}

/** A device's number as i_block[0] and i_block[1] hold it. */
export function encodeDevice(major: number, minor: number): [number, number] {
  if (major < 256 && minor < 256) return [major * 256 + minor, 0]
  return [0, ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0]
}
