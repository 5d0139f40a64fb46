/** Places of a card with the digest of what they hold: read again, they tell whether somebody was there meanwhile. */
import { createHash } from 'node:crypto'
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import { alignedBuffers } from './buffers.ts'
import { areaOf, readPlace, roomFor } from './compare-places.ts'
import type { Area } from './types.ts'
import type { WitnessPlaces } from './witness-places.ts'

export interface Witness extends WitnessPlaces {
  /** Of all places one after the other. */
  sha256: string
}

/** Reads the places from the medium. */
export async function takeWitnesses(
  areas: readonly Area[],
  found: readonly WitnessPlaces[],
  signal: AbortSignal,
): Promise<Witness[]> {
  for (const { target } of areas) await target.forget()
  const witnesses: Witness[] = []
  for (const { what, places } of found) {
    witnesses.push({ what, places, sha256: await digestOfPlaces(areas, places, signal) })
  }
  return witnesses
}

/** The first one that does not say what it said; undefined: all do. */
export async function firstChanged(
  areas: readonly Area[],
  witnesses: readonly Witness[],
  signal: AbortSignal,
): Promise<Witness | undefined> {
  for (const { target } of areas) await target.forget()
  for (const witness of witnesses) {
    if ((await digestOfPlaces(areas, witness.places, signal)) !== witness.sha256) return witness
  }
  return undefined
}

async function digestOfPlaces(
  areas: readonly Area[],
  places: readonly ByteRange[],
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256')
  const [buffer] = alignedBuffers(1, roomFor(chunkSize)) as [Buffer]
  for (const { offset, length } of places) {
    for (let done = 0; done < length; ) {
      signal.throwIfAborted()
      const count = Math.min(chunkSize, length - done)
      const area = areaOf(areas, offset + done, count)
      // A receipt of other areas never comes this far.
      if (!area) return ''
      hash.update(await readPlace(area.target, offset + done - area.image.offset, count, buffer))
      done += count
    }
  }
  return hash.digest('hex')
}
