/** The superblock of ext2, ext3 and ext4, told apart by features as libblkid does. */
import type { ReadAt } from '../../formats/random-access.ts'
import type { Filesystem } from './filesystem.ts'
import { label, uuid } from './text.ts'

const superblockAt = 1024
const magic = 0xef53
const compatHasJournal = 0x4
const incompatJournalDevice = 0x8
/** What the ext2 driver knows: filetype, meta_bg; and ext3: a journal in need of recovery as well. */
const ext2Incompat = 0x2 | 0x10
const ext3Incompat = ext2Incompat | 0x4
/** Both know sparse_super, large_file and btree_dir. */
const ext3RoCompat = 0x1 | 0x2 | 0x4

export async function probeExt(read: ReadAt): Promise<Filesystem | undefined> {
  const block = await read(superblockAt, 1024)
  if (block.length < 1024 || block.readUInt16LE(56) !== magic) return undefined
  const compat = block.readUInt32LE(92)
  const incompat = block.readUInt32LE(96)
  const roCompat = block.readUInt32LE(100)
  return {
    filesystem: kind(compat, incompat, roCompat),
    label: label(block.subarray(120, 136)),
    uuid: uuid(block.subarray(104, 120)),
  }
}

function kind(compat: number, incompat: number, roCompat: number): string {
  if (incompat & incompatJournalDevice) return 'jbd'
  const old = (roCompat & ~ext3RoCompat) === 0
  if (compat & compatHasJournal) return old && (incompat & ~ext3Incompat) === 0 ? 'ext3' : 'ext4'
  return old && (incompat & ~ext2Incompat) === 0 ? 'ext2' : 'ext4'
}
