/** `gen` killed at each of its steps and at any moment: the next run makes everything right. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { steps } from '../../lib/fleet/registry/server.ts'
import { needs } from '../helpers/needs.ts'
import { Random } from '../helpers/random.ts'
import { disk, ended, genProcess, genRequest, lotName, RegistryServer } from '../helpers/registry.ts'

let server: RegistryServer
beforeEach(() => {
  server = new RegistryServer()
})
afterEach(() => server.remove())

const skip = needs('sqlite3')

for (const step of steps) {
  test(`killed after the step "${step}", the same call again ends what it began`, { skip }, async () => {
    const before = await server.gen({ num: 3, disk: disk(1) })
    assert.match(server.claim(1, before.disk!.devices[0]!.otp, { lot: lotName(1) }), /^Ok\n/)
    const call = genRequest({ num: 4, disk: disk(2) })
    const { end, stderr } = await ended(genProcess(server.folder, call, step))
    assert.equal(end, 'SIGKILL', stderr)
    // A device does not wait until the server is repaired.
    assert.match(server.claim(2, before.disk!.devices[1]!.otp, { lot: lotName(1) }), /^Ok\n/)
    const reply = await server.gen(call)
    assert.deepEqual(
      reply.generated.map((row) => row.id_in_fleet),
      [4, 5, 6, 7],
    )
    assert.equal(reply.disk?.devices.length, 4)
    assert.deepEqual(server.faults(), [])
    const kept = server.otps()
    assert.equal(kept.get(3), before.disk!.devices[2]!.otp, 'a password that was on a disk stays')
    const last = reply.disk!.devices.at(-1)!
    assert.match(server.claim(9, last.otp, { lot: lotName(2) }), /^Ok\n/)
  })

  test(`killed after the step "${step}" of a fleet's first call, another call goes on`, {
    skip,
  }, async () => {
    const { end } = await ended(genProcess(server.folder, genRequest({ num: 2 }), step))
    assert.equal(end, 'SIGKILL')
    const reply = await server.gen({ num: 1, disk: disk(1) })
    const [first] = reply.generated
    // What the killed call allocated is there, or it has not allocated.
    assert.equal(reply.unclaimed, first?.id_in_fleet)
    assert.equal(first?.tunnel_port, 20_000 + reply.unclaimed)
    assert.equal(reply.disk?.devices.length, reply.unclaimed)
    assert.deepEqual(server.faults(), [])
  })
}

test('killed at any moment, again and again', { skip }, async (t) => {
  const random = new Random('any moment')
  let device = 0
  let expected = 0
  let killed = 0
  for (let round = 0; round < 8; round += 1) {
    const call = genRequest({ num: 25, disk: disk(round) })
    const child = genProcess(server.folder, call)
    // From its first step on: before that it only loads itself.
    const turns = random.int(0, 4_000)
    child.once('message', async () => {
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      child.kill('SIGKILL')
    })
    if ((await ended(child)).end === 'SIGKILL') killed += 1
    const reply = await server.gen(call)
    expected += 25
    assert.equal(reply.generated.length, 25)
    assert.equal(server.rows('main').length, expected)
    assert.deepEqual(server.faults(), [])
    device += 1
    const lot = lotName(round)
    assert.match(server.claim(device, reply.disk!.devices[0]!.otp, { lot }), /^Ok\n/)
  }
  t.diagnostic(`${killed} of 8 were killed in the middle`)
  assert.ok(killed > 0)
})
