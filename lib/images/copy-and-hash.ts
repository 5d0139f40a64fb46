/** Copies and hashes files as streams: zeros stay holes, and the sum is that of the bytes that were written. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, open } from 'node:fs/promises'

const pieceSize = 1024 * 1024
const zeros = Buffer.alloc(pieceSize)

export interface Copied {
  /** Lower-case hex. */
  sha256: string
  size: number
}

/** Copies `from` to the new file `to`, sharing blocks where the filesystem can. */
export async function copyAndHash(
  from: string,
  to: string,
  signal: AbortSignal,
  progress?: (done: number) => void,
): Promise<Copied> {
  try {
    // Fails, instead of copying and filling the holes, where blocks cannot be shared.
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
    return await readAll(to, signal, async (_, at) => progress?.(at))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (!['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'ENOSYS', 'EINVAL', 'ENOTTY'].includes(code ?? '')) throw error
  }
  const target = await open(to, 'w', 0o644)
  try {
    const copied = await readAll(from, signal, async (piece, at) => {
      const isZero = piece.equals(piece.length === pieceSize ? zeros : zeros.subarray(0, piece.length))
      for (let done = isZero ? piece.length : 0; done < piece.length; ) {
        done += (await target.write(piece, done, piece.length - done, at + done)).bytesWritten
      }
      progress?.(at + piece.length)
    })
    await target.truncate(copied.size)
    return copied
  } finally {
    await target.close()
  }
}

async function readAll(
  path: string,
  signal: AbortSignal,
  each: (piece: Buffer, at: number) => Promise<void>,
): Promise<Copied> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(pieceSize)
  const source = await open(path, 'r')
  try {
    let at = 0
    for (;;) {
      signal.throwIfAborted()
      const { bytesRead } = await source.read(buffer, 0, pieceSize, at)
      if (bytesRead === 0) return { sha256: hash.digest('hex'), size: at }
      const piece = buffer.subarray(0, bytesRead)
      hash.update(piece)
      await each(piece, at)
      at += bytesRead
    }
  } finally {
    await source.close()
  }
}
