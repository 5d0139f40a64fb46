/** Which desk a verb works on: the folder with the link `.image`, and the image that it leads to. */
import { lstat, readlink, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { recordName } from '../../images/desk/attachment.ts'

export const linkName = '.image'

export interface DeskPlace {
  /** The working folder, where `part_N` and `overlays` are. */
  folder: string
  /** `OSNAME.img`, a file of that folder. */
  image: string
  /** Its path. */
  disk: string
}

/** The desk of `from` or of a folder above it. Fails with E_USAGE where there is none: `init` must run first. */
export async function findDesk(from: string): Promise<DeskPlace> {
  return openDesk(await deskFolder(from))
}

/** As findDesk; what is mounted can be unmounted although the image has gone or `.image` leads elsewhere. */
export async function findMounted(from: string): Promise<DeskPlace> {
  const folder = await deskFolder(from)
  try {
    return await openDesk(folder)
  } catch (error) {
    if (!(await lstat(join(folder, recordName)).catch(() => undefined))) throw error
    const image = basename(await readlink(join(folder, linkName)))
    return { folder, image, disk: join(folder, image) }
  }
}

async function deskFolder(from: string): Promise<string> {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const found = await lstat(join(folder, linkName)).catch(() => undefined)
    if (found?.isSymbolicLink()) return folder
    if (folder === dirname(folder)) break
  }
  throw new FleetsieError('E_USAGE', 'there is no `.image` here: `init` must run first', {
    hint: 'fleetsie_mod init PATH/OSNAME.img.xz',
  })
}

/** The desk in `folder` itself, which has the link. Fails with E_INPUT when that leads to no image. */
export async function openDesk(folder: string): Promise<DeskPlace> {
  const link = join(folder, linkName)
  const target = await readlink(link)
  const image = basename(target)
  const disk = join(folder, image)
  // The document has it as ./OSNAME.img; anywhere else the files beside it would be another image's.
  if (resolve(folder, target) !== disk) {
    throw new FleetsieError('E_INPUT', `it leads to ${target}, which is not in this folder`, {
      file: link,
      hint: 'fleetsie_mod mount OSNAME.img, with the name of an image in this folder',
    })
  }
  const found = await stat(disk).catch(() => undefined)
  if (!found?.isFile()) {
    throw new FleetsieError('E_INPUT', `it leads to ${image}, which is not there`, {
      file: link,
      hint: 'make it again: fleetsie_mod init PATH/OSNAME.img.xz',
    })
  }
  return { folder, image, disk }
}
