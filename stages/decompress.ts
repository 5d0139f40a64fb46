/** `decompress`: from a downloaded image to a raw one that remembers its .xz blocks. */
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'
import { maxImageSize } from '../lib/images/limits.ts'

const sector = 512

const options = v.strictObject({
  from: v.pipe(input(), v.description('The downloaded file: a result of `fetch`.')),
  maxSize: v.pipe(
    v.optional(
      v.pipe(v.number(), v.safeInteger(), v.minValue(sector), v.maxValue(maxImageSize)),
      maxImageSize,
    ),
    v.description('Bytes that the raw image may have. Default: 256 GiB, the most that is possible.'),
  ),
})

export const decompress = stage({
  kind: 'build',
  name: 'decompress',
  module: import.meta.url,
  summary: 'Makes a raw disk image of an .img.xz, .img.gz, .img.zst, .zip or .img.',
  description: `
The container is told by its first bytes, not by its name. All of it is checked: the sums of every block, its index, its
padding, and that nothing follows. An .xz is decoded by its index, several blocks at once, also where the block headers
hold no sizes; where its blocks lie is remembered, so that \`save\` can take over those that no layer touches.

The output is an image: \`disk.img\`, raw and sparse, and \`image.json\`, its sha256 by chunks of 1 MiB.

Limits: a .zip must hold one file named \`*.img\`. An .xz that needs more than 256 MiB to decode is refused, and so is an
image that is larger than \`maxSize\` or than what is free in the store.
`,
  example: "decompress({ from: fetch({ url: 'fixtures/sample.img.xz' }) })",
  options,
  tools: () => ['xz', 'zstd'],
  async run(context) {
    const { decompressImage } = await import('../lib/images/decompress.ts')
    await decompressImage(context, context.options.from, context.options.maxSize)
  },
})
