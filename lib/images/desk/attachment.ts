/** What `mount` puts below a desk's folder, and `.mounted`, the file that says so. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../../errors.ts'

/**
 * Paths are relative to the desk's folder, so that it may be moved while it is mounted. Root acts upon them: nothing
 * outside of the folder is taken.
 */
const attachedPart = v.object({
  number: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** ext2, ext3, ext4 or vfat. */
  filesystem: v.string(),
  /** original/part_N: what the image has, read-only. */
  original: v.pipe(v.string(), v.regex(/^original\/part_\d+$/)),
  /** .new_N: what was changed. */
  upper: v.pipe(v.string(), v.regex(/^\.new_\d+$/)),
  /** part_N: both as one, writable. */
  merged: v.pipe(v.string(), v.regex(/^part_\d+$/)),
  /** What a deletion is in `upper`: a character device 0:0, or a file `.wh.NAME`. Readers take both. */
  whiteouts: v.picklist(['device', 'file']),
  /** False: in `merged` all files are the user's, and chown and mknod are not allowed. */
  owners: v.boolean(),
})

const attachment = v.object({
  /** kernel: loop devices and overlayfs, by root. fuse: fuse2fs and fuse-overlayfs, by a user. */
  form: v.picklist(['kernel', 'fuse']),
  parts: v.array(attachedPart),
})

const deskMount = v.object({
  target: v.pipe(v.string(), v.regex(/^(?:original\/)?part_\d+$/)),
  /** `bind`: of the copy of a FAT filesystem. `fuse-overlayfs` without an upper folder shows such a copy as well. */
  kind: v.picklist(['loop', 'bind', 'overlay', 'fuse2fs', 'fuse-overlayfs']),
  /** Of `loop`: the partition's place in the image, bytes. */
  offset: v.exactOptional(v.number()),
  size: v.exactOptional(v.number()),
})

const deskRecord = v.object({
  format: v.literal(1),
  ...attachment.entries,
  /** Marks mounts and processes of this attachment as ours. */
  token: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  /** The user who mounted; only this one or root can unmount. */
  uid: v.number(),
  /** /proc/sys/kernel/random/boot_id: no mount outlives its boot. */
  boot: v.string(),
  /** Which file the image is, as stat(2) numbers it. */
  disk: v.object({ device: v.number(), inode: v.number() }),
  /** In the order in which they are made; undone from the end. */
  mounts: v.array(deskMount),
  /** Links named after the filesystems' labels, and the mount that each leads to. */
  links: v.array(v.object({ name: v.pipe(v.string(), v.regex(/^[^./][^/]*$/)), target: v.string() })),
})

export type AttachedPart = v.InferOutput<typeof attachedPart>
export type DeskMount = v.InferOutput<typeof deskMount>
export type Attachment = v.InferOutput<typeof attachment>
/** What `.mounted` holds. It is written before the first mount and removed after the last unmount. */
export type DeskRecord = v.InferOutput<typeof deskRecord>

export type DeskState =
  | { is: 'unmounted' }
  /** Everything of the record is mounted. */
  | { is: 'mounted'; record: DeskRecord }
  /** A crash or a reboot left some of it, or nothing: detachDesk cleans up. `record` is undefined when its file is damaged. */
  | { is: 'stale'; record: DeskRecord | undefined }

/** A process that keeps a mount busy. */
export interface Holder {
  pid: number
  command: string
  /** What it has open there. */
  path: string
}

export const recordName = '.mounted'

/** Undefined: there is none. Fails with E_DAMAGED when it is none of ours. */
export async function readRecord(folder: string): Promise<DeskRecord | undefined> {
  const file = join(folder, recordName)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), deskRecord), text)
  if (result.success) return result.output
  throw new FleetsieError('E_DAMAGED', 'this is no record of what is mounted', { file })
}
