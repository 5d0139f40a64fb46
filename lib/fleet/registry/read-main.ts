/** Reading Main beside a change: nothing is made where there is none, and an older one is for `gen` to take over. */
import { existsSync } from 'node:fs'
import type { FleetDatabase } from './database.ts'
import { openFile } from './open.ts'
import { mainFile } from './paths.ts'
import { registryVersion } from './schema.ts'

/** What `read` answers; undefined where there is no Main of this version. */
export function readMain<T>(folder: string, read: (main: FleetDatabase) => T): T | undefined {
  const file = mainFile(folder)
  if (!existsSync(file)) return undefined
  const main = openFile(file)
  try {
    return main.pragma('user_version') === registryVersion ? read(main) : undefined
  } finally {
    main.close()
  }
}

/** Whether Main has devices of `fleet`, whose folder may be gone: Main was put onto another machine, for one. */
export function isInMain(folder: string, fleet: string): boolean {
  const sql = 'SELECT 1 FROM devices WHERE fleet = ? LIMIT 1'
  return readMain(folder, (main) => main.get(sql, fleet)) !== undefined
}
