/** `decompress`: from a downloaded image to a raw one that remembers its .xz blocks. */
import { open, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { input, stage } from '../lib/engine/stage.ts'
import { inFile } from '../lib/errors.ts'
import { decode } from '../lib/images/containers/decode.ts'
import { damagedContainer } from '../lib/images/containers/decoding.ts'
import { containerKind, magicLength } from '../lib/images/containers/kind.ts'
import { roomFor } from '../lib/images/containers/room.ts'
import { readerOf } from '../lib/images/feed.ts'
import { fetchedFile } from '../lib/images/fetched-file.ts'
import { chunkSize, diskName, type ImageManifest, maxImageSize, writeManifest } from '../lib/images/image.ts'
import { ImageWriter } from '../lib/images/image-writer.ts'

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
    const { file, name } = await fetchedFile(context.options.from.path)
    await inFile(name, async () => {
      const fileSize = (await stat(file)).size
      const kind = containerKind(await readStart(file), name)
      const checkSize = await roomFor(context.out, context.options.maxSize)
      const writer = await ImageWriter.create(join(context.out, diskName))
      try {
        const { size, xz } = await decode(kind, {
          file,
          fileSize,
          writer,
          checkSize,
          run: context.run,
          signal: context.signal,
          jobs: availableParallelism(),
          progress: (done, total) => context.progress(done, total, 'bytes'),
        })
        if (size === 0) throw damagedContainer('there is no image in it: it decodes to nothing')
        if (size % sector !== 0) {
          throw damagedContainer(`the image is cut off: ${size} bytes are no multiple of ${sector}`)
        }
        const { chunks, digest } = await writer.finish(size)
        const manifest: ImageManifest = { format: 1, size, chunkSize, chunks, container: { kind } }
        await writeManifest(context.out, xz ? { ...manifest, xz } : manifest)
        context.declare(diskName, { chunks: digest })
      } finally {
        await writer.close()
      }
    })
  },
})

async function readStart(file: string): Promise<Buffer> {
  const handle = await open(file)
  try {
    return await readerOf(handle)(0, magicLength)
  } finally {
    await handle.close()
  }
}
