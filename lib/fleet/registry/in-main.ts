/** Fleets that only Main knows: their folders are gone, for one because Main was put onto another machine. */
import { existsSync } from 'node:fs'
import { openFile } from './open.ts'
import { mainFile } from './paths.ts'
import { registryVersion } from './schema.ts'

/** Whether Main has devices of `fleet`. A Main of an older tool, or none, says no. */
export function isInMain(folder: string, fleet: string): boolean {
  const file = mainFile(folder)
  if (!existsSync(file)) return false
  const main = openFile(file)
  try {
    if (main.pragma('user_version') !== registryVersion) return false
    return main.get('SELECT 1 FROM devices WHERE fleet = ? LIMIT 1', fleet) !== undefined
  } finally {
    main.close()
  }
}
