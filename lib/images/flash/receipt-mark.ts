/**
 * A random mark on a card that was written whole, in the last but one MiB of it: outside of the image, so that the card is
 * the image byte for byte, and in front of the last MiB, where a GPT has its copy. Each flash leaves another one, which
 * tells the cards of one reader apart, and a card that was flashed elsewhere. What grows over it at the first boot does no
 * harm: by then the card has been mounted.
 */
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { sizeOf } from '../device-size.ts'
import { chunkSize } from '../image.ts'
import { alignedBuffers, memoryUnit } from './buffers.ts'
import type { Target } from './types.ts'

const magic = 'fleetsie: this card was flashed, and nothing is kept here but its mark\n'
const markLength = 32

/** Byte of a device of `size` bytes at which the mark is. */
function placeOf(size: number): number {
  return (Math.floor(size / chunkSize) - 2) * chunkSize
}

/** The mark of the card in lower-case hex; undefined: it has none. */
export async function readMark(target: Target): Promise<string | undefined> {
  const at = placeOf(target.size)
  if (at < 0) return undefined
  const [bytes] = alignedBuffers(1, memoryUnit) as [Buffer]
  await target.forget()
  await target.read(bytes, at)
  return markIn(bytes)
}

/** Leaves a new one; undefined where the image of `imageSize` bytes leaves no room. It is flushed by the caller. */
export async function leaveMark(target: Target, imageSize: number): Promise<string | undefined> {
  const at = placeOf(target.size)
  if (at < imageSize) return undefined
  const mark = randomBytes(markLength)
  const [bytes] = alignedBuffers(1, memoryUnit) as [Buffer]
  bytes.write(magic, 'latin1')
  mark.copy(bytes, magic.length)
  await target.write(bytes, at)
  return mark.toString('hex')
}

/** Takes the mark off the disk `device`, of which a partition may be open for writing. Nothing else is ever overwritten. */
export async function wipeMark(device: string): Promise<void> {
  const file = await open(device, 'r+')
  try {
    const at = placeOf(sizeOf(await file.stat()))
    if (at < 0) return
    const bytes = Buffer.alloc(memoryUnit)
    await file.read(bytes, 0, memoryUnit, at)
    if (markIn(bytes) === undefined) return
    await file.write(bytes.fill(0), 0, memoryUnit, at)
    await file.datasync()
  } finally {
    await file.close()
  }
}

function markIn(bytes: Buffer): string | undefined {
  if (bytes.toString('latin1', 0, magic.length) !== magic) return undefined
  return bytes.toString('hex', magic.length, magic.length + markLength)
}
