/** save: applies layer sets to an image and writes it as .img.xz with all that goes with it. */
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'

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
  stem: v.pipe(
    v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/, 'takes letters, digits and ._+- only'),
      ),
    ),
    v.description('what the artifacts are called in place of NAME_fleetsie'),
  ),
  grow: v.pipe(
    v.optional(v.pipe(v.string(), v.regex(/^\+?\d+[KMG]?$/, 'takes a size such as 4G, or +512M'))),
    v.description('size of the image, or by how much it grows; the last partition takes the room'),
  ),
  imager: v.pipe(
    v.exactOptional(
      v.strictObject({
        name: v.exactOptional(v.string()),
        description: v.exactOptional(v.string()),
        baseUrl: v.exactOptional(v.pipe(v.string(), v.url())),
        devices: v.exactOptional(v.array(v.string())),
      }),
    ),
    v.description(
      'makes `.imager.json`: what the Raspberry Pi Imager shows, and where the files will be published',
    ),
  ),
})
export const save = stage({
  kind: 'build',
  name: 'save',
  module: import.meta.url,
  summary: 'Applies layers to an image and writes it as .img.xz, with block map, SBOM, sums and provenance.',
  description: `
The layers are applied without mounting and without root: ext2, ext3 and ext4 by debugfs, FAT by mtools. The partition
table, labels, UUIDs and PARTUUIDs stay as they are. Each changed filesystem is checked before and after.

The .img.xz is one ordinary xz stream. Blocks of the stock file in which no byte changed are copied as they are. In those
with a change, pieces of 64 KiB that changed are compressed anew, and what lies between them is made of the stock's
own matches or compressed in pieces of up to 1 MiB. What no block of up to 64 MiB stands for, or all where \`stock\` is no
.xz, counts as blocks of 16 MiB. Where blocks begin depends on the stock file and on what changed only.

When the layers do not fit, the error says how much is missing; \`grow\` enlarges the image and its last partition.

Times that a layer does not give are SOURCE_DATE_EPOCH, else the time at which the stock filesystem was last written.

An edit costs what it touches: the raw image that the layers are applied to is kept between runs and put back to the
stock's bytes after each, only what they wrote is compared, and sums of the block map are computed where content is new.
The result is the one of a build from nothing, byte for byte.

The output: \`NAME_fleetsie.img.xz\`, \`.img.bmap\` (bmaptool), \`.spdx.json\` (SPDX 2.3, from the package database in the
image), \`.sha256sums\`, and an unsigned in-toto statement that names every input by digest; \`sign\` signs and publishes
them. Beside them \`image.json\`, the sums of the new image's MiBs, by which \`updatesd\` writes what differs. With the option \`imager\` also \`.imager.json\`, a repository for the Raspberry Pi Imager: it needs the sum of the raw
image, so that each build reads all of that.
`,
  example: `save({ stock, image, table, layers: [overlay({ from: 'overlays' }), install({ image })], name: 'sample' })`,
  options,
  tools: () => ['cp', 'xz', 'debugfs', 'e2fsck', 'resize2fs', 'mcopy', 'mdir', 'fsck.fat'],
  async run(context) {
    const { saveImage } = await import('../lib/images/save/save-image.ts')
    await saveImage(context, context.options)
  },
})
