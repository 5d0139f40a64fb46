/** What the stage `decompress` does: one container in, one image out. */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BuildContext, Input } from '../engine/stage.ts'
import { inFile } from '../errors.ts'
import { decode } from './containers/decode.ts'
import { damagedContainer } from './containers/decoding.ts'
import { containerKind, magicLength } from './containers/kind.ts'
import { roomFor } from './containers/room.ts'
import { fetchedFile } from './fetched-file.ts'
import { chunkSize, diskName, type ImageManifest, writeManifest } from './image.ts'
import { ImageWriter } from './image-writer.ts'
import { readerOf } from './reads.ts'

const sector = 512

/** Fills `context.out` with the image that is in the file of `from`, at most `maxSize` bytes. */
export async function decompressImage(
  context: Omit<BuildContext<unknown>, 'options'>,
  from: Input,
  maxSize: number,
): Promise<void> {
  const { file, name, sha256 } = await fetchedFile(from.path)
  await inFile(name, async () => {
    const fileSize = (await stat(file)).size
    const kind = containerKind(await readStart(file), name)
    const checkSize = await roomFor(context.out, maxSize)
    const writer = await ImageWriter.create(join(context.out, diskName))
    try {
      const { size, xz } = await decode(kind, {
        file,
        fileSize,
        writer,
        checkSize,
        run: context.run,
        signal: context.signal,
        jobs: context.jobs,
        progress: (done, total) => context.progress(done, total, 'bytes'),
      })
      if (size === 0) throw damagedContainer('there is no image in it: it decodes to nothing')
      if (size % sector !== 0) {
        throw damagedContainer(`the image is cut off: ${size} bytes are no multiple of ${sector}`)
      }
      const { chunks, digest } = await writer.finish(size)
      const container = { kind, sha256 }
      const manifest: ImageManifest = { format: 1, size, chunkSize, chunks, container }
      await writeManifest(context.out, xz ? { ...manifest, xz } : manifest)
      context.declare(diskName, { chunks: digest })
    } finally {
      await writer.close()
    }
  })
}

async function readStart(file: string): Promise<Buffer> {
  const handle = await open(file)
  try {
    return await readerOf(handle)(0, magicLength)
  } finally {
    await handle.close()
  }
}
