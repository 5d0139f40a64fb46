/** `setup`: the Main database is there, and this program can use it. `srv` asks for it. */
import { existsSync } from 'node:fs'
import { FleetsieError } from '../../../errors.ts'
import { openFile, openMain } from '../../registry/open.ts'
import { mainFile } from '../../registry/paths.ts'
import { registryVersion } from '../../registry/schema.ts'
import type { Server } from '../../registry/server.ts'
import type { SetupReply } from '../protocol.ts'

/**
 * Makes an empty database where none is. One of the older tool is left as it is: its one-time passwords are in clear, and
 * whoever takes it over has to know where to put them (`gen`). Fails with E_UNSUPPORTED for one of a later version.
 */
export function setup({ folder }: Pick<Server, 'folder'>): SetupReply {
  const file = mainFile(folder)
  if (!existsSync(file) || isEmpty(file)) openMain(folder).db.close()
  return { version: registryVersion }
}

function isEmpty(file: string): boolean {
  const db = openFile(file)
  try {
    const version = Number(db.pragma('user_version'))
    if (version > registryVersion) {
      throw new FleetsieError('E_UNSUPPORTED', `this is a database of a later fleetsie (${version})`, {
        file,
        hint: 'use that version, or a later one',
      })
    }
    return db.all("SELECT name FROM sqlite_schema WHERE type = 'table'").length === 0
  } finally {
    db.close()
  }
}
