/**
 * Whether a card is still as the receipt of its last flash says. It is believed when this machine has not written to it
 * since, or when it bears the mark of that flash; and then only if all witnesses and a random sample say the same.
 *
 * What remains: a card that another program wrote with an image that is the same but for the content of a few files, on
 * another machine or after the card was taken out, and that was never mounted since. Reading all of it tells.
 */
import { randomInt } from 'node:crypto'
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import { eachPlace } from './compare.ts'
import { type ChunkPlace, chunkPlaces } from './compare-places.ts'
import { chunkDigest } from './digests.ts'
import type { Receipt } from './receipt.ts'
import type { CardIdentity } from './receipt-identity.ts'
import { readMark } from './receipt-mark.ts'
import type { Area, DiskImage, Held, Target } from './types.ts'
import { firstChanged } from './witness.ts'

/** Random chunks that are read: a third of a second of a slow card. */
const sampleSize = 16

export interface Believing {
  receipt: Receipt | undefined
  identity: CardIdentity
  areas: readonly Area[]
  image: Pick<DiskImage, 'size'>
  signal: AbortSignal
}

/** `sampled`: bytes of the random sample. `why`: what stands against believing the receipt, as half a sentence. */
export type Belief = { held: Held; sampled: number } | { why: string }

export async function heldByReceipt(believing: Believing): Promise<Belief> {
  const { receipt, identity, areas, image, signal } = believing
  if (!receipt) return { why: 'there is no receipt of an earlier flash' }
  const same =
    receipt.image.size === image.size &&
    receipt.areas.length === areas.length &&
    receipt.areas.every(({ image, start }, i) => {
      const area = areas[i]!.image
      return image.offset === area.offset && image.length === area.length && start === identity.starts[i]
    })
  if (!same) return { why: 'the last flash wrote other places of it' }
  try {
    const other = await strangeness(receipt, identity, areas)
    if (other !== undefined) return { why: other }
    const changed = await firstChanged(areas, receipt.witnesses, signal)
    if (changed) return { why: `${changed.what} changed since the last flash` }
    const chunks = receipt.chunks.map((sum) => (sum === '' ? undefined : sum))
    const held: Held = { chunks, covers: receipt.covers, how: 'receipt' }
    const sample = await checkSample(held, areas, image, signal)
    return sample.wrong === undefined
      ? { held, sampled: sample.bytes }
      : { why: `MiB ${sample.wrong}, taken at random, changed since the last flash` }
  } catch (error) {
    signal.throwIfAborted()
    return { why: `it could not be read everywhere (${(error as Error).message})` }
  }
}

/** Whether the last flash wrote nothing of a device's own: of what such values touch no digest is known. */
export function holdsImageAlone(
  { chunks, covers = [] }: Held,
  areas: readonly Area[],
  image: Pick<DiskImage, 'size'>,
): boolean {
  const written = [...chunkPlaces(areas, image.size, covers)]
  return written.length > 0 && written.every(({ chunk }) => chunks[chunk] !== undefined)
}

/** Whether it may be the card of the receipt, and not the next one in the same reader: as far as a mark tells. */
export async function isCardOf(receipt: Receipt | undefined, target: Target): Promise<boolean> {
  if (!receipt) return false
  return receipt.mark === undefined || (await readMark(target)) === receipt.mark
}

/** Why it may be another card, or another content. */
async function strangeness(
  receipt: Receipt,
  identity: CardIdentity,
  areas: readonly Area[],
): Promise<string | undefined> {
  if (!(await isCardOf(receipt, areas[0]!.target)))
    return 'it does not bear the mark of the last flash: it is another card, or was written elsewhere'
  if (receipt.state !== undefined && receipt.state === (await identity.state())) return undefined
  if (identity.disk === undefined) return 'the file was written since the last flash'
  if (receipt.mark !== undefined) return undefined
  return 'it was out of its reader or written since the last flash, and bears no mark'
}

async function checkSample(
  { chunks, covers }: Held,
  areas: readonly Area[],
  image: Pick<DiskImage, 'size'>,
  signal: AbortSignal,
): Promise<{ bytes: number; wrong: number | undefined }> {
  const known = [...chunkPlaces(areas, image.size, covers ?? [])].filter(
    ({ chunk, length }) => chunks[chunk] !== undefined && isCovered(covers ?? [], chunk * chunkSize, length),
  )
  const places: ChunkPlace[] = []
  while (places.length < sampleSize && known.length > 0) {
    places.push(...known.splice(randomInt(known.length), 1))
  }
  places.sort((a, b) => a.chunk - b.chunk)
  const sample: { bytes: number; wrong: number | undefined } = { bytes: 0, wrong: undefined }
  await eachPlace(places, signal, async ({ chunk, length }, bytes) => {
    if (bytes instanceof Error) throw bytes
    sample.bytes += length
    if ((await chunkDigest(bytes)) !== chunks[chunk]) sample.wrong = chunk
  })
  return sample
}

function isCovered(covers: readonly ByteRange[], offset: number, length: number): boolean {
  return covers.some((range) => range.offset <= offset && offset + length <= range.offset + range.length)
}
