/** Files that `save` was told to take although they hold a private key. */
import { lstat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { DeskPlace } from './find.ts'
import { overlaysName } from './stages.ts'

/**
 * Their names as the refusal gives them, `overlays/part_N/…`, sorted. Each counts from the desk's folder or from `from`,
 * and may be the one of `part_N` as well. What was changed has to be in overlays/ by now. Fails with E_USAGE.
 */
export async function allowedKeys(
  { folder }: DeskPlace,
  given: readonly string[],
  from: string,
): Promise<string[]> {
  const names = new Set<string>()
  for (const path of given) {
    const candidates = [folder, from].map((base) => relative(folder, resolve(base, path)))
    const found = await firstFile(folder, candidates)
    if (found === undefined) {
      throw new FleetsieError('E_USAGE', 'this is no file among the changes of the desk', {
        file: path,
        hint: 'give the name that `save` refuses: --allow-private-key overlays/part_2/etc/…',
      })
    }
    names.add(found)
  }
  return [...names].sort()
}

async function firstFile(folder: string, candidates: readonly string[]): Promise<string | undefined> {
  for (const candidate of candidates) {
    const inPart = /^(?:overlays\/|my_work\/|merged\/)?(part_\d+\/.+)$/.exec(candidate)?.[1]
    if (inPart === undefined) continue
    const name = join(overlaysName, inPart)
    if ((await lstat(join(folder, name)).catch(() => undefined))?.isFile()) return name
  }
  return undefined
}
