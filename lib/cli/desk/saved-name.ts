/** Where `save` writes: the folder and the name that its files begin with. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import {
  artifactSuffixes,
  authorityName,
  envelopeSuffix,
  signatureSuffix,
} from '../../images/signing/artifacts.ts'
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

const { image: suffix, sums } = artifactSuffixes
/** Of all files that a save publishes, after the name. */
const endings = [
  ...Object.values(artifactSuffixes),
  envelopeSuffix,
  ...[suffix, sums].map((ending) => ending + signatureSuffix),
]

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

/**
 * Only what an earlier `save` made is replaced. Fails with E_UNSAFE where there is something else: the stock image, for
 * one, or a `ca.crt` of the user's. `authority`: what ca.crt is going to hold; undefined: nobody has that yet.
 */
export async function expectOwn(
  { path, folder, stem }: SavedName,
  desk: DeskPlace,
  record: ImageRecord,
  authority: string | undefined,
): Promise<void> {
  const earlier = record.saved.map((saved) => resolve(desk.folder, saved.path))
  if (!earlier.includes(path)) {
    for (const name of await readdir(folder).catch(() => [])) {
      if (endings.some((ending) => name === stem + ending)) throw isThere(join(folder, name))
    }
  }
  if (earlier.some((saved) => dirname(saved) === folder)) return
  const ca = join(folder, authorityName)
  const present = await readFile(ca, 'utf8').catch(() => undefined)
  if (present !== undefined && present !== authority) throw isThere(ca)
}

function isThere(path: string): FleetsieError {
  return new FleetsieError('E_UNSAFE', 'this is there already, and `save` did not make it', {
    file: path,
    hint: 'it is not overwritten: move it away, or give another name or folder: fleetsie_mod save FOLDER/NEW_IMAGE_NAME',
  })
}
