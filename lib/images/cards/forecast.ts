/** How much a write would write, without writing. */
import { compareCard } from '../flash/compare.ts'
import { chunkPlaces } from '../flash/compare-places.ts'
import type { DiskImage } from '../flash/types.ts'
import type { KnownCard } from './known.ts'

/** Bytes that would be written at most, and of how many. Reads the card where no receipt tells what it holds. */
export async function forecast(
  card: KnownCard,
  image: DiskImage,
  { full, signal }: { full: boolean; signal: AbortSignal },
): Promise<{ atMost: number; of: number }> {
  const { areas } = card
  const places = [...chunkPlaces(areas, image.size, image.mapped)]
  const sum = (some: typeof places): number => some.reduce((total, { length }) => total + length, 0)
  const { chunks } = image
  if (full || !chunks) return { atMost: sum(places), of: sum(places) }
  const held = card.held ?? (await compareCard({ areas, image, signal, progress: () => {} })).held
  const differing = places.filter(({ chunk }) => held.chunks[chunk] !== chunks[chunk])
  return { atMost: sum(differing), of: sum(places) }
}
