/** The version of the store's layout and tables. */
import { FleetsieError } from '../../errors.ts'

/** Number in the file `version` and in the database: another number, another layout. */
export const storeVersion = 1

export function newerStore(file: string, version: number): FleetsieError {
  return new FleetsieError(
    'E_STORE',
    `the store is of version ${version}; this program knows ${storeVersion}`,
    {
      file,
      hint: 'use a newer fleetsie, or set FLEETSIE_STORE to another folder',
    },
  )
}
