/** The sums of chunks, made beside this thread. */
import { webcrypto } from 'node:crypto'
import { chunkSize } from '../image.ts'

const zeros = Buffer.alloc(chunkSize)

/** Whether up to a chunk's length holds nothing but zeros. */
export function isZero(bytes: Buffer): boolean {
  return bytes.compare(zeros, 0, bytes.length) === 0
}

/** sha256 in lower-case hex, by Node's thread pool: two of them are faster than this thread alone. */
export async function sha256(bytes: Buffer): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes)).toString('hex')
}

/** As a manifest has it: null for zeros. `bytes` must not change until then. */
export async function chunkDigest(bytes: Buffer): Promise<string | null> {
  return isZero(bytes) ? null : sha256(bytes)
}
