/** What the store's parts share. */
import type { Emit } from '../events.ts'
import type { Layout } from './layout.ts'
import type { Presence } from './presence.ts'
import type { Sql } from './sql.ts'
import type { Sqlite } from './sqlite.ts'

export interface Parts {
  readonly sqlite: Sqlite
  readonly layout: Layout
  readonly sql: Sql
  readonly presence: Presence
  readonly emit: Emit
  readonly readOnly: boolean
  /** Bytes that stay free; 0: any disk is roomy enough. */
  readonly minFree: number
}
