/** `list` on a server's databases. */
import assert from 'node:assert/strict'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import * as v from 'valibot'
import { countGuess, suspicious } from '../../../../../lib/fleet/claim/guesses.ts'
import { fleetFolder } from '../../../../../lib/fleet/registry/paths.ts'
import { listReply } from '../../../../../lib/fleet/server/protocol.ts'
import { list } from '../../../../../lib/fleet/server/requests/list.ts'
import { revoke } from '../../../../../lib/fleet/server/requests/revoke.ts'
import { ManagedServer } from '../../../../helpers/managed-server.ts'
import { disk, lotName } from '../../../../helpers/registry.ts'

let server: ManagedServer
beforeEach(() => {
  server = new ManagedServer()
})
afterEach(() => server.remove())

describe('the reply of list', () => {
  const lies: [title: string, lie: object][] = [
    ['an option of ssh as the name of a host', { hostname: '-oKnownHostsCommand=x' }],
    ['the name of another device', { hostname: 'birds-2' }],
    ['lines of ssh_config', { fleet: 'birds\n', hostname: 'birds\n-1' }],
    ['a hardware id that steers a terminal', { hwid: '\x1b[2J' }],
    ['an address that is none', { claimed_from: '=1+1' }],
    ['a time that no calendar has', { generated: 1e300 }],
    ['a port that is none', { tunnel_port: 99999 }],
  ]
  for (const [title, lie] of lies) {
    test(`from a server taken over is refused: ${title}`, async () => {
      await server.allocate(1, 1)
      const { fleets, devices } = await server.listed()
      const told = v.safeParse(listReply, { fleets, devices: devices.map((one) => ({ ...one, ...lie })) })
      assert.equal(told.success, false)
    })
  }
})

describe('list', () => {
  test('tells the state, the port and who is connected, and no key or password', async () => {
    const otps = await server.allocate(3, 2)
    server.connect('birds-1', 20001, 77)
    writeFileSync(join(server.places.run, 'birds/.birds-2.last'), 'user pi\nip 192.0.2.9\nuntil 1800000050\n')
    const reply = await server.listed()
    assert.deepEqual(
      reply.devices.map(({ hostname, state, tunnel_port, online, user, seen }) => {
        return { hostname, state, tunnel_port, online, user, seen }
      }),
      [
        {
          hostname: 'birds-1',
          state: 'online',
          tunnel_port: 20001,
          online: { since: 1800000100, from: '192.0.2.9' },
          user: 'pi',
          seen: null,
        },
        {
          hostname: 'birds-2',
          state: 'claimed',
          tunnel_port: 20002,
          online: null,
          user: 'pi',
          seen: 1800000050,
        },
        {
          hostname: 'birds-3',
          state: 'unclaimed',
          tunnel_port: 20003,
          online: null,
          user: null,
          seen: null,
        },
      ],
    )
    assert.match(reply.fleets[0]!.login_key!, /^cert-authority,principals="fleetsie" ssh-ed25519 /)
    const text = JSON.stringify(reply.devices)
    for (const otp of otps.values()) assert.ok(!text.includes(otp))
    assert.doesNotMatch(text, /sha256:|ssh-ed25519/)
  })

  test('tells of a disk that sent many wrong passwords', async () => {
    await server.allocate(1, 0)
    assert.deepEqual((await server.listed()).fleets[0]!.guesses, [])
    for (let i = 0; i < suspicious; i++) {
      countGuess(fleetFolder(server.folder, 'birds'), lotName(1), server.time)
    }
    const guesses = [{ lot: lotName(1), wrong: suspicious, last: server.time }]
    assert.deepEqual((await server.listed()).fleets[0]!.guesses, guesses)
  })

  test('tells of each disk until when it can claim, and how much is left on it', async () => {
    await server.gen({ num: 3, disk: disk(1) })
    assert.match(server.claim(1, server.otps().get(1)!, { lot: lotName(1) }), /^Ok\n/)
    server.time += 1
    await server.gen({ num: 1, disk: disk(2, { expires: server.time + 100 }) })
    const otps = server.otps()
    const told = async () =>
      (await server.listed()).fleets[0]!.disks.map((one) => [
        one.lot,
        one.devices,
        one.unclaimed,
        one.expires,
      ])
    assert.deepEqual(await told(), [
      [lotName(1), 3, 2, null],
      [lotName(2), 1, 1, server.time + 100],
    ])
    // Main does not know it yet.
    assert.match(server.claim(2, otps.get(2)!, { lot: lotName(1) }), /^Ok\n/)
    assert.deepEqual((await told())[0], [lotName(1), 3, 1, null])
    await revoke(server, { do: 'revoke', fleet: 'birds', lot: lotName(2) })
    assert.equal((await server.listed()).fleets[0]!.disks[1]!.revoked, server.time)
    assert.doesNotMatch(JSON.stringify((await server.listed()).fleets[0]!.disks), /ssh-ed25519/)
  })

  test('refuses a fleet that is not there, and makes nothing of it', async () => {
    await server.allocate(1, 0)
    await assert.rejects(list(server, { do: 'list', fleet: 'bats' }, server.places), {
      code: 'E_INPUT',
      hint: /birds/,
    })
  })

  const lies: [title: string, lie: () => void][] = [
    [
      'whose session has ended without a trace',
      () => rmSync(join(server.places.proc, '77'), { recursive: true }),
    ],
    [
      'whose number another program has by now',
      () => writeFileSync(join(server.places.proc, '77/cmdline'), 'sh\0-c\0x\0'),
    ],
    [
      'whose link leads to the port of another device',
      () => {
        rmSync(join(server.places.run, 'birds/birds-1'))
        symlinkSync('20002', join(server.places.run, 'birds/birds-1'))
      },
    ],
    [
      'whose file is a link',
      () => {
        rmSync(join(server.places.run, 'birds/.birds-1'))
        symlinkSync('/etc/passwd', join(server.places.run, 'birds/.birds-1'))
      },
    ],
  ]
  for (const [title, lie] of lies) {
    test(`takes nobody for connected ${title}`, async () => {
      await server.allocate(2, 2)
      server.connect('birds-1', 20001, 77)
      assert.deepEqual(await server.states(), ['online', 'claimed'])
      lie()
      assert.deepEqual(await server.states(), ['claimed', 'claimed'])
    })
  }

  test('shows nothing of what the fleet account writes that is no address or name', async () => {
    await server.allocate(1, 1)
    server.connect('birds-1', 20001, 77, 'pid 77\nuser -oProxyCommand=x\nip \x1b[2J\nsince soon\n')
    const [device] = (await server.listed()).devices
    assert.deepEqual(
      [device!.state, device!.online, device!.user],
      ['online', { since: null, from: null }, null],
    )
  })

  test('takes no address from the fleet account that is none', async () => {
    await server.allocate(1, 1)
    server.connect('birds-1', 20001, 77, 'pid 77\nuser pi\nip 1:2\nsince 1800000100\n')
    assert.deepEqual((await server.listed()).devices[0]!.online, { since: 1800000100, from: null })
  })

  const rows: [title: string, sql: string][] = [
    ['a hardware id that steers a terminal', "hwid = char(27) || '[2J'"],
    ['a hardware id of megabytes', 'hwid = hex(zeroblob(1000000))'],
    ['a time that no calendar has', 'ts_generated = 1e300'],
    ['a time before all calendars', 'ts_generated = -1'],
    ['a port that is none', 'tunnel_port = 99999'],
    ['a port below all ports', 'tunnel_port = -1'],
    ['a device that was revoked in no year', "hwid = 'revoked:999999999999:x'"],
    ['a revoked device of two lines', "hwid = 'revoked:1:x' || char(10) || 'y'"],
  ]
  for (const [title, sql] of rows) {
    test(`tells of a Fleet file with ${title}`, async () => {
      await server.allocate(1, 0)
      const db = server.fleet()
      db.exec(`UPDATE devices SET ${sql}`)
      db.close()
      await assert.rejects(server.listed(), { code: 'E_DAMAGED', message: /row 1 of devices/ })
    })
  }
})
