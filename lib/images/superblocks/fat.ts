/** FAT boot sectors: there is no magic number to trust, so all fields must make sense together, as in libblkid. */
import type { ReadAt } from '../../formats/random-access.ts'
import type { Filesystem } from './filesystem.ts'
import { label } from './text.ts'

interface Geometry {
  fatBits: 12 | 16 | 32
  /** Bytes. */
  sectorSize: number
  clusterSize: number
  fatAt: number
  rootAt: number
  rootSize: number
  /** Where cluster 2 begins. */
  dataAt: number
  rootCluster: number
}

/** More clusters make FAT12 a FAT16, and FAT16 more than it can hold. */
const maxFat12 = 0xff4
const maxFat16 = 0xfff4
const maxFat32 = 0x0ffffff6
const maxRootClusters = 100
const maxRootBytes = 1024 * 1024

export async function probeFat(read: ReadAt): Promise<Filesystem | undefined> {
  const boot = await read(0, 512)
  const geometry = readGeometry(boot)
  if (!geometry) return undefined
  // FAT32 keeps id, signature and label behind its longer parameter block.
  const extended = boot.subarray(geometry.fatBits === 32 ? 64 : 36)
  const signature = extended[2]
  const serial = extended.readUInt32LE(3)
  const hex = serial.toString(16).padStart(8, '0').toUpperCase()
  const hasSerial = (signature === 0x28 || signature === 0x29) && serial !== 0
  return {
    filesystem: 'vfat',
    fatBits: geometry.fatBits,
    label: await volumeLabel(read, geometry),
    uuid: hasSerial ? `${hex.slice(0, 4)}-${hex.slice(4)}` : null,
  }
}

const isPowerOfTwo = (value: number): boolean => value > 0 && (value & (value - 1)) === 0

function readGeometry(boot: Buffer): Geometry | undefined {
  if (boot.length < 512) return undefined
  const named =
    ['MSWIN', 'FAT32   '].some((name) => boot.toString('latin1', 82, 90).startsWith(name)) ||
    ['MSDOS', 'FAT16   ', 'FAT12   ', 'FAT     '].some((name) =>
      boot.toString('latin1', 54, 62).startsWith(name),
    )
  // Without a name the 55 aa of a bootable sector has to be there, which an MBR has as well.
  if (!named && boot.readUInt16LE(510) !== 0xaa55) return undefined
  const sectorSize = boot.readUInt16LE(11)
  const clusterSectors = boot[13]!
  const reserved = boot.readUInt16LE(14)
  const fats = boot[16]!
  const rootEntries = boot.readUInt16LE(17)
  const media = boot[21]!
  const fatSectors16 = boot.readUInt16LE(22)
  const fatSectors = fatSectors16 || boot.readUInt32LE(36)
  const sectors = boot.readUInt16LE(19) || boot.readUInt32LE(32)
  if (fats === 0 || reserved === 0 || (media < 0xf8 && media !== 0xf0)) return undefined
  if (!isPowerOfTwo(clusterSectors) || !isPowerOfTwo(sectorSize) || sectorSize < 512 || sectorSize > 4096) {
    return undefined
  }
  const rootSectors = Math.ceil((rootEntries * 32) / sectorSize)
  const rootSector = reserved + fats * fatSectors
  const dataSector = rootSector + rootSectors
  const clusters = Math.floor((sectors - dataSector) / clusterSectors)
  const isFat32 = fatSectors16 === 0 && fatSectors > 0
  if (clusters < 0 || clusters > (isFat32 ? maxFat32 : maxFat16)) return undefined
  return {
    fatBits: isFat32 ? 32 : clusters > maxFat12 ? 16 : 12,
    sectorSize,
    clusterSize: clusterSectors * sectorSize,
    fatAt: reserved * sectorSize,
    rootAt: rootSector * sectorSize,
    rootSize: rootEntries * 32,
    dataAt: dataSector * sectorSize,
    rootCluster: boot.readUInt32LE(44),
  }
}

/** The label is an entry of the root folder; the boot sector's copy is not kept up to date by anyone. */
async function volumeLabel(read: ReadAt, geometry: Geometry): Promise<string | null> {
  if (geometry.fatBits !== 32) return labelIn(await read(geometry.rootAt, geometry.rootSize)).label
  let cluster = geometry.rootCluster
  let bytes = 0
  for (let count = 0; count < maxRootClusters && bytes < maxRootBytes; count++) {
    if (cluster < 2 || cluster >= maxFat32) break
    const found = labelIn(
      await read(geometry.dataAt + (cluster - 2) * geometry.clusterSize, geometry.clusterSize),
    )
    if (found.ended) return found.label
    bytes += geometry.clusterSize
    const next = await read(geometry.fatAt + cluster * 4, 4)
    if (next.length < 4) break
    cluster = next.readUInt32LE() & 0x0fffffff
  }
  return null
}

function labelIn(folder: Buffer): { label: string | null; ended: boolean } {
  for (let at = 0; at + 32 <= folder.length; at += 32) {
    const entry = folder.subarray(at, at + 32)
    const attributes = entry[11]! & 0x3f
    if (entry[0] === 0) return { label: null, ended: true }
    // Free, a piece of a long name, or a file: a label has no first cluster.
    const hasCluster = entry.readUInt16LE(20) !== 0 || entry.readUInt16LE(26) !== 0
    if (entry[0] === 0xe5 || attributes === 0x0f || hasCluster) continue
    if ((attributes & 0x18) !== 0x08) continue
    const name = Buffer.from(entry.subarray(0, 11))
    // A first byte of e5 would read as 'free'.
    if (name[0] === 0x05) name[0] = 0xe5
    return { label: label(name), ended: true }
  }
  return { label: null, ended: folder.length === 0 }
}
