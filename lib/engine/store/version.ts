/** The version of the store's layout and tables. */
import { FleetsieError } from '../../errors.ts'

/** Number in the file `version`: another number, another layout of folders. */
export const storeVersion = 1
/** Number in the database. 2 added the table `builds`. */
export const databaseVersion = 2

export function newerStore(file: string, version: number, known: number): FleetsieError {
  return new FleetsieError('E_STORE', `the store is of version ${version}; this program knows ${known}`, {
    file,
    hint: 'use a newer fleetsie, or set FLEETSIE_STORE to another folder',
  })
}
