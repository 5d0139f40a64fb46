/** Decodes .gz in this process: zlib runs on the thread pool, beside hashing. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { readerOf } from '../reads.ts'
import { type Decoding, damagedContainer, pour } from './decoding.ts'

const bufferSize = 256 * 1024

/** Answers the image's size. Zeros after the last member are padding, as gzip takes them. */
export async function decodeGz(decoding: Decoding): Promise<number> {
  const source = createReadStream(decoding.file, { highWaterMark: bufferSize })
  const gunzip = createGunzip({ chunkSize: bufferSize })
  // pipe() does not carry errors over.
  source.on('error', (error) => gunzip.destroy(error)).pipe(gunzip)
  try {
    const size = await pour(gunzip, decoding)
    // node:zlib ends in silence where something follows that is no further member.
    await checkRest(decoding, gunzip.bytesWritten)
    return size
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (!code?.startsWith('Z_')) throw error
    throw damagedContainer(`${message} (at or before byte ${gunzip.bytesWritten})`, error)
  } finally {
    source.destroy()
    gunzip.destroy()
  }
}

async function checkRest({ file, fileSize }: Decoding, end: number): Promise<void> {
  const handle = await open(file)
  try {
    const read = readerOf(handle)
    for (let at = end; at < fileSize; ) {
      const bytes = await read(at, Math.min(bufferSize, fileSize - at))
      const garbage = bytes.findIndex((byte) => byte !== 0)
      if (garbage >= 0)
        throw damagedContainer(`after the end of the data something follows (byte ${at + garbage})`)
      if (bytes.length === 0) break
      at += bytes.length
    }
  } finally {
    await handle.close()
  }
}
