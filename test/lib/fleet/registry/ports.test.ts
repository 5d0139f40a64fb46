/** As many devices as a server has ports. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { mainFile } from '../../../../lib/fleet/registry/paths.ts'
import { revoke } from '../../../../lib/fleet/server/requests/revoke.ts'
import { disk, RegistryServer } from '../../../helpers/registry.ts'

let server: RegistryServer
beforeEach(() => {
  server = new RegistryServer()
})
afterEach(() => server.remove())

test('ports after the highest come first, then those that were freed, and never too few', async () => {
  await server.gen({ num: 9_997 })
  await revoke(server, { do: 'revoke', fleet: 'birds', device: 5 })
  await revoke(server, { do: 'revoke', fleet: 'birds', device: 3 })
  const before = readFileSync(mainFile(server.folder))
  const refused = { code: 'E_INPUT', exitCode: 1, message: 'no more TCP ports left - quitting.' }
  await assert.rejects(server.gen({ num: 5 }), refused)
  await assert.rejects(server.gen({ num: 5, fleet: 'fish' }), refused)
  assert.deepEqual(readFileSync(mainFile(server.folder)), before)
  assert.equal(existsSync(join(server.folder, 'fleets/fish')), false)
  const { generated } = await server.gen({ num: 4 })
  assert.deepEqual(
    generated.map((row) => row.tunnel_port),
    [29_998, 29_999, 20_003, 20_005],
  )
  assert.deepEqual(
    generated.map((row) => row.id_in_fleet),
    [9_998, 9_999, 10_000, 10_001],
  )
})

test('all the devices of a server are allocated in ten seconds', async (t) => {
  const start = performance.now()
  const reply = await server.gen({ num: 9_999, disk: disk(1) })
  const seconds = (performance.now() - start) / 1000
  t.diagnostic(`9,999 devices in ${seconds.toFixed(2)} s`)
  assert.ok(seconds <= 10, `${seconds} s`)
  assert.equal(new Set(reply.disk?.devices.map(({ otp }) => otp)).size, 9_999)
  assert.deepEqual(server.faults(), [])
})
