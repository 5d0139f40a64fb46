/** Decodes the one disk image in a .zip. */
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { FleetsieError } from '../../errors.ts'
import { crc32 } from '../../formats/crc32.ts'
import { type Decoding, damagedContainer, pour } from './decoding.ts'

const maxEntries = 10_000
const stored = 0
const deflated = 8

/** Answers the image's size. */
export async function decodeZip(decoding: Decoding): Promise<number> {
  return openPromise(decoding.file, { autoClose: false, lazyEntries: true })
    .catch((error: unknown) => {
      throw asDamage(error, 'the directory of the zip')
    })
    .then(async (zip) => {
      try {
        return await decodeEntry(decoding, zip, await findImage(zip))
      } finally {
        zip.close()
      }
    })
}

async function findImage(zip: ZipFile): Promise<Entry> {
  if (zip.entryCount > maxEntries) throw damagedContainer(`the zip lists ${zip.entryCount} files`)
  const images: Entry[] = []
  try {
    for await (const entry of zip.eachEntry()) if (/\.img$/i.test(entry.fileName)) images.push(entry)
  } catch (error) {
    throw asDamage(error, 'the directory of the zip')
  }
  const [image] = images
  if (!image || images.length > 1) {
    throw new FleetsieError('E_INPUT', `the zip holds ${images.length} files named *.img, not one`, {
      hint: 'unpack it and give the image itself',
    })
  }
  return image
}

async function decodeEntry(decoding: Decoding, zip: ZipFile, entry: Entry): Promise<number> {
  const where = `${JSON.stringify(entry.fileName)} in the zip (byte ${entry.relativeOffsetOfLocalHeader})`
  if (entry.isEncrypted()) throw new FleetsieError('E_UNSUPPORTED', `encrypted: ${where}`)
  if (entry.compressionMethod !== stored && entry.compressionMethod !== deflated) {
    throw new FleetsieError('E_UNSUPPORTED', `compression method ${entry.compressionMethod}: ${where}`)
  }
  decoding.checkSize(entry.uncompressedSize)
  let sum = 0
  try {
    const stream = await zip.openReadStreamPromise(entry)
    stream.on('data', (bytes: Buffer) => {
      sum = crc32(bytes, sum)
    })
    const size = await pour(stream, decoding, entry.uncompressedSize)
    // yauzl leaves the comparison to its caller.
    if (sum !== entry.crc32) throw damagedContainer(`the data does not match its CRC32: ${where}`)
    return size
  } catch (error) {
    throw asDamage(error, where)
  }
}

/** yauzl throws plain errors for what is wrong with a file, and system errors for what is wrong with the disk. */
function asDamage(error: unknown, where: string): unknown {
  if (error instanceof FleetsieError || (error as NodeJS.ErrnoException).syscall !== undefined) return error
  return damagedContainer(`${(error as Error).message}: ${where}`, error)
}
