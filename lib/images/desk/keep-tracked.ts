/** Sees to it that git does not leave out what the desk has put into overlays/. */
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import { git, ignored, isUnderGit, trackAnyway, zeroEnded } from './git.ts'
import { baseOf, below } from './nodes.ts'
import type { Desk } from './types.ts'

const namesInNote = 5

/**
 * A `.gitignore` in the image's own tree speaks of the image's files too, and `overlay` leaves out what git leaves out.
 * So git is told to track those files, as `git add --intent-to-add --force` does. `names` are below overlays/part_N.
 */
export async function keepTracked(desk: Desk, part: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  const place = { run: desk.run, caller: desk.caller, cwd: join(desk.folder, 'overlays') }
  try {
    if (!(await isUnderGit(place))) return
    // New rules may hit what was written long ago.
    const rules = names.some((name) => baseOf(name) === '.gitignore')
    const hidden = await ignored(
      place,
      rules ? await untracked(place, part) : names.map((name) => below(part, name)),
    )
    if (hidden.length > 0) {
      await trackAnyway(place, hidden)
      desk.note(
        `git ignores ${listed(hidden)}: it was told to track them all the same (git add --intent-to-add --force)`,
      )
    }
  } catch (error) {
    if (!(error instanceof FleetsieError) || error.code === 'E_INTERRUPTED') throw error
    desk.warn(`git could not be asked which files it leaves out: ${error.message}`)
  }
  const attributes = names.filter((name) => baseOf(name) === '.gitattributes')
  if (attributes.length > 0) {
    desk.warn(
      `git itself obeys ${listed(attributes.map((name) => below(part, name)))} and may change the ends of lines in the files beside it`,
    )
  }
}

async function untracked(place: Parameters<typeof git>[0], part: string): Promise<string[]> {
  return zeroEnded((await git(place, ['ls-files', '-z', '--others', '--', part])).stdout)
}

export function listed(names: readonly string[]): string {
  const some = names.slice(0, namesInNote).join(', ')
  return names.length > namesInNote ? `${some} and ${names.length - namesInNote} more` : some
}
