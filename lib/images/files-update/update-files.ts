/**
 * Makes a card's files those of an image, in place, and leaves what is the device's own. debugfs is not atomic: a mark on the
 * card says that it is being edited, so that the next run repairs what an interrupted one left, and then does the whole again.
 */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FleetsieError } from '../../errors.ts'
import { type LayerInput, writeLayer } from '../../formats/layer.ts'
import { applyLayers } from '../apply.ts'
import { type ByteRange, rangesOnDisk } from '../byte-ranges.ts'
import { flush } from '../flush.ts'
import { lookUp } from '../os/volume-file.ts'
import { partitionName } from '../partition-edit.ts'
import { openVolume } from '../read-tree.ts'
import type { CardVolume, FilesReport, UpdateFilesOptions } from '../values/types.ts'
import type { Volume } from '../volume.ts'
import { Window } from '../window.ts'
import { mend } from './mend.ts'
import { markName, planFiles } from './plan.ts'

/**
 * Updates every partition of `card` from the one of `image` with its number, and waits until all is on the medium.
 * Fails with E_INPUT (a partition without its counterpart, or with another filesystem), E_DAMAGED (the card is beyond repair
 * without asking), E_TOO_SMALL, E_INTERRUPTED; called again, it goes on.
 */
export async function updateFiles(options: UpdateFilesOptions): Promise<FilesReport[]> {
  const pairs = options.card.map((card) => ({ card, ...counterpart(options, card) }))
  const reports: FilesReport[] = []
  const tmp = await mkdtemp(join(resolve(options.tmp), 'files-'))
  try {
    for (const pair of pairs) reports.push(await updateOne(options, pair, tmp))
    return reports
  } finally {
    await rm(tmp, { recursive: true, force: true })
  }
}

interface Pair {
  card: CardVolume
  image: CardVolume
  stock: CardVolume | undefined
}

function counterpart({ image, stock }: UpdateFilesOptions, card: CardVolume): Omit<Pair, 'card'> {
  const { number, filesystem } = card.partition
  const found = image.find(({ partition }) => partition.number === number)
  const what = partitionName(card.partition)
  if (!found) throw new FleetsieError('E_INPUT', `the image has no ${what}`, { file: card.path })
  const kind = (name: string | null): string | null => (name?.startsWith('ext') ? 'ext' : name)
  if (kind(found.partition.filesystem) !== kind(filesystem)) {
    throw new FleetsieError(
      'E_INPUT',
      `${what} holds ${filesystem ?? 'no known filesystem'} on the card and ${found.partition.filesystem ?? 'none'} in the image`,
      { file: card.path, hint: 'write the partition whole, without --files' },
    )
  }
  return { image: found, stock: stock?.find(({ partition }) => partition.number === number) }
}

async function updateOne(
  options: UpdateFilesOptions,
  { card, image, stock }: Pair,
  tmp: string,
): Promise<FilesReport> {
  const { run, signal, note } = options
  const what = partitionName(card.partition)
  const isExt = card.partition.filesystem !== 'vfat'
  const ranges: ByteRange[] = []
  const apply = async (entries: readonly LayerInput[], last: boolean, checked = true): Promise<void> => {
    const layer = join(tmp, `${what}.tar`)
    await pipeline(Readable.from(writeLayer(entries)), createWriteStream(layer, { mode: 0o600 }))
    try {
      const touched = await applyLayers({
        run,
        disk: card.path,
        partition: card.partition,
        layers: [layer],
        epoch: options.epoch ?? Math.floor(Date.now() / 1000),
        tmp,
        checked,
        checkLater: !last,
        ...(signal && { signal }),
      })
      ranges.push(...touched)
    } catch (error) {
      throw cardIsFull(error, what)
    } finally {
      await rm(layer, { force: true })
    }
    await flush(card.path)
  }

  const interrupted = isExt && isMarked(card)
  const repaired = await mend({ run, volume: card, tmp, interrupted })
  if (repaired !== undefined) {
    note?.(`${what} of the card: ${interrupted ? 'an update was interrupted; ' : ''}${repaired}`)
    // Which blocks that were, only e2fsck knows.
    ranges.push({ offset: card.partition.offset, length: card.partition.size })
  }
  const plan = await withVolumes([card, image, stock], async ([onCard, inImage, inStock]) => {
    const found = await planFiles({ card: onCard!, image: inImage!, stock: inStock }, signal)
    for (const line of found.notes) note?.(`${what}: ${line}`)
    if (found.entries.length > 0) {
      if (isExt && !interrupted) await apply([mark()], false)
      await apply(found.entries, !isExt).catch(async (error: unknown) => {
        // What is sound was not begun, for want of room: the mark goes. Else it stays, for the repair.
        if (isExt && !signal?.aborted) await apply([unmark], true, false).catch(() => {})
        throw error
      })
    }
    return found
  })
  if (isExt && (plan.entries.length > 0 || interrupted)) {
    await apply([unmark], true)
  }
  const { entries: _, notes: __, ...counts } = plan
  const touched = rangesOnDisk(
    ranges.map(({ offset, length }) => [offset, length]),
    0,
  )
  return { partition: card.partition.number, ...counts, touched: { path: card.path, ranges: touched } }
}

const markText = Buffer.from(
  'The files of this card are being updated. If that was interrupted, `updatesd --files` repairs it.\n',
)

const mark = (): LayerInput => ({
  entry: {
    type: 'file',
    path: markName,
    mode: 0o600,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0, nanoseconds: 0 },
    xattrs: new Map(),
    size: markText.length,
  },
  content: Readable.from([markText]),
})

const unmark: LayerInput = { entry: { type: 'whiteout', path: markName } }

function isMarked(card: CardVolume): boolean {
  const window = new Window(card.path, card.partition)
  try {
    return lookUp(openVolume(window, card.partition), markName) !== undefined
  } catch (error) {
    // So damaged that its top folder cannot be read: e2fsck says more.
    if (error instanceof FleetsieError) return false
    throw error
  } finally {
    window.close()
  }
}

/** The contents of a plan are read while it is carried out. */
async function withVolumes<T>(
  places: readonly (CardVolume | undefined)[],
  work: (volumes: (Volume | undefined)[]) => Promise<T>,
): Promise<T> {
  const windows: Window[] = []
  try {
    const volumes = places.map((place) => {
      if (!place) return undefined
      const window = new Window(place.path, place.partition)
      windows.push(window)
      return openVolume(window, place.partition)
    })
    return await work(volumes)
  } finally {
    for (const window of windows) window.close()
  }
}

/** What applying layers says is meant for an image that is being built. */
function cardIsFull(error: unknown, what: string): unknown {
  if (!(error instanceof FleetsieError) || error.code !== 'E_TOO_SMALL') return error
  return new FleetsieError(
    'E_TOO_SMALL',
    `${what} of the card has too little room for the image's files: ${error.message}`,
    {
      hint: 'remove files of the device from the card, or write it whole, without --files',
      cause: error,
    },
  )
}
