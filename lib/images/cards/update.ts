/** Updates cards file by file, and leaves on them what is the device's own. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { updateFiles } from '../files-update/update-files.ts'
import { receiptFolder } from '../flash/receipt.ts'
import type { DiskImage } from '../flash/types.ts'
import { partitionName } from '../partition-edit.ts'
import { applyValues } from '../values/apply-values.ts'
import { volumesOnCard } from '../values/card-volumes.ts'
import type { CardVolume } from '../values/types.ts'
import { attempt } from './attempt.ts'
import { type KnownCard, volumesOf } from './known.ts'
import { closeTargets } from './open.ts'
import { type CardWork, voidReceipts, type WriteResult, type Written } from './write.ts'

export interface UpdateCards {
  image: DiskImage
  works: readonly CardWork[]
  env: NodeJS.ProcessEnv
  run: Run
  /** Has room for the image, unpacked, without its holes. */
  tmp: string
  /** The raw image that the image was made of: what that has and the image has not is removed from cards. */
  stock?: string | undefined
  signal: AbortSignal
  note(line: string): void
  warn(line: string): void
  /** Of unpacking the image. */
  progress(done: number, total: number): void
}

/** How it went for each card, in their order. One that fails does not end the others; an image that cannot be read does. */
export async function updateCards(request: UpdateCards): Promise<WriteResult[]> {
  const raw = join(request.tmp, 'image.img')
  await unpack(request, raw)
  const image = (await volumesOnCard(raw)).filter(hasFiles)
  const stock = request.stock === undefined ? undefined : await volumesOnCard(request.stock)
  const results: WriteResult[] = []
  for (const work of request.works) {
    const { card } = work
    const done = await attempt(() => updateCard(request, work, image, stock))
    results.push('error' in done ? { card, error: done.error } : { card, written: done.value })
  }
  return results
}

function hasFiles({ partition: { filesystem } }: CardVolume): boolean {
  return filesystem === 'vfat' || /^ext[234]$/.test(filesystem ?? '')
}

/** A partition whose filesystem is damaged seems to hold nothing: left out, it would be called updated. */
function expectAll({ name }: KnownCard, card: readonly CardVolume[], image: readonly CardVolume[]): void {
  const there = new Set(card.map(({ partition }) => partition.number))
  const missing = image.find(({ partition }) => !there.has(partition.number))
  if (missing === undefined && image.length > 0) return
  const what = missing
    ? `${name} has no ${partitionName(missing.partition)} with files, as the image has`
    : 'the image has no filesystem of which files could be updated'
  throw new FleetsieError('E_INPUT', what, { hint: 'write the card whole, without --files' })
}

async function unpack({ image, signal, progress }: UpdateCards, to: string): Promise<void> {
  const total = image.mapped.reduce((sum, { length }) => sum + length, 0)
  let done = 0
  const file: FileHandle = await open(to, 'wx', 0o600)
  try {
    await file.truncate(image.size)
    for await (const { at, bytes } of image.read(image.mapped, signal)) {
      for (let put = 0; put < bytes.length; ) {
        put += (await file.write(bytes, put, bytes.length - put, at + put)).bytesWritten
      }
      done += bytes.length
      progress(done, total)
    }
  } finally {
    await file.close()
  }
}

async function updateCard(
  { image: source, env, run, tmp, signal, note, warn }: UpdateCards,
  { card, values }: CardWork,
  image: readonly CardVolume[],
  stock: readonly CardVolume[] | undefined,
): Promise<Written> {
  const started = performance.now()
  // e2fsck takes a device for itself alone.
  await closeTargets(card.targets)
  const volumes = (await volumesOf(card, source)).filter(hasFiles)
  expectAll(card, volumes, image)
  await voidReceipts(await receiptFolder(env), card)
  const told = (line: string): void => note(`${card.name}: ${line}`)
  const reports = await updateFiles({
    run,
    card: volumes,
    image,
    ...(stock && { stock }),
    tmp,
    signal,
    note: told,
  })
  const touched = values ? await applyValues({ run, volumes, values, signal, warn }) : []
  const sum = (key: 'added' | 'changed' | 'removed' | 'kept' | 'bytesWritten'): number =>
    reports.reduce((total, report) => total + report[key], 0)
  for (const path of reports.flatMap(({ differing }) => differing))
    told(`${path} is the device's own and differs`)
  const own = touched.flatMap(({ ranges }) => ranges).reduce((total, { length }) => total + length, 0)
  const took = performance.now() - started
  return {
    ...{ card: card.name, how: 'files', resumed: false, slowest: 'writing', took },
    ...{ bytesCompared: 0, bytesVerified: 0, bytesSaved: 0, sampled: 0 },
    bytesWritten: sum('bytesWritten') + own,
    ms: { comparing: 0, writing: took, verifying: 0 },
    files: { added: sum('added'), changed: sum('changed'), removed: sum('removed'), kept: sum('kept') },
  }
}
