/** Links in a desk's folder that are named after the filesystems' labels: `bootfs -> part_1`. */
import { lchown, lstat, readlink, symlink, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { Caller } from '../caller.ts'
import { mergedPlace } from './places.ts'

/** Names that this program gives to other things; those that begin with a dot are kept for it as well. */
const taken = /^(?:original|merged|overlays|my_work|part_\d+)$/

export interface LabelLink {
  name: string
  target: string
}

/**
 * The links for these partitions. A label that has nothing left when it is made a file name, that two partitions have,
 * or that is the name of something else in the folder gets none, and `note` hears why.
 */
export async function labelLinks(
  folder: string,
  partitions: readonly { number: number; label: string | null }[],
  note: (line: string) => void,
): Promise<LabelLink[]> {
  const links: LabelLink[] = []
  const names = new Set<string>()
  for (const { number, label } of partitions) {
    if (label === null || label === '') continue
    const target = mergedPlace(number)
    const name = cleaned(label)
    const skip = (why: string): void =>
      note(`no link to ${target} by its label ${JSON.stringify(label)}: ${why}`)
    if (name === '') skip('it cannot be a file name')
    else if (taken.test(name)) skip('that name is taken')
    else if (names.has(name)) skip('another partition has the same label')
    else if (!(await isFree(join(folder, name)))) skip('something of that name is there')
    else links.push({ name, target })
    names.add(name)
  }
  return links
}

/** Without slashes, control characters and dots in front: those are ours, `..` among them. */
function cleaned(label: string): string {
  return label.replace(/[\p{Cc}\p{Cf}\p{Cs}/]/gu, '').replace(/^[.\s]+|\s+$/g, '')
}

/** Nothing there, or a link that an earlier mount left. */
async function isFree(path: string): Promise<boolean> {
  const present = await lstat(path).catch(() => undefined)
  return present === undefined || /^part_\d+$/.test(await readlink(path).catch(() => ''))
}

export async function makeLinks(
  folder: string,
  links: readonly LabelLink[],
  caller: Caller | undefined,
): Promise<void> {
  for (const { name, target } of links) await replaceLink(join(folder, name), target, caller)
}

/** Only those that still lead where we let them lead. */
export async function removeLinks(folder: string, links: readonly LabelLink[]): Promise<void> {
  for (const { name, target } of links) {
    const path = join(folder, name)
    if ((await readlink(path).catch(() => undefined)) === target) await unlink(path)
  }
}

/** Makes the link `path`; another link there is replaced. Fails with E_UNSAFE when a file or folder is there. */
export async function replaceLink(path: string, target: string, caller: Caller | undefined): Promise<void> {
  const present = await readlink(path).catch(() => undefined)
  if (present === target) return
  if (present !== undefined) await unlink(path)
  await symlink(target, path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause
    throw new FleetsieError('E_UNSAFE', 'a file or a folder is where a link has to be', {
      file: path,
      hint: 'move it away',
      cause,
    })
  })
  if (caller) await lchown(path, caller.uid, caller.gid)
}
