/** The first place in which two folders differ: for builds that should give the same bytes. */
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'

const piece = 1024 * 1024

/**
 * Compares names, kinds, the executable bit, link targets and contents, in the order of names. Says in words what
 * differs first, with the byte's offset within a file; undefined when nothing does.
 */
export async function firstDifference(before: string, after: string): Promise<string | undefined> {
  const [names, others] = await Promise.all([tree(before), tree(after)])
  for (const name of [...new Set([...names, ...others])].sort()) {
    if (!others.includes(name)) return `${name} is missing in the second build`
    if (!names.includes(name)) return `${name} is only in the second build`
    const difference = await compareEntries(join(before, name), join(after, name))
    if (difference !== undefined) return `${name}: ${difference}`
  }
  return undefined
}

async function tree(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true, encoding: 'utf8' })).sort()
}

async function compareEntries(a: string, b: string): Promise<string | undefined> {
  const [first, second] = await Promise.all([lstat(a), lstat(b)])
  if ((first.mode & 0o170000) !== (second.mode & 0o170000)) return 'it is of another kind'
  if (first.isSymbolicLink()) {
    const [from, to] = [await readlink(a), await readlink(b)]
    return from === to ? undefined : `it links to ${from}, then to ${to}`
  }
  if (!first.isFile()) return undefined
  if ((first.mode & 0o100) !== (second.mode & 0o100)) return 'only one of them is executable'
  const offset = await firstDifferentByte(a, b)
  if (offset !== undefined)
    return `the first different byte is at ${offset} (sizes ${first.size} and ${second.size})`
  return undefined
}

async function firstDifferentByte(a: string, b: string): Promise<number | undefined> {
  const [first, second] = [await open(a), await open(b)]
  try {
    const [left, right] = [Buffer.allocUnsafe(piece), Buffer.allocUnsafe(piece)]
    for (let offset = 0; ; offset += piece) {
      const [x, y] = await Promise.all([fill(first, left, offset), fill(second, right, offset)])
      if (!x.equals(y)) return offset + differentIndex(x, y)
      if (x.length < piece) return undefined
    }
  } finally {
    await first.close()
    await second.close()
  }
}

async function fill(file: FileHandle, buffer: Buffer, offset: number): Promise<Buffer> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

function differentIndex(x: Buffer, y: Buffer): number {
  const index = x.findIndex((byte, i) => byte !== y[i])
  return index === -1 ? Math.min(x.length, y.length) : index
}
