/** What the stage `save` does: a working image, the layers applied, compressed, and described. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext, Input } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { writeBmap } from '../../formats/bmap.ts'
import type { JsonObject } from '../../formats/json.ts'
import { version } from '../../version.ts'
import { beside } from '../beside.ts'
import { type Compressed, compressImage } from '../compress.ts'
import { fetchedFile } from '../fetched-file.ts'
import { sha256OfFile } from '../hash-file.ts'
import { chunkSize, diskName, type ImageManifest, readManifest, writeManifest } from '../image.ts'
import { readTable, writeTable } from '../partitions.ts'
import { artifactSuffixes, type Release, type ShownByImager, writeArtifacts } from '../signing/artifacts.ts'
import { releaseDependencies } from './dependencies.ts'
import { readDistribution } from './distribution.ts'
import { type Change, checkEdit, editImage } from './edit.ts'
import { grownSize } from './grow.ts'
import { imageTime } from './image-time.ts'
import { layersByPartition } from './layer-sets.ts'
import { mappedRanges } from './mapped-ranges.ts'
import { withWorkingImage } from './open-working-image.ts'
import type { WorkingImage } from './working-image.ts'

export interface SaveOptions {
  image: Input
  table: Input
  stock?: Input | undefined
  layers: readonly Input[]
  name: string
  stem?: string | undefined
  grow?: string | undefined
  imager?: ShownByImager
}

type Context = Omit<BuildContext<unknown>, 'options'>

/** Fills `context.out` with the image and its artifacts. */
export async function saveImage(context: Context, options: SaveOptions): Promise<void> {
  const { image, stock, grow } = options
  const manifest = await readManifest(image.path)
  const stockFile = stock && (await stockOf(manifest, stock))
  const table = { digest: options.table.digest, content: await readTable(options.table.path) }
  const epoch = context.epoch ?? (await imageTime(join(image.path, diskName), table.content))
  const sets = options.layers.map((layer) => layer.path)
  const beginning = {
    image,
    manifest,
    table,
    grow: grow === undefined ? undefined : { to: grownSize(grow, table.content.size), epoch },
    partitions: (await layersByPartition(sets, table.content)).map(({ partition }) => partition.number),
  }
  const release = await withWorkingImage(context, beginning, async (working) => {
    const changes = await layersByPartition(sets, working.table)
    return write(context, { ...options, manifest, stockFile, epoch, working, changes })
  })
  await writeArtifacts(context.out, release)
}

interface Work extends SaveOptions {
  manifest: ImageManifest
  stockFile: string | undefined
  epoch: number
  working: WorkingImage
  changes: Change[]
}

/** Edits, and while the image is compressed all else that has to be known of it. All but the artifacts' texts is written then. */
async function write(context: Context, work: Work): Promise<Release> {
  const { working, changes, epoch, imager } = work
  const { disk, table } = working
  const changed = await editImage(context, working, changes, epoch)
  const stem = stemOf(work)
  const [image, bmap, chunks, distribution, whole, dependencies] = await beside(context.signal, [
    (signal) => compress(context, work, signal),
    async (signal) => {
      const ranges = await mappedRanges(disk, table)
      return writeBmap(table.size, await working.sums.of(disk, ranges, changed, signal))
    },
    (signal) => working.chunks(signal),
    () => readDistribution(disk, table),
    async (signal) => (imager === undefined ? undefined : await sha256OfFile(disk, { signal })),
    () => releaseDependencies(work.image, work.stock, layerFiles(changes)),
    (signal) => checkEdit(context, working, changes, signal),
  ])
  await writeFile(join(context.out, stem + artifactSuffixes.bmap), bmap)
  await writeTable(context.out, table)
  const container = { kind: 'xz', sha256: image.sha256 } as const
  await writeManifest(context.out, {
    format: 1,
    size: table.size,
    chunkSize,
    chunks,
    container,
    xz: image.xz,
  })
  return {
    stem,
    image: { sha256: image.sha256, size: image.size },
    bmap: { sha256: createHash('sha256').update(bmap).digest('hex'), size: bmap.length },
    epoch,
    ...distribution,
    ...(imager && whole ? { imager: { shown: imager, disk: { sha256: whole, size: table.size } } } : {}),
    dependencies,
    parameters: parametersOf(work, context.epoch),
    version,
  }
}

async function compress(context: Context, work: Work, signal: AbortSignal): Promise<Compressed> {
  const { stockFile, working } = work
  const { chunks, container, xz } = work.manifest
  const name = stemOf(work) + artifactSuffixes.image
  const compressed = await compressImage({
    raw: working.disk,
    size: working.table.size,
    ...(stockFile && xz ? { stock: { file: stockFile, sha256: container.sha256, index: xz } } : {}),
    chunks,
    touched: await working.touched(signal),
    out: join(context.out, name),
    memo: context.memo,
    run: context.run,
    jobs: context.jobs,
    tmp: context.tmp,
    signal,
    progress: (done, total) => context.progress(done, total, 'bytes'),
  })
  context.declare(name, { sha256: compressed.sha256 })
  return compressed
}

function stemOf({ name, stem }: SaveOptions): string {
  return stem ?? `${name}_fleetsie`
}

/** Blocks are taken over by their place: those of another file could fit in size, and be of another image. */
async function stockOf({ container }: ImageManifest, stock: Input): Promise<string> {
  const { file, name, sha256 } = await fetchedFile(stock.path)
  if (sha256 === container.sha256) return file
  throw new FleetsieError('E_INPUT', '`stock` is not the file that `image` was made of', {
    file: name,
    hint: 'give `stock` what `decompress` got as `from`',
  })
}

function layerFiles(changes: readonly Change[]): { name: string; path: string }[] {
  return changes.flatMap(({ partition, layers }) =>
    layers.map((path, index) => ({ name: `layer ${index + 1} of part_${partition.number}`, path })),
  )
}

/** What the user chose, for the provenance: options by name, and SOURCE_DATE_EPOCH when it was set. */
function parametersOf({ name, stem, grow, imager }: SaveOptions, epoch: number | undefined): JsonObject {
  return {
    name,
    ...(stem === undefined ? {} : { stem }),
    ...(grow === undefined ? {} : { grow }),
    ...(imager === undefined ? {} : { imager: { ...imager } as JsonObject }),
    ...(epoch === undefined ? {} : { SOURCE_DATE_EPOCH: epoch }),
  }
}
