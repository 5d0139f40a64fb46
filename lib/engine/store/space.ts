/** Room on the store's disk, and 8 MiB of it that let gc run when there is none. */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs'
import type { Layout } from './layout.ts'

const reservedSize = 8 * 1024 * 1024
const largestDefault = 2 * 1024 ** 3

/** Bytes that this user may still write. */
export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

export function defaultMinFree(folder: string): number {
  const { blocks, bsize } = statfsSync(folder)
  return Math.min(largestDefault, Math.floor((blocks * bsize) / 20))
}

/** Takes the reserve when it is not there and the disk has room for much more. */
export function reserve(layout: Layout): void {
  if (statSync(layout.reserved, { throwIfNoEntry: false })?.size === reservedSize) return
  if (freeBytes(layout.folder) < 4 * reservedSize) return
  const fd = openSync(layout.reserved, 'w', 0o644)
  try {
    // Random: a filesystem that compresses would reserve nothing for zeros.
    writeSync(fd, randomBytes(reservedSize))
  } finally {
    closeSync(fd)
  }
  layout.own(layout.reserved)
}

/** Answers whether that made room. */
export function freeReserve(layout: Layout): boolean {
  const reserved = statSync(layout.reserved, { throwIfNoEntry: false }) !== undefined
  rmSync(layout.reserved, { force: true })
  return reserved
}

export function isDiskFull(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    const code = (e as { code?: unknown }).code
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE')
      return true
  }
  return false
}
