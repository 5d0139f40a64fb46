/** Where the store is: $FLEETSIE_STORE, else `fleetsie` below the cache folder of the user, or of the user behind sudo. */
import { resolve } from 'node:path'
import { cacheFolder } from '../images/caller.ts'

export async function storeFolder(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  return env['FLEETSIE_STORE'] ? resolve(env['FLEETSIE_STORE']) : cacheFolder(env)
}
