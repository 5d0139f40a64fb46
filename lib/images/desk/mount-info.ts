/** The mounts that this process sees, as /proc/self/mountinfo tells them: proc(5). */
import { readFile, realpath } from 'node:fs/promises'

export interface Mount {
  /** Absolute. */
  target: string
  /** What of its filesystem is mounted: '/', or a folder in it for a bind mount. */
  root: string
  type: string
  source: string
}

/** In the order in which they were made; a later one hides an earlier one at the same place. */
export async function listMounts(): Promise<Mount[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8')
  return text.split('\n').flatMap((line) => parseMount(line) ?? [])
}

/** One line; undefined when it is none. */
export function parseMount(line: string): Mount | undefined {
  // Optional fields, as many as there are, end with a lone hyphen.
  const [before, after] = line.split(' - ')
  const [, , , root, target] = (before ?? '').split(' ')
  const [type, source] = (after ?? '').split(' ')
  if (root === undefined || target === undefined || type === undefined || source === undefined) {
    return undefined
  }
  return { target: plain(target), root: plain(root), type, source: plain(source) }
}

/** Octal for space, tab, newline and backslash. Bytes that are no UTF-8 do not come through: such a folder is refused. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_whole, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

/** Those at or below `folder`, by their place relative to it. */
export async function mountsBelow(folder: string): Promise<(Mount & { place: string })[]> {
  const prefix = `${await realpath(folder)}/`
  const all = await listMounts()
  return all
    .filter(({ target }) => target.startsWith(prefix))
    .map((mount) => ({ ...mount, place: mount.target.slice(prefix.length) }))
}

/** The filesystem type that `folder` lies on. */
export async function filesystemOf(folder: string): Promise<string> {
  const path = `${await realpath(folder)}/`
  let best: Mount | undefined
  for (const mount of await listMounts()) {
    const prefix = mount.target === '/' ? '/' : `${mount.target}/`
    if (path.startsWith(prefix) && mount.target.length >= (best?.target.length ?? 0)) best = mount
  }
  return best?.type ?? 'unknown'
}
