/** Where `save` writes: the folder and the name that its files begin with. */
import { lstat } from 'node:fs/promises'
import { basename, dirname, relative, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { artifactSuffixes } from '../../images/artifacts.ts'
import type { DeskPlace } from './find.ts'
import type { ImageRecord } from './record.ts'

export interface SavedName {
  /** Absolute. */
  folder: string
  /** `OSNAME_fleetsie`. */
  stem: string
  /** The .img.xz itself. */
  path: string
}

const { image: suffix } = artifactSuffixes

/** `given` counts from `from`, where the user is; the default goes beside the desk's image. Fails with E_USAGE. */
export function savedName(desk: DeskPlace, given: string | undefined, from: string): SavedName {
  const path = given === undefined ? resolve(desk.folder, `${stemOf(desk)}_fleetsie`) : resolve(from, given)
  const stem = basename(path).replace(/\.img(\.xz)?$/i, '')
  if (given === '' || given?.endsWith('/') || !/^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/.test(stem)) {
    throw new FleetsieError('E_USAGE', `${JSON.stringify(given ?? stem)} is no name for an image`, {
      hint: 'a name of letters, digits and ._+-, such as my-device.img.xz; it may have a path before it',
    })
  }
  const other = /\.(xz|gz|zst|zip|bz2|raw|iso)$/i.exec(stem)?.[0]
  if (other !== undefined) {
    throw new FleetsieError('E_USAGE', `an image is saved as ${suffix}, not as ${other}`, {
      hint: `fleetsie_mod save ${stem.slice(0, -other.length)}${suffix}`,
    })
  }
  const within = /^(part_\d+|original|merged|overlays|my_work|\.[^/]*)(\/|$)/.exec(
    relative(desk.folder, dirname(path)),
  )
  if (within && within[1] !== '..') {
    throw new FleetsieError('E_USAGE', `an image is not saved into ${within[1]}`, {
      file: path,
      hint: `give a path outside, such as ${relative(from, resolve(desk.folder, stem + suffix))}`,
    })
  }
  return { folder: dirname(path), stem, path: resolve(dirname(path), stem + suffix) }
}

function stemOf({ image }: DeskPlace): string {
  return image.replace(/\.img$/, '')
}

/** Only what an earlier `save` made is replaced. Fails with E_UNSAFE where there is something else: the stock image, for one. */
export async function expectOwn({ path }: SavedName, desk: DeskPlace, record: ImageRecord): Promise<void> {
  if (!(await lstat(path).catch(() => undefined))) return
  if (record.saved.some((saved) => resolve(desk.folder, saved.path) === path)) return
  throw new FleetsieError('E_UNSAFE', 'this is there already, and `save` did not make it', {
    file: path,
    hint: 'it is not overwritten: move it away, or give another name: fleetsie_mod save NEW_IMAGE_NAME',
  })
}
