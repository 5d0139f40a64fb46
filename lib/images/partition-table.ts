/** table.json, the object that `mount` makes: the partitions of an image. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { FleetsieError } from '../errors.ts'

const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const partitionInfo = v.strictObject({
  /** As the kernel numbers it: part_N is the layer for partition N. */
  number: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** Bytes from the start of the disk. */
  offset: bytes,
  size: bytes,
  /** Two hex digits for MBR, a GUID in lower case for GPT. */
  type: v.string(),
  /** The MBR's active flag, or GPT's 'legacy BIOS bootable'. */
  bootable: v.boolean(),
  /** Only for GPT. */
  name: v.exactOptional(v.string()),
  partuuid: v.string(),
  /** blkid's name for it; null: none that is known. */
  filesystem: v.nullable(v.string()),
  /** Only for vfat: the width of its table's entries. */
  fatBits: v.exactOptional(v.picklist([12, 16, 32])),
  label: v.nullable(v.string()),
  uuid: v.nullable(v.string()),
})

const partitionTable = v.strictObject({
  format: v.literal(1),
  table: v.picklist(['mbr', 'gpt']),
  sectorSize: v.literal(512),
  /** The disk signature in eight hex digits, or the disk's GUID in lower case: blkid's PTUUID. */
  diskId: v.string(),
  /** Of the whole disk. */
  size: bytes,
  partitions: v.array(partitionInfo),
})

export type PartitionInfo = v.InferOutput<typeof partitionInfo>
export type PartitionTable = v.InferOutput<typeof partitionTable>

const tableName = 'table.json'

/** Writes the table into the folder `folder`. Equal tables give equal bytes. */
export async function writeTable(folder: string, table: PartitionTable): Promise<void> {
  await writeFile(join(folder, tableName), `${JSON.stringify(table, null, 2)}\n`)
}

/**
 * Reads the table that `mount` left in `folder`.
 * @throws E_INPUT when the folder holds none, E_STORE when it is damaged
 */
export async function readTable(folder: string): Promise<PartitionTable> {
  const file = join(folder, tableName)
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause
    throw new FleetsieError('E_INPUT', 'here the result of `mount` is needed, and this is none', {
      file: folder,
      cause,
    })
  })
  const result = v.safeParse(partitionTable, parse(text, file), { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  throw new FleetsieError('E_STORE', `${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}`, { file })
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new FleetsieError('E_STORE', (cause as Error).message, { file, cause })
  }
}
