/** Filesystems that say all they are in one place: a magic number, a label and an id at fixed offsets. */
import type { ReadAt } from '../../formats/random-access.ts'
import type { Filesystem } from './filesystem.ts'
import { label, uuid, wideLabel } from './text.ts'

/** Bytes that are enough for every header here. */
const headerSize = 2048

export async function probeXfs(read: ReadAt): Promise<Filesystem | undefined> {
  const block = await read(0, headerSize)
  if (!has(block, 0, 'XFSB')) return undefined
  return { filesystem: 'xfs', label: label(block.subarray(108, 120)), uuid: uuid(block.subarray(32, 48)) }
}

export async function probeBtrfs(read: ReadAt): Promise<Filesystem | undefined> {
  const block = await read(64 * 1024, headerSize)
  if (!has(block, 64, '_BHRfS_M')) return undefined
  return { filesystem: 'btrfs', label: label(block.subarray(299, 555)), uuid: uuid(block.subarray(32, 48)) }
}

export async function probeF2fs(read: ReadAt): Promise<Filesystem | undefined> {
  const block = await read(1024, headerSize)
  if (block.length < headerSize || block.readUInt32LE(0) !== 0xf2f52010) return undefined
  return {
    filesystem: 'f2fs',
    label: wideLabel(block.subarray(124, 1148)),
    uuid: uuid(block.subarray(108, 124)),
  }
}

export async function probeSquashfs(read: ReadAt): Promise<Filesystem | undefined> {
  const block = await read(0, headerSize)
  if (!has(block, 0, 'hsqs') || block.readUInt16LE(28) < 4) return undefined
  return { filesystem: 'squashfs', label: null, uuid: null }
}

/** LUKS 1 and 2 keep the UUID as text in one place; only the second has a label. */
export async function probeLuks(read: ReadAt): Promise<Filesystem | undefined> {
  const block = await read(0, headerSize)
  if (!has(block, 0, 'LUKS\xba\xbe')) return undefined
  const labelled = block.readUInt16BE(6) === 2
  return {
    filesystem: 'crypto_LUKS',
    label: labelled ? label(block.subarray(24, 72)) : null,
    uuid: label(block.subarray(168, 208)),
  }
}

/** The magic number ends the first page, of whatever size the machine has. */
export async function probeSwap(read: ReadAt): Promise<Filesystem | undefined> {
  const header = await read(1024, 1024)
  if (header.length < 1024) return undefined
  for (const pageSize of [4096, 8192, 16384, 32768, 65536]) {
    const magic = (await read(pageSize - 10, 10)).toString('latin1')
    if (magic === 'SWAP-SPACE') return { filesystem: 'swap', label: null, uuid: null }
    if (magic !== 'SWAPSPACE2') continue
    // Byte order is that of the machine that made it.
    if (header.readUInt32LE(0) !== 1 && header.readUInt32BE(0) !== 1) continue
    return { filesystem: 'swap', label: label(header.subarray(28, 44)), uuid: uuid(header.subarray(12, 28)) }
  }
  return undefined
}

function has(block: Buffer, at: number, magic: string): boolean {
  return block.length === headerSize && block.toString('latin1', at, at + magic.length) === magic
}
