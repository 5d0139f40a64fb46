/** Writes cards that were looked at, opened and agreed to: from one decode, each with its own values and receipt. */
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import type { ByteRange } from '../byte-ranges.ts'
import { callerOf } from '../caller.ts'
import { probeCapacity } from '../flash/capacity.ts'
import { compareCard } from '../flash/compare.ts'
import { flash } from '../flash/flash.ts'
import { receiptFolder, voidReceipt } from '../flash/receipt.ts'
import { identifyCard } from '../flash/receipt-identity.ts'
import { isCardOf } from '../flash/receipt-trust.ts'
import { writeReceipt } from '../flash/receipt-write.ts'
import type { Card, DiskImage, FlashProgress, FlashReport, Held } from '../flash/types.ts'
import { makeFolder } from '../replace-file.ts'
import type { DeviceValues, Touched } from '../values/types.ts'
import { attempt } from './attempt.ts'
import { journalNames } from './journal-names.ts'
import { type KnownCard, volumesOf } from './known.ts'
import { readBack } from './read-back.ts'

/** A card and what it gets of its own. */
export interface CardWork {
  card: KnownCard
  values?: DeviceValues | undefined
}

export interface WriteCards {
  image: DiskImage
  works: readonly CardWork[]
  /** Write all that is mapped, whatever the cards hold. */
  full: boolean
  env: NodeJS.ProcessEnv
  run: Run
  signal: AbortSignal
  progress(progress: FlashProgress): void
  warn(line: string): void
}

/** What was done to a card. */
export interface Written extends Omit<FlashReport, 'how' | 'chunks' | 'covers'> {
  how: FlashReport['how'] | 'files'
  /** Milliseconds of all of it. */
  took: number
  /** Of a card that was updated file by file. */
  files?: { added: number; changed: number; removed: number; kept: number }
}

export type WriteResult = { card: KnownCard; written: Written } | { card: KnownCard; error: Error }

/** How it went for each card, in their order: one that fails does not end the others. Never fails itself. */
export async function writeCards(request: WriteCards): Promise<WriteResult[]> {
  const started = performance.now()
  const { works, image } = request
  const names = journalNames(works.map(({ card }) => card))
  const prepared = await Promise.all(
    works.map((work, index) => attempt(() => prepare(request, work, names[index]!))),
  )
  const cards = prepared.flatMap((ready) => ('value' in ready ? [ready.value.card] : []))
  const { signal, progress } = request
  const results = cards.length > 0 ? await flash({ image, cards, signal, progress }) : []
  return Promise.all(
    works.map(async ({ card, values }, index): Promise<WriteResult> => {
      const ready = prepared[index]!
      if ('error' in ready) return { card, error: ready.error }
      const result = results.find((one) => one.card === card.name)!
      if ('error' in result) return { card, error: result.error }
      const finished = await attempt(() => finish(request, card, values, ready.value, result.report))
      if ('error' in finished) return { card, error: finished.error }
      return { card, written: { ...finished.value, took: performance.now() - started } }
    }),
  )
}

interface Prepared {
  card: Card
  folder: string
  before: Held | undefined
  compared: number
  /** Milliseconds that took. */
  comparing: number
}

/** Reads what nothing is known of. From here on no receipt says what the card holds. */
async function prepare(request: WriteCards, { card }: CardWork, name: string): Promise<Prepared> {
  const { image, full, env, signal, progress, warn } = request
  const folder = await receiptFolder(env)
  await makeFolder(folder, 0o755, callerOf(env))
  const { target } = card.areas[0]!
  // It may hold less than it claims, as no file does.
  if (card.role === 'disk' && target.kind === 'block' && !(await isCardOf(card.receipt, target))) {
    await voidReceipts(folder, card)
    await probeCapacity(target, signal)
  }
  const started = performance.now()
  const {
    held = undefined,
    bytes = 0,
    unreadable = [],
  } = card.held || full || !image.chunks ? {} : await compare(card, image, signal, progress)
  const comparing = bytes > 0 ? performance.now() - started : 0
  const [bad] = unreadable
  if (bad) {
    const many = unreadable.length > 1 ? `${unreadable.length} places` : 'one place'
    warn(`${card.name} cannot be read in ${many}, from byte ${bad.offset} of the image on: written anew`)
  }
  const before = card.held ?? held
  await voidReceipts(folder, card)
  return {
    card: {
      name: card.name,
      areas: card.areas,
      ...(before && !full ? { held: before } : {}),
      journal: join(folder, name),
      full,
    },
    folder,
    before,
    compared: bytes,
    comparing,
  }
}

/** To be called before the first write. */
export async function voidReceipts(folder: string, { infos }: KnownCard): Promise<void> {
  for (const info of infos) {
    const identity = await identifyCard([info])
    if (identity) await voidReceipt(folder, identity)
  }
}

async function compare(
  { name, areas }: KnownCard,
  image: DiskImage,
  signal: AbortSignal,
  progress: WriteCards['progress'],
): ReturnType<typeof compareCard> {
  const started = performance.now()
  return compareCard({
    areas,
    image,
    signal,
    progress: (done, total) => {
      const rate = done / Math.max(0.001, (performance.now() - started) / 1000)
      const left = done === 0 ? undefined : ((total - done) / rate) * 1000
      progress({ card: name, phase: 'comparing', done, total, rate, left, slowest: 'verifying' })
    },
  })
}

/** The device's own values, then the receipt: what was written last is what it tells of. */
async function finish(
  request: WriteCards,
  card: KnownCard,
  values: DeviceValues | undefined,
  { folder, before, compared, comparing }: Prepared,
  report: FlashReport,
): Promise<Omit<Written, 'took'>> {
  const { image, run, signal, warn, env } = request
  let touched: Touched[] = []
  if (values) {
    const { applyValues } = await import('../values/apply-values.ts')
    touched = await applyValues({ run, volumes: await volumesOf(card, image), values, signal, warn })
  }
  const own = touched.flatMap((part) => onImage(card, part))
  const verified = await readBack(card.targets, touched)
  if (card.identity) {
    const { identity, areas, receipt: earlier } = card
    // The card is written, and is its device's: one that would count as failed gave its row to a second one. A receipt
    // that cannot be kept, or not now, makes the next time slower, no more.
    await writeReceipt({ folder, env, identity, areas, image, report, before, earlier, own, signal }).catch(
      (error: Error) => warn(`${card.name}: no receipt could be left: ${error.message}`),
    )
  }
  const { chunks: _, covers: __, ...told } = report
  return {
    ...told,
    bytesCompared: report.bytesCompared + compared,
    ms: { ...report.ms, comparing: report.ms.comparing + comparing },
    bytesVerified: report.bytesVerified + verified,
    bytesWritten: report.bytesWritten + own.reduce((sum, { length }) => sum + length, 0),
    sampled: card.sampled,
  }
}

/** From places on a device to those of the image that went there. */
function onImage({ areas }: KnownCard, { path, ranges }: Touched): ByteRange[] {
  const area = areas.find(({ target }) => target.path === path)
  return area ? ranges.map(({ offset, length }) => ({ offset: area.image.offset + offset, length })) : []
}
