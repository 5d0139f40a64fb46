/** What the stage `save` does: a working copy, the layers applied, compressed, and described. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext, Input } from '../../engine/stage.ts'
import { FleetsieError } from '../../errors.ts'
import { writeBmap } from '../../formats/bmap.ts'
import type { JsonObject } from '../../formats/json.ts'
import { version } from '../../version.ts'
import { applyLayers } from '../apply.ts'
import { artifactSuffixes, type Release, writeArtifacts } from '../artifacts.ts'
import { compressImage } from '../compress.ts'
import { fetchedFile } from '../fetched-file.ts'
import { diskName, type ImageManifest, readManifest } from '../image.ts'
import { type PartitionTable, readPartitionTable, readTable } from '../partitions.ts'
import { scanImage } from '../scan.ts'
import { releaseDependencies } from './dependencies.ts'
import { readDistribution } from './distribution.ts'
import { growImage, grownSize } from './grow.ts'
import { imageTime } from './image-time.ts'
import { layersByPartition } from './layer-sets.ts'
import { mappedRanges } from './mapped-ranges.ts'
import { workingImage } from './working-image.ts'

export interface SaveOptions {
  image: Input
  table: Input
  stock?: Input | undefined
  layers: readonly Input[]
  name: string
  grow?: string | undefined
  imager?: NonNullable<Release['imager']>
}

type Context = Omit<BuildContext<unknown>, 'options'>

/** Fills `context.out` with the image and its artifacts. */
export async function saveImage(context: Context, options: SaveOptions): Promise<void> {
  const { image, stock, name } = options
  const stem = `${name}_fleetsie`
  const manifest = await readManifest(image.path)
  const stockFile = stock && (await stockOf(manifest, stock))
  const { disk, table, epoch, layers } = await edit(context, options)

  const imageFile = join(context.out, stem + artifactSuffixes.image)
  const scan = await scanImage({
    image: disk,
    stock: stock && join(image.path, diskName),
    size: table.size,
    ranges: await mappedRanges(disk, table),
    signal: context.signal,
    progress: () => {},
  })
  const compressed = await compressImage({
    raw: disk,
    size: table.size,
    ...(stockFile && manifest.xz ? { stock: { file: stockFile, index: manifest.xz } } : {}),
    touched: scan.touched,
    out: imageFile,
    run: context.run,
    jobs: context.jobs,
    tmp: context.tmp,
    signal: context.signal,
    progress: (done, total) => context.progress(done, total, 'bytes'),
  })
  context.declare(stem + artifactSuffixes.image, { sha256: compressed.sha256 })
  const bmap = writeBmap(table.size, scan.ranges)
  await writeFile(join(context.out, stem + artifactSuffixes.bmap), bmap)
  await writeArtifacts(context.out, {
    stem,
    image: { sha256: compressed.sha256, size: compressed.size },
    bmap: { sha256: createHash('sha256').update(bmap).digest('hex'), size: bmap.length },
    disk: { sha256: scan.sha256, size: table.size },
    epoch,
    ...(await readDistribution(disk, table)),
    ...(options.imager ? { imager: options.imager } : {}),
    dependencies: await releaseDependencies(image, stock, layers),
    parameters: parametersOf(options, context.epoch),
    version,
  })
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

/** A working copy of the image with all layers applied. */
async function edit(context: Context, options: SaveOptions) {
  const { image } = options
  const stockTable = await readTable(options.table.path)
  const epoch = context.epoch ?? (await imageTime(join(image.path, diskName), stockTable))
  const disk = await workingImage(context.run, image.path, context.tmp)
  const table = await grown(context, options, disk, stockTable, epoch)
  const changes = await layersByPartition(
    options.layers.map((layer) => layer.path),
    table,
  )
  for (const { partition, layers } of changes) {
    context.log(`partition ${partition.number} (${partition.filesystem}): ${layers.length} layers`)
    await applyLayers({
      run: context.run,
      disk,
      partition,
      layers,
      epoch,
      tmp: context.tmp,
      signal: context.signal,
    })
  }
  const layers = changes.flatMap(({ partition, layers: files }) =>
    files.map((path, index) => ({ name: `layer ${index + 1} of part_${partition.number}`, path })),
  )
  return { disk, table, epoch, layers }
}

/** The table after growing, or the stock's when nothing grows. */
async function grown(
  context: Context,
  options: SaveOptions,
  disk: string,
  table: PartitionTable,
  epoch: number,
): Promise<PartitionTable> {
  if (options.grow === undefined) return table
  await growImage({
    run: context.run,
    disk,
    table,
    to: grownSize(options.grow, table.size),
    epoch,
    tmp: context.tmp,
  })
  return readPartitionTable(disk, context.warn)
}

/** What the user chose, for the provenance: options by name, and SOURCE_DATE_EPOCH when it was set. */
function parametersOf({ name, grow, imager }: SaveOptions, epoch: number | undefined): JsonObject {
  return {
    name,
    ...(grow === undefined ? {} : { grow }),
    ...(imager === undefined ? {} : { imager: { ...imager } as JsonObject }),
    ...(epoch === undefined ? {} : { SOURCE_DATE_EPOCH: epoch }),
  }
}
