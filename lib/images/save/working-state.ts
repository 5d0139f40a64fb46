/** What is known of a working image between two runs: state.json beside it. */
import { chown, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { parseJson } from '../../formats/json.ts'
import type { KeptSum } from './range-sums.ts'

const stateName = 'state.json'
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

const schema = v.strictObject({
  form: v.literal(1),
  /** File name → `fileMark` as the last run left it. */
  files: v.record(v.string(), v.string()),
  /** Partitions that passed their checkers before any edit. */
  sound: v.array(count),
  sums: v.array(v.tuple([count, count, v.pipe(v.string(), v.regex(/^([0-9a-f]{64})?$/)), sha256])),
  /** Of a grown image: the pieces in which it differs from the stock, and the chunks that hold them. */
  grown: v.strictObject({
    pieces: v.array(count),
    chunks: v.array(v.tuple([count, v.nullable(sha256)])),
  }),
})

export interface Grown {
  pieces: number[]
  chunks: [number, string | null][]
}

export interface WorkingState {
  sound: number[]
  sums: KeptSum[]
  grown: Grown
}

/** What the last run left in `folder`. `undefined`: it left nothing. `changed`: somebody else wrote there. */
export async function readState(
  folder: string,
  files: readonly string[],
): Promise<WorkingState | 'changed' | undefined> {
  const text = await readFile(join(folder, stateName), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const { success, output } = v.safeParse(schema, parseJson(text))
  if (!success) return 'changed'
  for (const name of files) if (output.files[name] !== (await fileMark(join(folder, name)))) return 'changed'
  const { sound, sums, grown } = output
  return { sound, sums, grown }
}

/** To be called when nobody writes to the files any more. A full disk takes no note, which is no reason to fail a stage. */
export async function writeState(
  folder: string,
  files: readonly string[],
  state: WorkingState,
): Promise<void> {
  const marks: Record<string, string> = {}
  await giveAway(folder, files)
  for (const name of files) marks[name] = (await fileMark(join(folder, name))) ?? ''
  const written: v.InferOutput<typeof schema> = { form: 1, files: marks, ...state }
  const path = join(folder, stateName)
  await writeFile(path, JSON.stringify(written)).catch(async (error: NodeJS.ErrnoException) => {
    if (!['ENOSPC', 'EDQUOT'].includes(error.code ?? '')) throw error
    await rm(path, { force: true })
  })
}

/** Under sudo the folder is the store owner's, and so are the files in the end: given away later, they had another ctime. */
async function giveAway(folder: string, files: readonly string[]): Promise<void> {
  if (process.geteuid?.() !== 0) return
  const { uid, gid } = await stat(folder)
  for (const name of files) await chown(join(folder, name), uid, gid)
}

/** Whoever writes to a file changes its ctime, which no program can set back. */
async function fileMark(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined)
  return found && `${found.size} ${found.ino} ${found.mtimeNs} ${found.ctimeNs}`
}
