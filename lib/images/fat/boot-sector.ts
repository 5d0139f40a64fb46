/** The boot sector of FAT12, FAT16 and FAT32: Microsoft's "FAT32 File System Specification" 1.03. */
import { FleetsieError } from '../../errors.ts'
import type { Window } from '../window.ts'

export interface FatGeometry {
  bits: 12 | 16 | 32
  /** Bytes. */
  clusterSize: number
  /** Data clusters; they are numbered from 2. */
  clusters: number
  fatAt: number
  /** Bytes of one table, of which there are `fats`. */
  fatSize: number
  fats: number
  /** FAT12 and FAT16: the top folder's fixed place. */
  rootAt: number
  rootSize: number
  /** FAT32: where the top folder begins. */
  rootCluster: number
  /** Position of cluster 2. */
  dataAt: number
}

/** Errors: E_DAMAGED. */
export function readBootSector(window: Window): FatGeometry {
  const damaged = (why: string): FleetsieError =>
    new FleetsieError('E_DAMAGED', `this is not a sound FAT filesystem: ${why}`)
  if (window.size < 512) throw damaged('the partition is smaller than a sector')
  const raw = window.read(0, 512)
  const sector = raw.readUInt16LE(11)
  const perCluster = raw[13]!
  const fats = raw[16]!
  if (![512, 1024, 2048, 4096].includes(sector)) throw damaged(`sectors of ${sector} bytes`)
  if (perCluster === 0 || perCluster & (perCluster - 1)) throw damaged(`clusters of ${perCluster} sectors`)
  if (fats === 0 || fats > 4) throw damaged(`${fats} allocation tables`)
  const reserved = raw.readUInt16LE(14)
  const fatSectors = raw.readUInt16LE(22) || raw.readUInt32LE(36)
  const sectors = raw.readUInt16LE(19) || raw.readUInt32LE(32)
  const rootSectors = Math.ceil((raw.readUInt16LE(17) * 32) / sector)
  const dataSector = reserved + fats * fatSectors + rootSectors
  const clusters = Math.floor((sectors - dataSector) / perCluster)
  const wide = raw.readUInt16LE(22) === 0
  const bits = wide ? 32 : clusters < 4085 ? 12 : 16
  if (reserved === 0 || fatSectors === 0 || clusters <= 0) throw damaged('its boot sector is impossible')
  if (sectors * sector > window.size)
    throw damaged(`it is larger (${sectors * sector} bytes) than its partition (${window.size})`)
  if (fatSectors * sector < ((clusters + 2) * bits) / 8) throw damaged('its allocation table is too short')
  return {
    bits,
    clusterSize: perCluster * sector,
    clusters,
    fatAt: reserved * sector,
    fatSize: fatSectors * sector,
    fats,
    rootAt: (reserved + fats * fatSectors) * sector,
    rootSize: rootSectors * sector,
    rootCluster: wide ? raw.readUInt32LE(44) : 0,
    dataAt: dataSector * sector,
  }
}
