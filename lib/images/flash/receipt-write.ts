/** Writes the receipt of a flash that was verified. */
import type { ByteRange } from '../byte-ranges.ts'
import { chunkSize } from '../image.ts'
import { chunkPlaces } from './compare-places.ts'
import { keepReceipt, type Receipt } from './receipt.ts'
import type { CardIdentity } from './receipt-identity.ts'
import { leaveMark } from './receipt-mark.ts'
import type { Area, DiskImage, FlashReport, Held } from './types.ts'
import { takeWitnesses } from './witness.ts'
import { type WitnessPlaces, witnessPlaces } from './witness-places.ts'

/** Flashes of which the changed chunks are witnesses, and chunks at most, of all of them. */
const maxFlashes = 8
const maxChanged = 256

export interface Flashed {
  folder: string
  env: NodeJS.ProcessEnv
  identity: CardIdentity
  /** One for each of `identity.starts`. */
  areas: readonly Area[]
  image: DiskImage
  report: Pick<FlashReport, 'chunks' | 'covers'>
  /** What the card was known to hold before. */
  before: Held | undefined
  /** The receipt that there was before. */
  earlier: Receipt | undefined
  /** Of the image: where the device's own values were written to afterwards. */
  own: readonly ByteRange[]
  signal: AbortSignal
}

/** To be called after the last write to the card: it reads the witnesses, and leaves a mark where it can. */
export async function writeReceipt(flashed: Flashed): Promise<void> {
  const { identity, areas, image, report, signal } = flashed
  const own = new Set([...chunkPlaces(areas, image.size, flashed.own)].map(({ chunk }) => chunk))
  const chunks = report.chunks.map((sum, chunk) => (sum === undefined || own.has(chunk) ? '' : sum))
  const changed = history(flashed, own)
  const found = await witnessPlaces(areas, image, flashed.own)
  const witnesses = await takeWitnesses(areas, [...found, ...lastChanged(changed, areas, image)], signal)
  const mark = await markOf(flashed)
  for (const { target } of areas) await target.flush()
  const state = await identity.state()
  await keepReceipt(
    flashed.folder,
    {
      form: 1,
      card: identity.key,
      areas: areas.map(({ image: { offset, length } }, i) => ({
        image: { offset, length },
        start: identity.starts[i]!,
      })),
      image: { name: image.name, sha256: image.sha256, size: image.size },
      when: Date.now(),
      ...(state === undefined ? {} : { state }),
      ...(mark === undefined ? {} : { mark }),
      chunks,
      covers: report.covers.map(({ offset, length }) => ({ offset, length })),
      changed,
      witnesses,
    },
    flashed.env,
  )
}

/** What differs from one build to the next is mostly the same: a card with an older one shows it there. */
function history({ before, report, earlier }: Flashed, own: ReadonlySet<number>): number[][] {
  const now = report.chunks.flatMap((sum, chunk) => {
    const then = before?.chunks[chunk]
    return then !== undefined && then !== sum && !own.has(chunk) ? [chunk] : []
  })
  const past = (earlier?.changed ?? []).map((chunks) => chunks.filter((chunk) => !own.has(chunk)))
  const all = [now, ...past].filter((chunks) => chunks.length > 0).slice(0, maxFlashes)
  let room = maxChanged
  return all.map((chunks) => {
    const kept = chunks.slice(0, room)
    room -= kept.length
    return kept
  })
}

function lastChanged(
  changed: readonly number[][],
  areas: readonly Area[],
  image: DiskImage,
): WitnessPlaces[] {
  const chunks = [...new Set(changed.flat())].sort((a, b) => a - b)
  const ranges = chunks.map((chunk) => ({ offset: chunk * chunkSize, length: chunkSize }))
  const places = [...chunkPlaces(areas, image.size, ranges)].map(({ chunk, length }) => ({
    offset: chunk * chunkSize,
    length,
  }))
  return places.length > 0 ? [{ what: 'what the last flashes changed', places }] : []
}

/** Only where the whole disk is ours. */
async function markOf({ identity, areas, image }: Flashed): Promise<string | undefined> {
  const [area] = areas
  const whole = areas.length === 1 && identity.disk !== undefined && area!.image.length === image.size
  return whole ? leaveMark(area!.target, image.size) : undefined
}
