/** Layer sets: which layer files concern which partition. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { PartitionInfo, PartitionTable } from '../partitions.ts'

const layerName = /^part_([1-9]\d{0,2})\.tar$/

/** For each partition that changes, the layers in the order in which they apply. */
export async function layersByPartition(
  sets: readonly string[],
  table: PartitionTable,
): Promise<{ partition: PartitionInfo; layers: string[] }[]> {
  const byNumber = new Map<number, string[]>()
  for (const set of sets) {
    for (const name of (await readdir(set)).sort()) {
      const match = layerName.exec(name)
      if (!match) continue
      const number = Number(match[1])
      byNumber.set(number, [...(byNumber.get(number) ?? []), join(set, name)])
    }
  }
  return [...byNumber]
    .sort(([a], [b]) => a - b)
    .map(([number, layers]) => ({ partition: partitionOf(table, number), layers }))
}

function partitionOf(table: PartitionTable, number: number): PartitionInfo {
  const partition = table.partitions.find((candidate) => candidate.number === number)
  if (partition) return partition
  const numbers = table.partitions.map((candidate) => candidate.number).join(', ')
  throw new FleetsieError('E_INPUT', `a layer is for partition ${number}, which the image does not have`, {
    hint: `the image has ${numbers}; name the folder below overlays/ after one of these`,
  })
}
