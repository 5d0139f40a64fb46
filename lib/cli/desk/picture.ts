/** The desk in a few lines, for `status`. */
import type { Attachment } from '../../images/desk/attachment.ts'
import type { DeskChanges, GitLacks, PartChanges } from '../../images/desk/types.ts'
import type { PartitionTable } from '../../images/partition-table.ts'
import { formatBytes, formatDuration } from '../format.ts'
import type { ImageSource } from './record.ts'
import { inColumns } from './show.ts'

export interface Picture {
  image: string
  table: PartitionTable
  from: ImageSource | undefined
  mounted: Attachment['form'] | undefined
  changes: DeskChanges
  /** Latest first. `current`: it has all changes. */
  saved: { path: string; at: number; current: boolean }[]
}

const namesShown = 5
const savesShown = 3

/** `now` in milliseconds since 1970. */
export function pictureOf(picture: Picture, now: number): string {
  const { image, table, from, mounted, changes, saved } = picture
  const how = { kernel: 'mounted', fuse: 'mounted without root' }
  const lines = [
    `${image}  ${formatBytes(table.size)}, ${mounted ? how[mounted] : 'not mounted'}`,
    ...(from ? [`  made of ${from.type === 'url' ? from.url : from.path}`] : []),
    '',
    ...inColumns(table.partitions.map((partition) => partRow(partition, changes.parts))).map(
      (row) => `  ${row}`,
    ),
    '',
    ...gitLines(changes.git),
    ...savedLines(saved, now),
  ]
  return lines.join('\n')
}

function partRow(
  { number, filesystem, label, size }: PartitionTable['partitions'][number],
  parts: readonly PartChanges[],
): string[] {
  const found = parts.find((part) => part.number === number)
  const told = found ? differences(found) : 'cannot be mounted'
  return [`part_${number}`, label ?? '', filesystem ?? 'unknown', formatBytes(size), told]
}

function differences({ added, changed, removed, bytes }: PartChanges): string {
  if (added + changed + removed === 0) return 'as in the stock image'
  const parts = [
    added > 0 && `${added} added`,
    changed > 0 && `${changed} changed`,
    removed > 0 && `${removed} removed`,
  ]
  return `${parts.filter((part) => part !== false).join(', ')}  ${formatBytes(bytes)}`
}

function gitLines(git: GitLacks | undefined): string[] {
  if (git === undefined) return ['overlays/ is not under git']
  const rows = [
    ...git.untracked.map((path) => ['new', path]),
    ...git.modified.map((path) => ['edited', path]),
    ...git.deleted.map((path) => ['gone', path]),
  ]
  const lines =
    rows.length === 0
      ? ['git has all of it']
      : [
          'git does not have yet; commit it in overlays/:',
          ...inColumns(rows.slice(0, namesShown)).map((row) => `  ${row}`),
        ]
  if (rows.length > namesShown) lines.push(`  and ${rows.length - namesShown} more`)
  if (git.ignored.length > 0) {
    const names = git.ignored.slice(0, namesShown).join(', ')
    const more = git.ignored.length > namesShown ? ` and ${git.ignored.length - namesShown} more` : ''
    lines.push(`git ignores, and no image will have: ${names}${more}`)
  }
  return lines
}

function savedLines(saved: Picture['saved'], now: number): string[] {
  if (saved.length === 0) return ['never saved: fleetsie_mod save']
  return saved.slice(0, savesShown).map(({ path, at, current }) => {
    const age = formatDuration(Math.max(0, now - at))
    return `${path} was saved ${age} ago${current ? ' and has all changes' : ', before the last change'}`
  })
}
