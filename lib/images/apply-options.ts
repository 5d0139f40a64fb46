/** What applying layers to a partition takes. */
import type { Run } from '../engine/process.ts'
import type { EditablePartition } from './partition-edit.ts'

export interface ApplyOptions {
  run: Run
  /** A writable raw disk image. When this fails, it is ruined: throw it away. */
  disk: string
  partition: EditablePartition
  /** Layers (tar files), the lowest first. */
  layers: readonly string[]
  /** Seconds since 1970: every time that no layer says. */
  epoch: number
  /** An existing folder for contents on their way; nothing stays in it. */
  tmp: string
  signal?: AbortSignal
  /** The caller knows that this very filesystem passes its checker: it is not asked before the edit, only after. */
  checked?: boolean
  /** The caller asks `checkPartition` after the edit, and beside other work, before anybody relies on it. */
  checkLater?: boolean
}
