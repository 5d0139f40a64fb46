/** save: applies layer sets to an image and writes it as .img.xz with all that goes with it. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { type BuildContext, input, stage } from '../lib/engine/stage.ts'
import { writeBmap } from '../lib/formats/bmap.ts'
import { applyLayers } from '../lib/images/apply.ts'
import { artifactSuffixes, type Release, writeArtifacts } from '../lib/images/artifacts.ts'
import { compressImage } from '../lib/images/compress.ts'
import { diskName, readManifest } from '../lib/images/image.ts'
import { type PartitionTable, readPartitionTable, readTable } from '../lib/images/partitions.ts'
import { releaseDependencies } from '../lib/images/save/dependencies.ts'
import { readDistribution } from '../lib/images/save/distribution.ts'
import { growImage, grownSize } from '../lib/images/save/grow.ts'
import { imageTime } from '../lib/images/save/image-time.ts'
import { layersByPartition } from '../lib/images/save/layer-sets.ts'
import { mappedRanges } from '../lib/images/save/mapped-ranges.ts'
import { workingImage } from '../lib/images/save/working-image.ts'
import { scanImage } from '../lib/images/scan.ts'
import { version } from '../lib/version.ts'
import { fetchedFile } from '../lib/images/fetched-file.ts'

const options = v.strictObject({
  image: v.pipe(input(), v.description('the stock image, from `decompress`')),
  table: v.pipe(input(), v.description('its partitions, from `mount`')),
  stock: v.pipe(
    v.optional(input()),
    v.description('the stock file, from `fetch` or `debian`: its xz blocks are copied where nothing changed'),
  ),
  layers: v.pipe(v.array(input()), v.description('layer sets, in the order in which they apply')),
  name: v.pipe(
    v.string(),
    v.regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/, 'takes letters, digits and ._+- only'),
    v.description('the artifacts are called NAME_fleetsie.img.xz and so on'),
  ),
  grow: v.pipe(
    v.optional(v.pipe(v.string(), v.regex(/^\+?\d+[KMG]?$/, 'takes a size such as 4G, or +512M'))),
    v.description('size of the image, or by how much it grows; the last partition takes the room'),
  ),
  imager: v.pipe(
    v.optional(
      v.strictObject({
        name: v.optional(v.string()),
        description: v.optional(v.string()),
        baseUrl: v.optional(v.pipe(v.string(), v.url())),
        devices: v.optional(v.array(v.string())),
      }),
    ),
    v.description('what the Raspberry Pi Imager shows, and where the files will be published'),
  ),
})
type Options = v.InferOutput<typeof options>
type Context = BuildContext<Options>

export const save = stage({
  kind: 'build',
  name: 'save',
  module: import.meta.url,
  summary: 'Applies layers to an image and writes it as .img.xz, with block map, SBOM, sums and provenance.',
  description: `
The layers are applied without mounting and without root: ext2, ext3 and ext4 by debugfs, FAT by mtools. The partition
table, labels, UUIDs and PARTUUIDs stay as they are. Each changed filesystem is checked before and after.

The .img.xz is one ordinary xz stream. Blocks of the stock file in which no byte changed are copied as they are; the rest
is compressed anew in pieces of 1 MiB. Where blocks begin depends on the stock file and on what changed only.

When the layers do not fit, the error says how much is missing; \`grow\` enlarges the image and its last partition.

Times that a layer does not give are SOURCE_DATE_EPOCH, else the time at which the stock filesystem was last written.

The output: \`NAME_fleetsie.img.xz\`, \`.img.bmap\` (bmaptool), \`.spdx.json\` (SPDX 2.3, from the package database in the
image), \`.imager.json\` (a repository for the Raspberry Pi Imager), \`.sha256sums\`, and an unsigned in-toto statement that
names every input by digest; \`sign\` signs and publishes them.
`,
  example: `save({ stock, image, table, layers: [overlay({ from: 'overlays' }), install({ image })], name: 'sample' })`,
  options,
  tools: () => ['cp', 'xz', 'debugfs', 'e2fsck', 'resize2fs', 'mcopy', 'mdir', 'fsck.fat'],
  run: runSave,
})

async function runSave(context: Context): Promise<void> {
  const { image, stock, name } = context.options
  const stem = `${name}_fleetsie`
  const manifest = await readManifest(image.path)
  const { disk, table, epoch, layers } = await edit(context)

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
    ...(stock && manifest.xz ? { stock: { file: (await fetchedFile(stock.path)).file, index: manifest.xz } } : {}),
    touched: scan.touched,
    out: imageFile,
    run: context.run,
    jobs: availableParallelism(),
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
    ...(context.options.imager ? { imager: context.options.imager as NonNullable<Release['imager']> } : {}),
    dependencies: await releaseDependencies(image, stock, layers),
    parameters: { name, ...(context.options.grow === undefined ? {} : { grow: context.options.grow }) },
    version,
  })
}

/** A working copy of the image with all layers applied. */
async function edit(context: Context) {
  const { options } = context
  const { image } = options
  const stockTable = await readTable(options.table.path)
  const epoch = context.epoch ?? (await imageTime(join(image.path, diskName), stockTable))
  const disk = await workingImage(context.run, image.path, context.tmp)
  const table = await grown(context, disk, stockTable, epoch)
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
  disk: string,
  table: PartitionTable,
  epoch: number,
): Promise<PartitionTable> {
  if (context.options.grow === undefined) return table
  await growImage({
    run: context.run,
    disk,
    table,
    to: grownSize(context.options.grow, table.size),
    epoch,
    tmp: context.tmp,
  })
  return readPartitionTable(disk, context.warn)
}
