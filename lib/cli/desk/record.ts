/** `.desk/desk.json`: where each image of a desk came from, and what was last saved of it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../../errors.ts'
import { parseJson } from '../../formats/json.ts'
import { callerOf } from '../../images/caller.ts'
import { makeFolder, replaceWithBytes } from '../../images/replace-file.ts'
import type { DeskPlace } from './find.ts'

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

const source = v.variant('type', [
  v.strictObject({ type: v.literal('file'), path: v.string(), sha256 }),
  v.strictObject({ type: v.literal('url'), url: v.string(), sha256 }),
])

const saved = v.strictObject({
  /** Relative to the desk, or absolute. */
  path: v.string(),
  /**
   * What `overlays/` held then, and when: milliseconds since 1970. Left out until the file is there. `allowedKeys`: files
   * that it was told to take although they hold a private key.
   */
  done: v.exactOptional(
    v.strictObject({ overlays: sha256, at: v.number(), allowedKeys: v.exactOptional(v.array(v.string())) }),
  ),
})

const imageRecord = v.strictObject({
  /** Left out where the user put the image there. `object`: what the store has the downloaded file as. */
  from: v.exactOptional(v.strictObject({ source, object: sha256 })),
  /** Latest first. */
  saved: v.array(saved),
})

const deskRecord = v.strictObject({ format: v.literal(1), images: v.record(v.string(), imageRecord) })

export type ImageSource = v.InferOutput<typeof source>
export type ImageRecord = v.InferOutput<typeof imageRecord>

const maxBytes = 1024 * 1024

/** What is known of the image `OSNAME.img`. */
export async function readImageRecord({ folder, image }: DeskPlace): Promise<ImageRecord> {
  const { images } = await readRecord(folder)
  return (Object.hasOwn(images, image) && images[image]) || { saved: [] }
}

export async function writeImageRecord({ folder, image }: DeskPlace, record: ImageRecord): Promise<void> {
  const { images } = await readRecord(folder)
  const caller = callerOf(process.env)
  const bytes = Buffer.from(
    `${JSON.stringify({ format: 1, images: { ...images, [image]: record } }, null, 2)}\n`,
  )
  await makeFolder(join(folder, '.desk'), 0o755, caller)
  await replaceWithBytes(fileOf(folder), bytes, { mode: 0o644, caller })
}

function fileOf(folder: string): string {
  return join(folder, '.desk', 'desk.json')
}

async function readRecord(folder: string): Promise<v.InferOutput<typeof deskRecord>> {
  const file = fileOf(folder)
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return undefined
  })
  if (bytes === undefined) return { format: 1, images: {} }
  const result = bytes.length > maxBytes ? undefined : v.safeParse(deskRecord, parseJson(bytes.toString()))
  if (result?.success) return result.output
  throw new FleetsieError('E_DAMAGED', 'this record of the desk is damaged', {
    file,
    hint: 'remove it, then run `init` once more; overlays/ and the image stay as they are',
  })
}
