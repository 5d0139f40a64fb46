/** Which working image a run edits, and how it comes into being: copied once, and kept between runs. */
import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext, Digest, Input } from '../../engine/stage.ts'
import { beside } from '../beside.ts'
import { checkPartition } from '../check-partition.ts'
import { copyDisk } from '../copy-disk.ts'
import { diskName, type ImageManifest } from '../image.ts'
import { type PartitionTable, readPartitionTable } from '../partitions.ts'
import { makeGrownBase } from './grown-base.ts'
import { mappedRanges } from './mapped-ranges.ts'
import { baseName, WorkingImage } from './working-image.ts'
import { readState, type WorkingState } from './working-state.ts'

/** With what the layers of a run begin. Runs for which it is the same share a working image. */
export interface Beginning {
  image: Input
  manifest: ImageManifest
  table: { digest: Digest; content: PartitionTable }
  /** Bytes that the image has in the end, and seconds since 1970, for the superblock. */
  grow?: { to: number; epoch: number } | undefined
  /** The numbers of those that will be edited: they have to pass their checkers, once. */
  partitions: readonly number[]
}

type Context = Omit<BuildContext<unknown>, 'options'>

/**
 * Hands `use` the working image as it begins, and puts back afterwards what `use` changed. When that fails, the image is
 * thrown away.
 */
export async function withWorkingImage<T>(
  context: Context,
  beginning: Beginning,
  use: (image: WorkingImage) => Promise<T>,
): Promise<T> {
  return context.carry(lineageOf(beginning), async (folder) => {
    const { image, known } = await find(context, folder, beginning)
    try {
      await prepare(context, image, known, beginning)
      const result = await use(image)
      await image.end()
      return result
    } finally {
      await image.sums.idle()
    }
  })
}

function lineageOf({ image, table, grow }: Beginning): string {
  const parts = grow ? [image.digest, table.digest, grow.to, grow.epoch] : [image.digest]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** The working image that the last run left in `folder`, or one of which only the base is there. */
async function find(context: Context, folder: string, { image, manifest, table, grow }: Beginning) {
  const stock = join(image.path, diskName)
  const base = grow ? join(folder, baseName) : stock
  const left = await readState(folder, grow ? [diskName, baseName] : [diskName])
  if (left === 'changed') {
    context.note('the working image was changed by somebody else: it is thrown away and made anew')
  }
  const known = left === 'changed' ? undefined : left
  const state = known ?? (await begin())
  const its = grow ? await readPartitionTable(base, context.warn) : table.content
  return {
    image: new WorkingImage({ folder, stock, base, table: its, manifest }, state),
    known: known !== undefined,
  }

  async function begin(): Promise<WorkingState> {
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true })
    context.log('making a working image')
    const { run, tmp, signal } = context
    const request = { run, stock, table: table.content, tmp, signal }
    const grown = grow ? await makeGrownBase(base, { ...request, ...grow }) : { pieces: [], chunks: [] }
    return { sound: [], sums: [], grown }
  }
}

/** Copies the image if it is new, and checks what has not been checked yet. */
async function prepare(
  { run, tmp, signal }: Context,
  image: WorkingImage,
  known: boolean,
  { partitions }: Beginning,
): Promise<void> {
  const { base, disk, table, sound } = image
  const tasks = table.partitions
    .filter(({ number }) => partitions.includes(number) && !sound.has(number))
    .map((partition) => async () => {
      await checkPartition({ run, disk: base, partition, tmp }, 'before')
      sound.add(partition.number)
    })
  if (!known) {
    // While this process waits for others, it can as well hash.
    image.sums.learn(base, () => mappedRanges(base, table), signal)
    tasks.push(() => copyDisk(run, base, disk))
  }
  await beside(signal, tasks)
}
