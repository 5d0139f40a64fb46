/** `rotate` on a server's databases. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import * as v from 'valibot'
import { rotateReply } from '../../../../../lib/fleet/server/protocol.ts'
import { revoke } from '../../../../../lib/fleet/server/requests/revoke.ts'
import { rotate } from '../../../../../lib/fleet/server/requests/rotate.ts'
import { newKey } from '../../../../helpers/claims.ts'
import { ManagedServer } from '../../../../helpers/managed-server.ts'
import { disk, lotName } from '../../../../helpers/registry.ts'

let server: ManagedServer
beforeEach(() => {
  server = new ManagedServer()
})
afterEach(() => server.remove())

describe('rotate', () => {
  const step = async (what: 'add' | 'finish' | 'cancel', key: string, device = 1) =>
    v.parse(rotateReply, await rotate(server, { do: 'rotate', fleet: 'birds', device, step: what, key }))
  const keysOf = (name: string) => server.keys().filter((line) => line.endsWith(` ${name}`)).length

  test('has both keys accepted from add to finish, then the new one alone', async () => {
    await server.allocate(2, 2)
    const old = server.rows('fleet')[0]!.server_public_key
    const key = newKey()
    assert.deepEqual(await step('add', key), { hostname: 'birds-1', keys: 2 })
    assert.equal(keysOf('birds-1'), 2)
    // Whatever else changes the file meanwhile.
    await server.gen({ num: 1 })
    assert.equal(keysOf('birds-1'), 2)
    assert.deepEqual(await step('add', key), { hostname: 'birds-1', keys: 2 })
    assert.deepEqual(await step('finish', key), { hostname: 'birds-1', keys: 1 })
    assert.equal(keysOf('birds-1'), 1)
    assert.ok(!server.keys().some((line) => line.includes(old)))
    assert.deepEqual(server.faults(), [])
    assert.deepEqual(await step('finish', key), { hostname: 'birds-1', keys: 1 })
  })

  test('has the old key alone after cancel', async () => {
    await server.allocate(1, 1)
    const before = server.keys()
    const key = newKey()
    await step('add', key)
    await step('cancel', key)
    assert.deepEqual(server.keys(), before)
    await step('cancel', key)
    await assert.rejects(step('finish', key), { code: 'E_INPUT' })
  })

  test('keeps what an earlier change left behind until one ends well', async () => {
    await server.allocate(1, 1)
    const [left, key] = [newKey(), newKey()]
    await step('add', left)
    assert.equal((await step('add', key)).keys, 3)
    assert.equal((await step('finish', key)).keys, 1)
    assert.equal(keysOf('birds-1'), 1)
  })

  test('takes all keys of a device that is revoked in the middle', async () => {
    await server.allocate(1, 1)
    await step('add', newKey())
    await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
    assert.deepEqual(server.keys(), [])
    await assert.rejects(step('add', newKey()), { code: 'E_INPUT', message: /has claimed/ })
  })

  test('refuses the key of another device, of a disk, and a device that nobody has claimed', async () => {
    await server.gen({ num: 3, disk: disk(1) })
    const otps = server.otps()
    for (const n of [1, 2]) server.claim(n, otps.get(n)!, { lot: lotName(1) })
    const other = server.rows('fleet')[1]!.server_public_key
    await assert.rejects(step('add', other), { message: /another device/ })
    await assert.rejects(step('add', disk(1).key), { message: /another device or disk/ })
    await assert.rejects(step('add', newKey(), 3), { message: /has claimed/ })
    await assert.rejects(step('add', newKey(), 7), { message: /no device/ })
  })
})
