/** Finds the partition that holds the operating system of a recipe. */
import { FleetsieError } from '../../errors.ts'
import { ExtReader } from '../ext/reader.ts'
import type { PartitionInfo, PartitionTable } from '../partitions.ts'
import { withWindow } from '../window.ts'
import { identify } from './identity.ts'
import type { Recipe, SystemIdentity } from './recipe.ts'
import { recipes } from './recipes.ts'

/**
 * The partition that `recipe` is for. `wanted`: only this number may be it.
 * Fails with E_INPUT, naming what was found and the option to set.
 */
export async function findRoot(
  disk: string,
  table: PartitionTable,
  recipe: Recipe,
  wanted?: number,
): Promise<PartitionInfo> {
  const found: { partition: PartitionInfo; identity: SystemIdentity }[] = []
  for (const partition of table.partitions) {
    if (!partition.filesystem?.startsWith('ext')) continue
    if (wanted !== undefined && partition.number !== wanted) continue
    const identity = await withWindow(disk, partition, 'r', (window) => identify(new ExtReader(window)))
    if (identity) found.push({ partition, identity })
  }
  const matching = found.filter(({ identity }) => recipe.matches(identity))
  const [first, second] = matching
  if (first && second) {
    const numbers = matching.map(({ partition }) => partition.number).join(' and ')
    throw new FleetsieError('E_INPUT', `partitions ${numbers} both hold ${recipe.os}`, {
      hint: `say which one to install into, for example \`partition: ${first.partition.number}\``,
    })
  }
  if (first) return first.partition
  throw notThere(table, recipe, found, wanted)
}

function notThere(
  table: PartitionTable,
  recipe: Recipe,
  found: readonly { partition: PartitionInfo; identity: SystemIdentity }[],
  wanted: number | undefined,
): FleetsieError {
  const other = found[0]
  if (other) {
    const { identity, partition } = other
    const fitting = recipes.find((candidate) => candidate.matches(identity))
    return new FleetsieError(
      'E_INPUT',
      `this image is not ${recipe.os}: partition ${partition.number} holds ${identity.name || 'an unnamed system'}`,
      {
        hint: fitting
          ? `set \`os: '${fitting.os}'\`, or at the desk: fleetsie_mod install ${fitting.os}`
          : `\`install\` knows ${recipes.map((known) => known.os).join(', ')}; another image is needed`,
      },
    )
  }
  const kinds = table.partitions.map((each) => `${each.number}: ${each.filesystem ?? 'unknown'}`).join(', ')
  const where = wanted === undefined ? 'no partition' : `partition ${wanted} is not one that`
  return new FleetsieError(
    'E_INPUT',
    `${where} holds an os-release on ext2, ext3 or ext4 (${kinds || 'no partitions'})`,
    {
      hint: 'give an image whose root filesystem is ext2, ext3 or ext4',
    },
  )
}
