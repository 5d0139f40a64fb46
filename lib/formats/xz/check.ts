/** The integrity checks that a block may end with (section 2.1.1.2). */
import { createHash } from 'node:crypto'
import { crc32 } from '../crc32.ts'
import { crc64 } from '../crc64.ts'
import { unsupported } from './damage.ts'

/** None, CRC32, CRC64, SHA-256: the only ones that anybody has defined. */
export type CheckId = 0 | 1 | 4 | 10

/** By the name that `xz --check=` takes. */
export const checkNames: Record<CheckId, 'none' | 'crc32' | 'crc64' | 'sha256'> = {
  0: 'none',
  1: 'crc32',
  4: 'crc64',
  10: 'sha256',
}

const sizes = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]

/** Bytes of the check of any id from 0 to 15, reserved ones as well: the format fixes them all. */
export function checkSize(id: number): number {
  const size = sizes[id]
  if (size === undefined) throw unsupported(`there is no integrity check ${id}`)
  return size
}

/** @throws E_UNSUPPORTED for the ids that are reserved */
export function knownCheck(id: number): CheckId {
  if (id === 0 || id === 1 || id === 4 || id === 10) return id
  throw unsupported(`integrity check ${id} is reserved: nobody can compute it`)
}

/** The check of `data` as it stands at the end of a block. */
export function checkOf(check: CheckId, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(checkSize(check))
  if (check === 1) bytes.writeUInt32LE(crc32(data))
  else if (check === 4) bytes.writeBigUInt64LE(crc64(data))
  else if (check === 10) createHash('sha256').update(data).digest().copy(bytes)
  return bytes
}
