/** Puts an image of the store on the desk: `OSNAME.img`, raw and sparse, and the link `.image` to it. */
import { lchown, rename, rm, stat, statfs, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { callerOf, settle } from '../../images/caller.ts'
import { chunkDigests } from '../../images/chunk-digests.ts'
import { copyDisk } from '../../images/copy-disk.ts'
import { chunkSize, diskName, type ImageManifest, readManifest } from '../../images/image.ts'
import { partName, sweepParts, sync } from '../../images/replace-file.ts'
import { formatBytes } from '../format.ts'
import { type DeskPlace, linkName } from './find.ts'

/**
 * Copies the image of `object` to `desk.disk`, which has its name when all of it is on the disk. One with the same content
 * stays. Fails with E_UNSAFE where there is another, E_IO where there is no room, before anything is written.
 */
export async function placeImage(
  desk: DeskPlace,
  object: string,
  { run, signal }: { run: Run; signal: AbortSignal },
): Promise<'made' | 'kept'> {
  const { folder, image, disk } = desk
  await sweepParts(folder)
  const manifest = await readManifest(object)
  const present = await stat(disk).catch(() => undefined)
  if (present) {
    if (present.isFile() && (await holds(disk, present.size, manifest, signal))) return 'kept'
    throw new FleetsieError('E_UNSAFE', 'this is there already and holds something else', {
      file: image,
      hint: `it is not overwritten: move it away, \`mv ${image} other.img\`, or use another folder`,
    })
  }
  await expectRoom(folder, image, manifest)
  const part = join(folder, partName())
  try {
    await copyDisk(run, join(object, diskName), part)
    await settle(part, 0o644, callerOf(process.env))
    await sync(part)
    await rename(part, disk)
  } finally {
    await rm(part, { force: true })
  }
  await sync(folder)
  return 'made'
}

/** `.image` leads to the desk's image; whatever link was there is replaced. */
export async function linkImage({ folder, image }: DeskPlace): Promise<void> {
  const part = join(folder, partName())
  try {
    await symlink(image, part)
    const caller = callerOf(process.env)
    if (caller) await lchown(part, caller.uid, caller.gid)
    await rename(part, join(folder, linkName))
  } finally {
    await rm(part, { force: true })
  }
  await sync(folder)
}

async function holds(
  disk: string,
  size: number,
  manifest: ImageManifest,
  signal: AbortSignal,
): Promise<boolean> {
  if (size !== manifest.size) return false
  const step = 64
  for (let first = 0; first < manifest.chunks.length; first += step) {
    signal.throwIfAborted()
    const chunks = Array.from({ length: Math.min(step, manifest.chunks.length - first) }, (_, i) => first + i)
    for (const [chunk, sha256] of await chunkDigests(disk, chunks)) {
      if (sha256 !== manifest.chunks[chunk]) return false
    }
  }
  return true
}

/** The copy leaves out zeros. */
async function expectRoom(folder: string, image: string, { chunks }: ImageManifest): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const needed = chunks.filter((chunk) => chunk !== null).length * chunkSize
  const free = bavail * bsize
  if (needed <= free) return
  throw new FleetsieError(
    'E_IO',
    `${image} takes up to ${formatBytes(needed)}, but only ${formatBytes(free)} are free here`,
    { file: dirname(join(folder, image)), hint: 'free some space, or use a folder on another disk' },
  )
}
