/** Brings part_N.mtree up to what the desk has, line by line. */
import { lstat, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError, inFile } from '../../errors.ts'
import { parseMtree } from '../../formats/mtree.ts'
import { replaceWithBytes } from '../replace-file.ts'
import type { Line } from './baseline.ts'
import { editMtree, type LineEdit } from './mtree-lines.ts'
import type { Replaced } from './replaced.ts'
import { lineOf } from './said.ts'
import type { Desk, TakenIn } from './types.ts'

export interface LineChange {
  /** Nothing: no line. */
  wanted: LineEdit | undefined
  /** What the baseline has. */
  held: Line | undefined
}

/** The file's bytes, none when it is missing. A link is no place to write to. Fails with E_UNSAFE. */
export async function readMtreeFile({ folder }: Pick<Desk, 'folder'>, number: number): Promise<Buffer> {
  const name = `overlays/part_${number}.mtree`
  const stats = await lstat(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (!stats) return Buffer.alloc(0)
  if (!stats.isFile()) throw new FleetsieError('E_UNSAFE', `${name} has to be a file`, { file: name })
  return readFile(join(folder, name))
}

/** Answers what each line says now. */
export async function takeLines(
  desk: Desk,
  number: number,
  changes: ReadonlyMap<string, LineChange>,
  replaced: Replaced,
  counts: TakenIn,
): Promise<Map<string, Line | undefined>> {
  const name = `part_${number}.mtree`
  const file = await readMtreeFile(desk, number)
  return await inFile(`overlays/${name}`, async () => {
    const now = new Map(parseMtree(file).map((entry) => [entry.path, lineOf(entry)]))
    const edits = new Map<string, LineEdit | undefined>()
    let byHand = false
    for (const [path, { wanted, held }] of changes) {
      const said = now.get(path)
      if (!said && !wanted) continue
      edits.set(path, wanted)
      byHand ||= !same(said, held) && !same(said, wanted?.said)
    }
    const { bytes, rewritten } = editMtree(file, edits)
    if (!(bytes ?? Buffer.alloc(0)).equals(file)) {
      if (byHand) await replaced.keep(name)
      else if (rewritten) await replaced.keep(name, 'had no place for a line and was written anew')
      const path = join(desk.folder, 'overlays', name)
      if (bytes) await replaceWithBytes(path, bytes, { mode: 0o644, caller: desk.caller })
      else await rm(path)
      counts.lines += edits.size
    }
    const after = new Map(parseMtree(bytes ?? Buffer.alloc(0)).map((entry) => [entry.path, lineOf(entry)]))
    return new Map([...changes.keys()].map((path) => [path, after.get(path)]))
  })
}

const same = (a: Line | undefined, b: Line | undefined): boolean => JSON.stringify(a) === JSON.stringify(b)
