import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withSrv } from '../../../../lib/cli/fleet/server.ts'
import { FleetsieError } from '../../../../lib/errors.ts'

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
