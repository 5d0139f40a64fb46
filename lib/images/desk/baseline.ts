/**
 * `.desk/baseline_N.json`: what `.new_N` and overlays/ held when they last said the same. What differs from it since
 * then was changed in the desk, or by hand in overlays/.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../../errors.ts'
import { replaceWithBytes } from '../replace-file.ts'
import { privateFolder } from './places.ts'
import type { Desk, UpperForm } from './types.ts'

// The folder may be a user's, and root writes and removes by these names.
const within = v.pipe(
  v.string(),
  v.check((path) => path.split('/').every((name) => name !== '.' && name !== '..')),
)

const line = v.strictObject({
  type: v.exactOptional(v.picklist(['file', 'directory', 'symlink', 'character', 'block', 'fifo'])),
  mode: v.exactOptional(v.number()),
  uid: v.exactOptional(v.number()),
  gid: v.exactOptional(v.number()),
  device: v.exactOptional(v.strictObject({ major: v.number(), minor: v.number() })),
  link: v.exactOptional(v.string()),
  /** Names and values, these in base64. */
  xattrs: v.array(v.tuple([v.string(), v.string()])),
})

const held = v.strictObject({
  body: v.exactOptional(
    v.variant('type', [
      v.strictObject({
        type: v.literal('file'),
        sha256: v.string(),
        program: v.boolean(),
        /** Inode, time of change and size in overlays/. */
        stamp: v.string(),
      }),
      v.strictObject({ type: v.literal('symlink'), target: v.string() }),
      v.strictObject({ type: v.literal('directory') }),
    ]),
  ),
  /** `.wh.NAME` stands beside it. */
  whiteout: v.exactOptional(v.literal(true)),
  /** `.wh..wh..opq` is in it. */
  opaque: v.exactOptional(v.literal(true)),
  /** What part_N.mtree says. */
  line: v.exactOptional(line),
  /** Where in `.new_N`, when a link of the image leads elsewhere. */
  at: v.exactOptional(within),
})

const upperEntry = v.strictObject({
  stamp: v.string(),
  /** What the stock shows in its place, an inode; 0: nothing. */
  lower: v.number(),
  /** Of all that laying out would put there; '' when it would put nothing. */
  sign: v.string(),
  /** A folder that hides what the stock has in it. */
  opaque: v.exactOptional(v.literal(true)),
})

const baseline = v.strictObject({
  format: v.literal(1),
  /** Which stock it was. */
  stock: v.string(),
  form: v.strictObject({ whiteouts: v.picklist(['device', 'file']), owners: v.boolean() }),
  /** False while `.new_N` is being filled: nothing in it is the user's work. */
  complete: v.boolean(),
  /** Milliseconds since 1970, before `.new_N` was looked at. */
  at: v.number(),
  /** By path in `.new_N`. Lists, for a file may be called as JavaScript calls what every object has. */
  upper: v.array(v.tuple([within, upperEntry])),
  /** By path in overlays/part_N. */
  overlay: v.array(v.tuple([within, held])),
  /** What is in `.new_N` and cannot be in overlays/. */
  left: v.array(within),
})

export type Line = v.InferOutput<typeof line>
export type Held = v.InferOutput<typeof held>
export type UpperEntry = v.InferOutput<typeof upperEntry>

export interface Baseline {
  stock: string
  form: UpperForm
  complete: boolean
  at: number
  upper: Map<string, UpperEntry>
  overlay: Map<string, Held>
  left: string[]
}

const nameOf = (number: number): string => `baseline_${number}.json`

export function emptyBaseline(form: UpperForm, stock: string): Baseline {
  const { whiteouts, owners } = form
  return {
    stock,
    form: { whiteouts, owners },
    complete: true,
    at: 0,
    upper: new Map(),
    overlay: new Map(),
    left: [],
  }
}

/** Undefined: this partition was never laid out. Fails with E_DAMAGED. */
export async function readBaseline({ folder }: Desk, number: number): Promise<Baseline | undefined> {
  const file = join(folder, privateFolder, nameOf(number))
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (text === undefined) return undefined
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), baseline), text, { abortEarly: true })
  if (!result.success) {
    throw new FleetsieError('E_DAMAGED', 'this does not say what the desk began with', {
      file,
      hint: `remove it: then all that is in .new_${number} is taken for changed`,
    })
  }
  const { upper, overlay, ...rest } = result.output
  return { ...rest, upper: new Map(upper), overlay: new Map(overlay) }
}

/** Written under another name, synced and renamed. */
export async function writeBaseline(
  desk: Desk,
  number: number,
  { upper, overlay, ...rest }: Baseline,
): Promise<void> {
  const folder = join(desk.folder, privateFolder)
  await mkdir(folder, { recursive: true })
  const value = { format: 1, ...rest, upper: [...upper], overlay: [...overlay] }
  const bytes = Buffer.from(JSON.stringify(value))
  await replaceWithBytes(join(folder, nameOf(number)), bytes, { mode: 0o600, caller: desk.caller })
}
