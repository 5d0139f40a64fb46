/** Digests of files, read once, a MiB at a time. */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { FileDigest } from '../stage.ts'

const piece = 1024 * 1024
const zeros = Buffer.alloc(piece)
const zeroDigest = Buffer.alloc(32)

/** sha256 over the whole file, lower-case hex. */
export async function hashFile(file: FileHandle, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const bytes of pieces(file, signal)) hash.update(bytes)
  return hash.digest('hex')
}

/** The digest in the form that `like` has, so that the two can be compared. Throws the reason of an abort. */
export async function hashLike(file: FileHandle, like: FileDigest, signal?: AbortSignal): Promise<string> {
  return 'chunks' in like ? hashChunks(file, signal) : hashFile(file, signal)
}

// As FileDigest in stage.ts says it.
async function hashChunks(file: FileHandle, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const bytes of pieces(file, signal)) {
    const zero = bytes.equals(bytes.length === piece ? zeros : zeros.subarray(0, bytes.length))
    hash.update(zero ? zeroDigest : createHash('sha256').update(bytes).digest())
  }
  return hash.digest('hex')
}

async function* pieces(file: FileHandle, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(piece)
  for (let position = 0; ; ) {
    signal?.throwIfAborted()
    let filled = 0
    // A read may answer less than asked for; only zero bytes mean the end.
    while (filled < piece) {
      const { bytesRead } = await file.read(buffer, filled, piece - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    if (filled > 0) yield buffer.subarray(0, filled)
    if (filled < piece) return
    position += filled
  }
}
