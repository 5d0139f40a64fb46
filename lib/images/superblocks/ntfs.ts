/** NTFS: the boot sector, and the volume's name in record 3 of the master file table. */
import type { ReadAt } from '../../formats/random-access.ts'
import type { Filesystem } from './filesystem.ts'
import { wideLabel } from './text.ts'

const volumeRecord = 3
const nameAttribute = 0x60
const endOfAttributes = 0xffff_ffff
const maxRecordSize = 64 * 1024

export async function probeNtfs(read: ReadAt): Promise<Filesystem | undefined> {
  const boot = await read(0, 512)
  if (boot.length < 512 || boot.toString('latin1', 3, 11) !== 'NTFS    ') return undefined
  const serial = boot.readBigUInt64LE(72)
  const uuid = serial === 0n ? null : serial.toString(16).padStart(16, '0').toUpperCase()
  return { filesystem: 'ntfs', label: await volumeName(read, boot), uuid }
}

async function volumeName(read: ReadAt, boot: Buffer): Promise<string | null> {
  const sectorSize = boot.readUInt16LE(11)
  const clusterSize = powerOrCount(boot[13]!, boot.readInt8(13), sectorSize, 128)
  // A negative size of a record is the power of two of its bytes.
  const perRecord = boot.readInt8(64)
  const recordSize = perRecord < 0 ? 2 ** -perRecord : perRecord * clusterSize
  const at = Number(boot.readBigUInt64LE(48)) * clusterSize + volumeRecord * recordSize
  if (recordSize < 64 || recordSize > maxRecordSize || !Number.isSafeInteger(at)) return null
  const record = await read(at, recordSize)
  if (record.length < recordSize || record.toString('latin1', 0, 4) !== 'FILE') return null
  let attribute = record.readUInt16LE(20)
  while (attribute + 24 <= recordSize) {
    const type = record.readUInt32LE(attribute)
    const length = record.readUInt32LE(attribute + 4)
    if (type === endOfAttributes || length < 24) return null
    if (type === nameAttribute) {
      const start = attribute + record.readUInt16LE(attribute + 20)
      return wideLabel(record.subarray(start, start + record.readUInt32LE(attribute + 16)))
    }
    attribute += length
  }
  return null
}

/** Clusters of more than 128 sectors are given as a negative power of two of sectors. */
function powerOrCount(unsigned: number, signed: number, unit: number, largest: number): number {
  return unit * (unsigned > largest ? 2 ** -signed : unsigned)
}
