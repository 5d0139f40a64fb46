/** Writes what is wanted into overlays/, names and marks and lines, and says what the next baseline is. */
import type { Held } from './baseline.ts'
import type { Differences } from './differences.ts'
import { keepTracked } from './keep-tracked.ts'
import { baseOf, below, defaultFolder, parentOf } from './nodes.ts'
import { OverlayEdit } from './overlay-edit.ts'
import { Replaced } from './replaced.ts'
import { editFor } from './said.ts'
import { type LineChange, takeLines } from './take-lines.ts'
import type { Desk, TakenIn } from './types.ts'
import type { Comparing, Wanted } from './wanted.ts'

const opaqueMark = '.wh..wh..opq'
const whiteoutOf = (path: string): string => below(parentOf(path), `.wh.${baseOf(path)}`)

/** Answers what overlays/ holds then. */
export async function storeWanted(
  desk: Desk,
  number: number,
  differences: Differences,
  comparing: Comparing,
  wanted: ReadonlyMap<string, Wanted>,
  counts: TakenIn,
): Promise<Map<string, Held>> {
  const part = `part_${number}`
  const replaced = new Replaced(desk)
  const edit = new OverlayEdit(desk, part, replaced, counts)
  const overlay = new Overlay(comparing.baseline.overlay)
  const all = [...wanted]
    .map(([path, one]) => ({ path, one, names: comparing.heldAt.get(path) ?? [] }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))

  // What goes, goes first and from the end: a folder may stand where a file will, and a file where a folder will.
  for (const { one, names } of all.toReversed()) {
    for (const [index, { path, held }] of [...names.entries()].toReversed()) {
      const isMain = index === names.length - 1
      if (held.opaque && !(one.opaque && isMain)) {
        await edit.mark(below(path, opaqueMark), false)
        overlay.set(path, { opaque: undefined })
      }
      if (held.whiteout && !one.whiteout) {
        await edit.mark(whiteoutOf(path), false)
        overlay.set(path, { whiteout: undefined })
      }
      if (held.body && !(one.body && isMain)) {
        await edit.remove(path, held.body)
        overlay.set(path, { body: undefined })
      }
    }
  }

  const lines = new Map<string, LineChange>()
  const written: string[] = []
  for (const { path, one, names } of all) {
    const main = names.at(-1)?.path ?? path
    const held = names.at(-1)?.held
    if (one.whiteout && !names.some((name) => name.held.whiteout)) {
      await edit.mark(whiteoutOf(path), true)
      overlay.set(path, { whiteout: true })
      written.push(whiteoutOf(path))
    }
    if (one.body) {
      overlay.set(main, { body: await edit.write(main, one.body, held?.body) })
      written.push(main)
    }
    if (one.opaque) {
      await edit.mark(below(main, opaqueMark), true)
      overlay.set(main, { opaque: true })
      written.push(below(main, opaqueMark))
    }
    for (const other of names.slice(0, -1)) {
      if (other.held.line) lines.set(other.path, { wanted: undefined, held: other.held.line })
    }
    if (one.line !== 'as it is') lines.set(main, { wanted: one.line, held: held?.line })
  }
  keepEmptyFolders(differences, comparing, overlay.all, lines)
  for (const [path, line] of await takeLines(desk, number, lines, replaced, counts))
    overlay.set(path, { line })
  await keepTracked(desk, part, written)
  return overlay.all
}

class Overlay {
  readonly all: Map<string, Held>

  constructor(before: ReadonlyMap<string, Held>) {
    this.all = new Map(before)
  }

  set(path: string, change: { [Key in keyof Held]?: Held[Key] | undefined }): void {
    const entries = Object.entries({ ...this.all.get(path), ...change }).filter(
      ([, value]) => value !== undefined,
    )
    if (entries.some(([key]) => key !== 'at')) this.all.set(path, Object.fromEntries(entries) as Held)
    else this.all.delete(path)
  }
}

/** git keeps no folder that holds nothing: those that the image would not have need a line. */
function keepEmptyFolders(
  { found }: Differences,
  { stock, heldAt }: Comparing,
  overlay: ReadonlyMap<string, Held>,
  lines: Map<string, LineChange>,
): void {
  const filled = new Set<string>()
  const fill = (path: string): void => {
    for (let at = path; at !== '' && !filled.has(at); at = parentOf(at)) filled.add(at)
  }
  for (const [path, { body, whiteout, opaque, line }] of overlay) {
    const change = lines.get(path)
    if (body || whiteout || (change ? change.wanted : line)) fill(parentOf(path))
    if (opaque || body?.type === 'directory') fill(path)
  }
  for (const [path, { wanted }] of lines) if (wanted) fill(parentOf(path))
  for (const [path, { node, lower }] of found) {
    if (node.kind !== 'directory') continue
    const names = heldAt.get(path)
    const main = names?.at(-1)?.path ?? path
    const isNew = lower === 0 || stock.node(lower).type !== 'directory' || overlay.get(main)?.whiteout
    if (!isNew || filled.has(main)) continue
    const change = lines.get(main)
    const line = overlay.get(main)?.line
    if (change ? change.wanted : line) continue
    lines.set(main, { wanted: editFor('directory', defaultFolder, defaultFolder, undefined), held: line })
  }
}
