/** What a piece of the image holds, told by digests: the name under which its compressed form is kept. */
import { createHash } from 'node:crypto'
import { FleetsieError } from '../../errors.ts'
import type { ReadAt } from '../../formats/random-access.ts'
import { chunkSize } from '../image.ts'

/** Bytes of the image within one chunk; without a digest they are zeros. */
export interface Part {
  offset: number
  length: number
  sha256: string | null
}

export interface ImageBytes {
  read: ReadAt
  /** sha256 of each chunk of the stock image, null for zeros. Where no chunk is, what nothing touched is zeros. */
  chunks?: readonly (string | null)[] | undefined
}

const zeros = Buffer.alloc(chunkSize)

/** The content of a piece. Chunks in which nothing was touched are neither read nor hashed. */
export async function contentOf(
  { offset, length, touched }: { offset: number; length: number; touched: boolean },
  { read, chunks }: ImageBytes,
): Promise<Part[]> {
  const parts: Part[] = []
  for (let at = offset; at < offset + length; ) {
    const end = Math.min(offset + length, (Math.floor(at / chunkSize) + 1) * chunkSize)
    const known = touched ? undefined : knownDigest(at, end, chunks)
    parts.push({
      offset: at,
      length: end - at,
      sha256: known === undefined ? digest(await readPart(read, at, end - at)) : known,
    })
    at = end
  }
  return parts
}

/** Equal for equal content at the same place within a chunk. */
export function nameOf(content: readonly Part[]): string {
  return content.map(({ length, sha256 }) => `${length} ${sha256 ?? 'zeros'}`).join(', ')
}

/**
 * The bytes of a piece. What is kept under a name must be what it names, whoever said that it was not touched.
 * @throws E_DAMAGED when the bytes are others
 */
export async function* readContent(content: readonly Part[], read: ReadAt): AsyncGenerator<Buffer> {
  for (const { offset, length, sha256 } of content) {
    const bytes = await readPart(read, offset, length)
    if (digest(bytes) !== sha256) {
      throw new FleetsieError('E_DAMAGED', `the image changed behind our back (byte ${offset})`, {
        hint: 'build again; keep other programs from writing into the store',
      })
    }
    yield bytes
  }
}

function digest(bytes: Buffer): string | null {
  if (bytes.equals(zeros.subarray(0, bytes.length))) return null
  return createHash('sha256').update(bytes).digest('hex')
}

function knownDigest(from: number, to: number, chunks: ImageBytes['chunks']): string | null | undefined {
  if (!chunks) return undefined
  const number = Math.floor(from / chunkSize)
  const chunk = chunks[number] ?? null
  // The last one may be of fewer bytes.
  const whole = to - from === chunkSize && number < chunks.length - 1
  return chunk === null || whole ? chunk : undefined
}

async function readPart(read: ReadAt, offset: number, length: number): Promise<Buffer> {
  const bytes = await read(offset, length)
  if (bytes.length === length) return bytes
  throw new FleetsieError('E_DAMAGED', `the image ends at byte ${offset + bytes.length}`)
}
