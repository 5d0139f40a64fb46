import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSqlite } from '../../../lib/engine/store/sqlite.ts'
import { checkout } from '../../helpers/npm-project.ts'
import { openStore, publish } from '../../helpers/store.ts'

test('store verify says of a damaged database that --repair does not mend it', async (t) => {
  const { store } = await openStore(t)
  await publish(store, 'a', { files: { x: '1' } })
  const database = new (loadSqlite())(join(store.folder, 'db.sqlite'))
  database.pragma('foreign_keys = OFF')
  database.exec("INSERT INTO refs VALUES ('none', 'none')")
  database.close()
  const bin = join(checkout, 'lib/cli/bin.ts')
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', bin, 'store', 'verify', '--repair'],
    { cwd: checkout, encoding: 'utf8', env: { ...process.env, FLEETSIE_STORE: store.folder } },
  )
  assert.notEqual(status, 0)
  assert.match(stdout, /a row of refs names a row of objects that is not there/)
  assert.match(stderr, /the store is damaged\n {2}try: move db\.sqlite, .* out of the store/)
})
