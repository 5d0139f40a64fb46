/**
 * Receipts: what a card held when its last flash had been verified, one file for each card in the caller's cache folder.
 * There is none from before the first write of a flash until after its last one.
 *
 * A digest of a MiB in which all but a password is known would tell the password to who tries enough of them. So of chunks
 * that a device's own values were written to no digest is kept: they are read and compared the next time.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { parseJson } from '../../formats/json.ts'
import { cacheFolder, callerOf } from '../caller.ts'
import { chunkSize } from '../image.ts'
import { maxImageSize } from '../limits.ts'
import { makeFolder, replaceWithBytes, sync } from '../replace-file.ts'
import type { CardIdentity } from './receipt-identity.ts'
import { wipeMark } from './receipt-mark.ts'

const maxChunks = maxImageSize / chunkSize
const maxBytes = 64 * 1024 * 1024
/** Cards that are remembered. */
const maxReceipts = 64

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const range = v.strictObject({ offset: count, length: count })

const schema = v.strictObject({
  form: v.literal(1),
  card: v.string(),
  /** What was written, and where that begins on the disk, bytes. */
  areas: v.array(v.strictObject({ image: range, start: count })),
  image: v.strictObject({ name: v.string(), sha256, size: count }),
  /** Milliseconds since 1970. */
  when: count,
  /** CardIdentity.state, after the last write. */
  state: v.optional(v.string()),
  mark: v.optional(sha256),
  /** As Held.chunks; empty: not known. */
  chunks: v.pipe(
    v.array(v.nullable(v.pipe(v.string(), v.regex(/^([0-9a-f]{64})?$/)))),
    v.maxLength(maxChunks),
  ),
  covers: v.array(range),
  /** The chunks that each of the last flashes changed, the newest first. */
  changed: v.array(v.array(count)),
  witnesses: v.array(v.strictObject({ what: v.string(), places: v.array(range), sha256 })),
})

export type Receipt = v.InferOutput<typeof schema>

/** Where the caller's receipts are: below the user's cache folder, under sudo as well. */
export async function receiptFolder(env: NodeJS.ProcessEnv): Promise<string> {
  return join(await cacheFolder(env), 'cards')
}

/** Undefined: there is none that can be read. It says nothing yet of what the card holds now: ask `heldByReceipt`. */
export async function findReceipt(folder: string, { key }: CardIdentity): Promise<Receipt | undefined> {
  const file = await open(fileOf(folder, key), constants.O_RDONLY | constants.O_NOFOLLOW).catch(
    () => undefined,
  )
  if (!file) return undefined
  try {
    const stats = await file.stat()
    if (!stats.isFile() || stats.size > maxBytes) return undefined
    const { success, output } = v.safeParse(schema, parseJson(await file.readFile('utf8')), {
      abortEarly: true,
    })
    return success && output.card === key ? output : undefined
  } finally {
    await file.close()
  }
}

/** To be called before the first write to the card, and of each disk of which a partition is written. */
export async function voidReceipt(folder: string, { key, disk }: CardIdentity): Promise<void> {
  const file = fileOf(folder, key)
  if (await stat(file).catch(() => undefined)) {
    await rm(file, { force: true })
    await sync(folder)
  }
  // Others have receipts of it as well, by which it would be what it was.
  if (disk !== undefined) await wipeMark(disk)
}

/** Puts it in place of the card's last one. */
export async function keepReceipt(folder: string, receipt: Receipt, env: NodeJS.ProcessEnv): Promise<void> {
  const caller = callerOf(env)
  await makeFolder(folder, 0o700, caller)
  const bytes = Buffer.from(`${JSON.stringify(receipt)}\n`)
  await replaceWithBytes(fileOf(folder, receipt.card), bytes, { mode: 0o600, caller })
  await dropOldest(folder)
}

function fileOf(folder: string, key: string): string {
  return join(folder, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`)
}

async function dropOldest(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => /^[0-9a-f]{32}\.json$/.test(name))
  if (names.length <= maxReceipts) return
  const times = await Promise.all(
    names.map(async (name) => [name, (await stat(join(folder, name))).mtimeMs] as const),
  )
  times.sort(([, a], [, b]) => b - a)
  for (const [name] of times.slice(maxReceipts)) await rm(join(folder, name), { force: true })
}
