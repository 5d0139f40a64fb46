/** Contents of files within a tar file, and where they hold nothing but zeros. */
import type { FileHandle } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import type { Extent } from '../../formats/layer/entry.ts'

const pieceSize = 256 * 1024
/** Holes are cut to this, and looked for in files of some size only: what a host's filesystem calls a hole must not matter. */
const unit = 64 * 1024
const searchedFrom = 1024 * 1024
const zeros = Buffer.alloc(unit)

/** The bytes of a content that begins at `at`; with `extents` only those. */
export async function* readRange(
  file: FileHandle,
  at: number,
  size: number,
  extents: readonly Extent[] = [{ offset: 0, length: size }],
): AsyncGenerator<Buffer> {
  for (const { offset, length } of extents) {
    for (let done = 0; done < length; ) {
      const wanted = Math.min(pieceSize, length - done)
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, at + offset + done)
      if (bytesRead === 0)
        throw new FleetsieError('E_IO', 'a file of the run became shorter while it was read')
      done += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }
}

/** Where the content is not zeros; nothing when it is not sparse. */
export async function dataExtents(file: FileHandle, at: number, size: number): Promise<Extent[] | undefined> {
  if (size < searchedFrom) return undefined
  const extents: Extent[] = []
  const buffer = Buffer.alloc(unit)
  for (let offset = 0; offset < size; offset += unit) {
    const length = Math.min(unit, size - offset)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await file.read(buffer, filled, length - filled, at + offset + filled)
      if (bytesRead === 0)
        throw new FleetsieError('E_IO', 'a file of the run became shorter while it was read')
      filled += bytesRead
    }
    if (buffer.compare(zeros, 0, length, 0, length) === 0) continue
    const last = extents.at(-1)
    if (last && last.offset + last.length === offset) last.length += length
    else extents.push({ offset, length })
  }
  const [only] = extents
  return extents.length === 1 && only!.offset === 0 && only!.length === size ? undefined : extents
}
