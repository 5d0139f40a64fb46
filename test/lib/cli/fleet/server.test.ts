import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { logIn, withSrv } from '../../../../lib/cli/fleet/server.ts'
import type { BuildEvent } from '../../../../lib/engine/events.ts'
import { FleetsieError } from '../../../../lib/errors.ts'
import { needs } from '../../../helpers/needs.ts'

test('who is not let in as fleetsie is told of srv', () => {
  const refused = new FleetsieError('E_RIGHTS', 'not let in', { hint: 'load the right key' })
  const told = withSrv(refused, 'fleetsie@[2001:db8::1]:2222') as FleetsieError
  assert.deepEqual([told.code, told.message], ['E_RIGHTS', 'not let in'])
  assert.match(told.hint!, /^`fleetsie srv USER@\[2001:db8::1\]:2222` sets .*; or load the right key$/)
})

test('another failure of a connection stays as it is', () => {
  const lost = new FleetsieError('E_IO', 'refused')
  assert.equal(withSrv(lost, 'fleetsie@host'), lost)
})

test('who waits for a server that says nothing is told so', { skip: needs('ssh') }, async (t) => {
  const silent = createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const home = mkdtempSync(join(tmpdir(), 'fleetsie-test-login-'))
  t.after(() => {
    silent.close()
    rmSync(home, { recursive: true })
  })
  const to = `fleetsie@127.0.0.1:${(silent.address() as AddressInfo).port}`
  const controller = new AbortController()
  const told: BuildEvent[] = []
  const emit = (event: BuildEvent): void => {
    told.push(event)
    controller.abort(new FleetsieError('E_INTERRUPTED', 'enough'))
  }
  await assert.rejects(logIn({ signal: controller.signal, emit }, to, { ...process.env, HOME: home }))
  assert.deepEqual(told, [{ type: 'warning', message: `${to} has not answered yet` }])
})
