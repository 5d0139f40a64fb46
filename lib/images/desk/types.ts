/** What laying out an overlay, taking a desk's changes in and telling of them have in common. */
import type { Run } from '../../engine/process.ts'
import type { Caller } from '../caller.ts'
import type { PartitionInfo } from '../partition-table.ts'
import type { AttachedPart } from './attachment.ts'

/** A desk, whatever is mounted in it. */
export interface Desk {
  /** The folder where the user works: `overlays/`, `.new_N` and `.desk/` are in it. */
  folder: string
  /** The stock image, raw. Only read. */
  disk: string
  run: Run
  /** What is made in `overlays/` and `.desk/` belongs to the user behind sudo. */
  caller: Caller | undefined
  /** Hears what is worth knowing. */
  note(line: string): void
  /** Hears what may be a mistake. */
  warn(line: string): void
  signal?: AbortSignal | undefined
}

/** How changes are kept in `.new_N`: of an AttachedPart, or of what is going to be attached. */
export type UpperForm = Pick<AttachedPart, 'whiteouts' | 'owners'>

/** One partition of a desk. */
export interface DeskPart {
  partition: PartitionInfo
  form: UpperForm
}

export interface TakenIn {
  /** Names in overlays/ that were written or removed, and lines of part_N.mtree. */
  written: number
  removed: number
  lines: number
  /** Bytes of the files that were written. */
  bytes: number
}

/** Counted in files: folders do not count. */
export interface PartChanges {
  number: number
  added: number
  changed: number
  removed: number
  /** Bytes that the changed files and the added ones have. */
  bytes: number
}

/** Paths below the desk's folder, sorted: what a clone of the repository would not have. */
export interface GitLacks {
  untracked: string[]
  modified: string[]
  deleted: string[]
  /** git's rules leave them out, and so does `overlay`. */
  ignored: string[]
}

export interface DeskChanges {
  parts: PartChanges[]
  /** Undefined: overlays/ is not under git. */
  git: GitLacks | undefined
}
