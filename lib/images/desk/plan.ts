/** What is to be mounted of an image: which partitions, where, and by which means. */
import { isExtendedType } from '../../formats/mbr.ts'
import type { PartitionInfo, PartitionTable } from '../partition-table.ts'
import type { AttachedPart, Attachment, DeskMount } from './attachment.ts'
import { keepsOwners } from './form.ts'
import { mergedPlace, originalPlace, upperPlace } from './places.ts'

export interface Plan {
  attachment: Attachment
  /** In the order in which they are to be made. */
  mounts: DeskMount[]
  /** The partitions of `attachment`. */
  partitions: PartitionInfo[]
}

/** Partitions that cannot be edited are left out; `warn` says which and why. */
export function planMounts(
  table: PartitionTable,
  form: Attachment['form'],
  warn: (line: string) => void,
): Plan {
  // An extended partition only holds others: nobody misses it.
  const volumes = table.partitions.filter(({ type }) => !isExtendedType(Number.parseInt(type, 16)))
  const partitions = volumes.filter((partition) => {
    const why = whyNot(partition)
    if (why !== undefined) warn(`partition ${partition.number} is left out: ${why}`)
    return why === undefined
  })
  const owners = keepsOwners(form)
  const parts = partitions.map(
    ({ number, filesystem }): AttachedPart => ({
      number,
      filesystem: filesystem!,
      original: originalPlace(number),
      upper: upperPlace(number),
      merged: mergedPlace(number),
      whiteouts: form === 'kernel' ? 'device' : 'file',
      owners,
    }),
  )
  const mounts = partitions.flatMap((partition): DeskMount[] => [
    originalMount(partition, form),
    { target: mergedPlace(partition.number), kind: form === 'kernel' ? 'overlay' : 'fuse-overlayfs' },
  ])
  return { attachment: { form, parts }, mounts, partitions }
}

// overlayfs refuses a FAT filesystem below it, for its names have no case: a copy is what both forms can take.
function originalMount(partition: PartitionInfo, form: Attachment['form']): DeskMount {
  const target = originalPlace(partition.number)
  if (partition.filesystem === 'vfat') return { target, kind: form === 'kernel' ? 'bind' : 'fuse-overlayfs' }
  const { offset, size } = partition
  return { target, kind: form === 'kernel' ? 'loop' : 'fuse2fs', offset, size }
}

function whyNot({ filesystem, type, size }: PartitionInfo): string | undefined {
  switch (filesystem) {
    case 'ext2':
    case 'ext3':
    case 'ext4':
    case 'vfat':
      return undefined
    case null:
      return `no filesystem that is known (type ${type}, ${size} bytes)`
    case 'swap':
      return 'it is swap space'
    default:
      return `${filesystem} cannot be edited here; ext2, ext3, ext4 and FAT can`
  }
}
