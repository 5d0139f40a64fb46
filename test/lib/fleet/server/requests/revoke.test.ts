/** `revoke` on a server's databases. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import * as v from 'valibot'
import { steps } from '../../../../../lib/fleet/registry/server.ts'
import { revokeReply } from '../../../../../lib/fleet/server/protocol.ts'
import { revoke } from '../../../../../lib/fleet/server/requests/revoke.ts'
import { newKey } from '../../../../helpers/claims.ts'
import { ManagedServer } from '../../../../helpers/managed-server.ts'
import { disk, lotName } from '../../../../helpers/registry.ts'

let server: ManagedServer
beforeEach(() => {
  server = new ManagedServer()
})
afterEach(() => server.remove())

describe('revoke', () => {
  test('takes port, line and session from a device, whose number stays taken', async () => {
    await server.allocate(2, 2)
    const before = server.rows('fleet')[0]!
    server.time += 60
    server.called.length = 0
    const reply = v.parse(revokeReply, await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 }))
    assert.deepEqual([reply.devices, reply.lots, reply.already], [['birds-1'], [], 0])
    const [row] = server.rows('fleet')
    assert.equal(row!.hwid, `revoked:${server.time}:${before.hwid}`)
    assert.equal(row!.tunnel_port, -row!.id)
    assert.deepEqual(server.faults(), [])
    assert.equal(server.keys().filter((line) => line.includes('birds-1')).length, 0)
    // Who is thrown out before its line is gone comes back.
    assert.ok(server.called.indexOf('end-session birds birds-1') > server.called.indexOf('write-keys birds'))
    const [device] = (await server.listed()).devices
    assert.deepEqual(
      [device!.state, device!.tunnel_port, device!.hwid, device!.revoked],
      ['revoked', null, before.hwid, server.time],
    )
    const { generated } = await server.gen({ num: 1 })
    assert.equal(generated[0]!.id_in_fleet, 3)
  })

  for (const [n, step] of steps.entries()) {
    // With authorized_keys in its place a device is revoked, before it is not.
    const isOut = n >= steps.indexOf('keys')
    test(`cut off after the step "${step}" leaves the device ${isOut ? 'out' : 'in'}, and the next verb ends it`, async () => {
      await server.gen({ num: 2 })
      const otp = server.otps().get(1)!
      const key = newKey()
      const claim = (): string => server.claim(1, otp, { key })
      assert.match(claim(), /^Ok\n/)
      server.connect('birds-1', 20001, 77)
      server.reached = (at) => {
        if (at === step) throw new Error('killed')
      }
      await assert.rejects(revoke(server, { do: 'revoke', fleet: 'birds', device: 1 }), /killed/)
      delete server.reached
      const lines = (): number => server.keys().filter((line) => line.endsWith(' birds-1')).length
      assert.equal(lines(), isOut ? 0 : 1)
      // The same answer again would bring the line back.
      if (isOut) assert.doesNotMatch(claim(), /^Ok/)
      else assert.match(claim(), /^Ok\n/)
      assert.equal(lines(), isOut ? 0 : 1)
      server.called.length = 0
      const [device] = (await server.listed()).devices
      const noted = n >= steps.indexOf('main')
      assert.equal(device!.state, noted ? 'revoked' : 'online')
      assert.equal(lines(), noted ? 0 : 1)
      assert.equal(server.called.includes('end-session birds birds-1'), noted)
      if (noted) assert.deepEqual(server.faults(), [])
      assert.equal(/^Ok/.test(claim()), !noted)
    })
  }

  test('does nothing more the second time, and ends what came back meanwhile', async () => {
    await server.allocate(1, 1)
    await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
    const before = server.rows('main')
    server.called.length = 0
    const reply = await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
    assert.deepEqual([reply.devices, reply.already], [[], 1])
    assert.deepEqual(server.rows('main'), before)
    assert.ok(server.called.includes('end-session birds birds-1'))
  })

  test('takes its password from a device that nobody has claimed', async () => {
    const otps = await server.allocate(2, 0)
    await revoke(server, { do: 'revoke', fleet: 'birds', device: 2 })
    assert.deepEqual([...server.otps().keys()], [1])
    assert.equal(server.claim(5, otps.get(2)!), 'Bad\n')
    assert.deepEqual(server.faults(), [])
  })

  test('answers Error to a revoked device that claims again, with its own password or another', async () => {
    const otps = await server.allocate(2, 1)
    await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
    assert.match(server.claim(1, otps.get(1)!), /^Error\n.*revoked/)
    assert.match(server.claim(1, otps.get(2)!), /^Error\n.*revoked/)
    assert.equal(server.claim(9, otps.get(1)!), 'Bad\n')
    assert.match(server.claim(9, otps.get(2)!), /^Ok\n/)
  })

  for (const [title, before] of [
    ['lets hardware in again whose card was written anew, by another password', false],
    ['does so for a device that was revoked before', true],
  ] as const) {
    test(title, async () => {
      const otps = await server.allocate(2, 1)
      if (before) await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
      await revoke(server, { do: 'revoke', fleet: 'birds', device: 1, readmit: true })
      assert.deepEqual(await server.states(), ['revoked', 'unclaimed'])
      assert.equal(server.claim(1, otps.get(1)!), 'Bad\n')
      assert.match(server.claim(1, otps.get(2)!), /^Ok\n/)
      assert.deepEqual(await server.states(), ['revoked', 'claimed'])
      await server.gen({ num: 0 })
      assert.deepEqual(server.faults(), [])
    })
  }

  test('lets in again the hardware of one device only', async () => {
    await server.allocate(2, 1)
    const all = { do: 'revoke', fleet: 'birds', readmit: true } as const
    await assert.rejects(revoke(server, all), /one device/)
    assert.deepEqual(await server.states(), ['claimed', 'unclaimed'])
  })

  test('of a lost disk takes its key and its passwords, and leaves the devices that claimed with it', async () => {
    const given = await server.gen({ num: 3, disk: disk(1) })
    const otps = new Map(given.disk!.devices.map(({ id_in_fleet: id, otp }) => [id, otp]))
    assert.match(server.claim(1, otps.get(1)!, { lot: lotName(1) }), /^Ok\n/)
    const reply = await revoke(server, { do: 'revoke', fleet: 'birds', lot: lotName(1) })
    assert.deepEqual([reply.devices, reply.lots], [[], [lotName(1)]])
    assert.deepEqual(await server.states(), ['claimed', 'unclaimed', 'unclaimed'])
    assert.equal(server.keys().filter((line) => line.includes('fleetsie_auth')).length, 0)
    assert.equal(server.keys().filter((line) => line.includes('birds-1')).length, 1)
    assert.match(server.claim(2, otps.get(2)!, { lot: lotName(1) }), /^Error\n.*revoked/)
    assert.equal(server.called.at(-1), `end-session birds ${lotName(1)}`)
    // Not with the key of another disk either.
    assert.equal(server.claim(2, otps.get(2)!), 'Bad\n')
    assert.deepEqual(server.faults(), [])
  })

  test('of a disk leaves the passwords that another live disk holds', async () => {
    await server.gen({ num: 2, disk: disk(1) })
    const { disk: second } = await server.gen({ num: 0, disk: disk(2) })
    await revoke(server, { do: 'revoke', fleet: 'birds', lot: lotName(1) })
    const [first] = second!.devices
    assert.match(server.claim(1, first!.otp, { lot: lotName(2) }), /^Ok\n/)
  })

  test('of a fleet takes all devices and all disks, and ends all its sessions', async () => {
    await server.gen({ num: 3, disk: disk(1) })
    const otps = server.otps()
    for (const n of [1, 2]) assert.match(server.claim(n, otps.get(n)!, { lot: lotName(1) }), /^Ok\n/)
    server.called.length = 0
    const reply = await revoke(server, { do: 'revoke', fleet: 'birds' })
    assert.deepEqual([reply.devices.length, reply.lots.length], [3, 1])
    assert.deepEqual(await server.states(), ['revoked', 'revoked', 'revoked'])
    assert.deepEqual(server.keys(), [])
    assert.deepEqual(
      server.called.filter((call) => call.startsWith('end-session')),
      ['end-session birds *'],
    )
    const again = await revoke(server, { do: 'revoke', fleet: 'birds' })
    assert.deepEqual([again.devices, again.lots, again.already], [[], [], 4])
  })

  for (const [what, wish] of [
    ['a fleet', { fleet: 'bats' }],
    ['a device', { fleet: 'birds', device: 9 }],
    ['a disk', { fleet: 'birds', lot: lotName(9) }],
  ] as const) {
    test(`refuses ${what} that is not there before anything is made`, async () => {
      await server.allocate(1, 0)
      server.called.length = 0
      await assert.rejects(revoke(server, { do: 'revoke', ...wish }), { code: 'E_INPUT' })
      assert.deepEqual(server.called, [])
    })
  }
})
