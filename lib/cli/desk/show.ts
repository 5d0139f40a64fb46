/** What the desk's verbs tell: the image, what is mounted where, what was taken in. */
import type { Attachment } from '../../images/desk/attachment.ts'
import type { PartitionTable } from '../../images/partition-table.ts'
import { formatBytes } from '../format.ts'
import type { Session } from '../session.ts'
import type { DeskPlace } from './find.ts'

export function showImage(
  session: Session,
  { image }: DeskPlace,
  table: PartitionTable,
  made: 'made' | 'kept',
): void {
  const { size, partitions } = table
  const how = made === 'kept' ? ', was here already' : ''
  const text = `${image}: ${formatBytes(size)}, ${counted(partitions.length, 'partition')}${how}`
  session.emit({ type: 'answer', text, data: { image, size, partitions, made } })
}

export function showMounted(
  session: Session,
  { image }: DeskPlace,
  { attachment, table }: { attachment: Attachment; table: PartitionTable },
): void {
  const rows = attachment.parts.map(({ number, merged }) => {
    const found = table.partitions.find((partition) => partition.number === number)
    return [merged, found?.filesystem ?? '', formatBytes(found?.size ?? 0), found?.label ?? '']
  })
  const text = [
    `mounted ${image} by ${attachment.form === 'kernel' ? 'the kernel' : 'FUSE, without root'}:`,
    ...inColumns(rows).map((line) => `  ${line}`),
  ].join('\n')
  session.emit({ type: 'answer', text, data: { image, ...attachment } })
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Columns as wide as their widest cell, two spaces apart. */
export function inColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, index) => Math.max(all[index] ?? 0, cell.length)),
    [],
  )
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index]!))
      .join('  ')
      .trimEnd(),
  )
}
