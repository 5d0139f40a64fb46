/** `updatesd`: writes an image to the partitions of a card, or to whole cards. */
import { FleetsieError } from '../../errors.ts'
import { type KnownCard, knowCard } from '../../images/cards/known.ts'
import {
  type CardAccess,
  type CardNames,
  closeTargets,
  expectElsewhere,
  expectUnchanged,
  type OpenCard,
  openCard,
  rereadTables,
  type SeenCard,
  seeCards,
} from '../../images/cards/open.ts'
import type { WriteResult } from '../../images/cards/write.ts'
import type { DiskImage } from '../../images/flash/types.ts'
import type { DeviceValues } from '../../images/values/types.ts'
import { announcement, question } from '../card/announce.ts'
import { fileOf, findImage, openImage } from '../card/image.ts'
import { ask } from '../card/question.ts'
import { tellResults } from '../card/report.ts'
import { claimFor, type GivenValues, givenValues, type ValueOptions } from '../card/values.ts'
import { formatBytes } from '../format.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'

interface UpdatesdOptions extends ValueOptions {
  json?: boolean
  whole?: boolean
  image?: string
  yes?: boolean
  yesReally?: boolean
  unmount?: boolean
  full?: boolean
  files?: boolean
  dryRun?: boolean
}

interface Job {
  session: Session
  options: UpdatesdOptions
  access: CardAccess
  tmp: string
  given: GivenValues
  /** The raw image that the image was made of, for --files. */
  stock: string | undefined
}

export async function updatesd(session: Session, devices: string[], options: UpdatesdOptions): Promise<void> {
  await session.show({ json: options.json })
  if (options.files && options.full) {
    throw new FleetsieError('E_USAGE', '--files and --full exclude each other')
  }
  if (options.dryRun && options.unmount) {
    throw new FleetsieError('E_USAGE', '--dry-run and --unmount exclude each other', {
      hint: 'a dry run changes nothing: unmount the card yourself, or leave out one of them',
    })
  }
  const wanted = cardNames(devices, options)
  const warn = (message: string): void => session.emit({ type: 'warning', message })
  const given = await givenValues(options, wanted.length, warn)
  await temporaryRun(session.signal, async (run, tmp) => {
    const { unmount, yesReally } = options
    // Where the user is: names of files count from there.
    const access = { cwd: process.cwd(), allowed: { unmount, yesReally }, run, signal: session.signal }
    const seen = await seeCards(wanted, access)
    await session.show({ json: options.json, live: true })
    const place = await findImage(session, options.image, options.files)
    await expectElsewhere(fileOf(place), seen)
    const image = await openImage(session, place, run, tmp)
    try {
      const stock = 'stock' in place ? place.stock : undefined
      await toCards({ session, options, access, tmp, given, stock }, image, seen)
    } finally {
      await image.close()
    }
  })
}

/** All partitions are of one card; of whole ones each is a card. */
function cardNames(devices: readonly string[], { whole }: UpdatesdOptions): CardNames[] {
  if (whole && devices.length > 0) return devices.map((name) => ({ role: 'disk', names: [name] }))
  if (!whole && devices.length > 0) return [{ role: 'partition', names: devices }]
  throw new FleetsieError(
    'E_USAGE',
    whole ? 'which card? None is named' : 'not enough device partitions given: missing #1',
    { hint: '`fleetsie devices` lists what is here' },
  )
}

async function toCards(job: Job, image: DiskImage, seen: readonly SeenCard[]): Promise<void> {
  const { options, access, given } = job
  const open: OpenCard[] = []
  let written = false
  try {
    for (const one of seen) open.push(await openCard(one, image, access))
    const { signal } = access
    const know = { env: process.env, full: (options.full || options.files) ?? false, tmp: job.tmp, signal }
    const cards = await Promise.all(open.map((card) => knowCard(card, image, know)))
    const rows = options.dryRun ? [] : await claimFor(given, cards)
    const values = cards.map((_, index) => rows[index]?.row.values ?? given.common)
    let unwritten: readonly KnownCard[] = cards
    try {
      await expectUsable(job, image, values)
      await agree(job, image, cards, values)
      if (options.dryRun) return
      for (const card of cards) await expectUnchanged(card, access)
      written = true
      const results = await write(job, image, cards, values)
      unwritten = results.flatMap((result) => ('error' in result ? [result.card] : []))
      tellResults(job.session, results)
    } finally {
      for (const card of unwritten) await rows[cards.indexOf(card)]?.giveBack()
    }
  } finally {
    for (const { targets } of open) await closeTargets(targets)
    if (written) await rereadTables(open, access.run)
  }
}

/** Fails with E_INPUT where the image has no program for a value: before a card is written. */
async function expectUsable(
  { session, tmp }: Job,
  image: DiskImage,
  values: readonly (DeviceValues | undefined)[],
): Promise<void> {
  const given = values.filter((one) => one !== undefined)
  if (given.length === 0) return
  const { checkImageValues } = await import('../../images/values/look-into-image.ts')
  await checkImageValues(image, given, { tmp, signal: session.signal })
}

/** Says what will be done, and asks. */
async function agree(
  { session, options }: Job,
  image: DiskImage,
  cards: readonly KnownCard[],
  values: readonly (DeviceValues | undefined)[],
): Promise<void> {
  const files = options.files ?? false
  for (const [index, card] of cards.entries()) {
    session.emit(announcement(card, image, { values: values[index], files }))
    if (options.dryRun && !files) await tellForecast(session, card, image, options.full ?? false)
  }
  if (options.dryRun || options.yes) return
  if (options.json) {
    throw new FleetsieError('E_USAGE', 'with --json nobody is asked', { hint: '-y says that it is meant' })
  }
  await ask(question(cards, files), session.signal)
}

async function tellForecast(
  session: Session,
  card: KnownCard,
  image: DiskImage,
  full: boolean,
): Promise<void> {
  const { forecast } = await import('../../images/cards/forecast.ts')
  const { atMost, of } = await forecast(card, image, { full, signal: session.signal })
  const text = `would write at most ${formatBytes(atMost)} of ${formatBytes(of)}`
  session.emit({
    type: 'answer',
    text: `${card.name.padEnd(12)} ${text}`,
    data: { card: card.name, atMost, of },
  })
}

/** Writes, shows how it goes, and answers how it went. */
async function write(
  { session, options, access, tmp, stock }: Job,
  image: DiskImage,
  cards: readonly KnownCard[],
  values: readonly (DeviceValues | undefined)[],
): Promise<WriteResult[]> {
  const common = {
    image,
    works: cards.map((card, index) => ({ card, values: values[index] })),
    env: process.env,
    run: access.run,
    signal: session.signal,
    warn: (message: string) => session.emit({ type: 'warning', message }),
  }
  if (options.files) {
    const { updateCards } = await import('../../images/cards/update.ts')
    const note = (message: string): void => session.emit({ type: 'note', message })
    return updateCards({ ...common, tmp, stock, note, progress: unpacking(session, cards) })
  }
  const { writeCards } = await import('../../images/cards/write.ts')
  return writeCards({
    ...common,
    full: options.full ?? false,
    progress: ({ left, ...progress }) =>
      session.emit({ type: 'card-progress', ...progress, ...(left === undefined ? {} : { left }) }),
  })
}

/** What all cards wait for. */
function unpacking(session: Session, cards: readonly KnownCard[]): (done: number, total: number) => void {
  const started = performance.now()
  return (done, total) => {
    const rate = (done * 1000) / Math.max(1, performance.now() - started)
    const at = { phase: 'unpacking', done, total, rate, slowest: 'decoding' }
    const left = ((total - done) * 1000) / Math.max(1, rate)
    for (const { name } of cards) session.emit({ type: 'card-progress', card: name, ...at, left })
  }
}
