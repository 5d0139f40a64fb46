/** From a file in any container that we know to an image. */
import { createReadStream } from 'node:fs'
import { unreachable } from '../../errors.ts'
import type { ContainerKind, XzContainer } from '../image.ts'
import type { ImageWriter } from '../image-writer.ts'
import { type Decoding, pour } from './decoding.ts'
import { decodeGz } from './gz.ts'
import { decodeXz } from './xz.ts'
import { decodeZip } from './zip.ts'
import { decodeZst } from './zst.ts'

/** Writes the image. Answers its size and, of an .xz, where the blocks are. */
export async function decode(
  kind: ContainerKind,
  decoding: Decoding<ImageWriter>,
): Promise<{ size: number; xz?: XzContainer | undefined }> {
  switch (kind) {
    case 'xz':
      return decodeXz(decoding)
    case 'gz':
      return { size: await decodeGz(decoding) }
    case 'zst':
      return { size: await decodeZst(decoding) }
    case 'zip':
      return { size: await decodeZip(decoding) }
    case 'raw': {
      decoding.checkSize(decoding.fileSize)
      const stream = createReadStream(decoding.file, { highWaterMark: 1024 * 1024 })
      return { size: await pour(stream, decoding, decoding.fileSize) }
    }
    default:
      return unreachable(kind)
  }
}
