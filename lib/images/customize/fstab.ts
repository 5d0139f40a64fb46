/** fstab(5): which partitions of the same disk an image mounts, and where. */
import type { PartitionInfo, PartitionTable } from '../partition-table.ts'

export interface FstabMount {
  partition: PartitionInfo
  /** As fstab says it, '/'-separated without a leading slash; '' is the root itself. */
  at: string
}

const maxLines = 1000

/** The mounts of the disk's own partitions, the outer before the inner. Lines about anything else are passed over. */
export function fstabMounts(text: string, table: PartitionTable): FstabMount[] {
  const mounts = new Map<string, FstabMount>()
  for (const line of text.split('\n').slice(0, maxLines)) {
    const [device, where, , choices = ''] = line.trim().split(/\s+/)
    if (!device || device.startsWith('#') || !where?.startsWith('/')) continue
    if (choices.split(',').includes('noauto')) continue
    const partition = partitionNamed(withBlanks(device), table)
    const parts = withBlanks(where).split('/')
    const at = parts.filter((part) => part !== '' && part !== '.').join('/')
    if (partition && !parts.includes('..')) mounts.set(at, { partition, at })
  }
  return [...mounts.values()].sort((a, b) => depth(a.at) - depth(b.at) || (a.at < b.at ? -1 : 1))
}

const depth = (path: string): number => (path === '' ? 0 : path.split('/').length)

/** Blanks are written in octal. */
function withBlanks(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** The disk of an image is the one it boots from, whatever it is called there. */
const numbered = /^\/dev\/(?:(?:sd|vd|xvd|hd)[a-z]+|(?:mmcblk|nvme\d+n|nbd|loop)\d+p)(\d+)$/

function partitionNamed(device: string, table: PartitionTable): PartitionInfo | undefined {
  const tag = /^(PARTUUID|UUID|LABEL|PARTLABEL)=(["']?)(.*)\2$/.exec(device)
  const link = /^\/dev\/disk\/by-(partuuid|uuid|label|partlabel)\/(.+)$/.exec(device)
  const kind = (tag?.[1] ?? link?.[1])?.toUpperCase()
  const value = tag?.[3] ?? link?.[2]
  const number = numbered.exec(device)?.[1]
  const same = (a: string | null | undefined): boolean =>
    a != null &&
    (a === value || (kind !== 'LABEL' && kind !== 'PARTLABEL' && a.toLowerCase() === value?.toLowerCase()))
  return table.partitions.find((partition) => {
    if (number !== undefined) return partition.number === Number(number)
    if (kind === 'PARTUUID') return same(partition.partuuid)
    if (kind === 'UUID') return same(partition.uuid)
    if (kind === 'LABEL') return same(partition.label)
    return kind === 'PARTLABEL' && same(partition.name)
  })
}
