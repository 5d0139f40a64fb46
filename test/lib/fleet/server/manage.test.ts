/** list, revoke and rotate on a server's databases. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import * as v from 'valibot'
import { countGuess, suspicious } from '../../../../lib/fleet/claim/guesses.ts'
import { fleetFolder } from '../../../../lib/fleet/registry/paths.ts'
import { steps } from '../../../../lib/fleet/registry/server.ts'
import { listReply, revokeReply, rotateReply } from '../../../../lib/fleet/server/protocol.ts'
import { list } from '../../../../lib/fleet/server/requests/list.ts'
import { revoke } from '../../../../lib/fleet/server/requests/revoke.ts'
import { rotate } from '../../../../lib/fleet/server/requests/rotate.ts'
import { newKey } from '../../../helpers/claims.ts'
import { disk, lotName, RegistryServer } from '../../../helpers/registry.ts'

let server: RegistryServer
let run: string
beforeEach(() => {
  server = new RegistryServer()
  run = mkdtempSync(join(tmpdir(), 'fleetsie-presence-'))
  for (const name of ['dev/birds', 'proc']) mkdirSync(join(run, name), { recursive: true })
})
afterEach(() => {
  server.remove()
  rmSync(run, { recursive: true, force: true })
})

const places = () => ({ run: join(run, 'dev'), proc: join(run, 'proc') })
const listed = async (wish: { device?: number } = {}) =>
  v.parse(listReply, await list(server, { do: 'list', fleet: 'birds', ...wish }, places()))
const states = async () => (await listed()).devices.map(({ state }) => state)

async function fleet(num: number, claimed: number): Promise<Map<number, string>> {
  await server.gen({ num })
  const otps = server.otps()
  for (let n = 1; n <= claimed; n++) assert.match(server.claim(n, otps.get(n)!), /^Ok\n/)
  return otps
}

/** What fleetsie_login leaves while it runs. */
function connect(name: string, port: number, pid: number, lines = ''): void {
  const folder = join(run, 'dev/birds')
  symlinkSync(String(port), join(folder, name))
  writeFileSync(join(folder, `.${name}`), lines || `pid ${pid}\nuser pi\nip 192.0.2.9\nsince 1800000100\n`)
  mkdirSync(join(run, 'proc', String(pid)), { recursive: true })
  const command = ['/bin/sh', '/home/fleetsie/fleetsie_login', 'birds', name, String(port), '']
  writeFileSync(join(run, 'proc', String(pid), 'cmdline'), command.join('\0'))
}

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
      await fleet(1, 1)
      const { fleets, devices } = await listed()
      const told = v.safeParse(listReply, { fleets, devices: devices.map((one) => ({ ...one, ...lie })) })
      assert.equal(told.success, false)
    })
  }
})

describe('list', () => {
  test('tells the state, the port and who is connected, and no key or password', async () => {
    const otps = await fleet(3, 2)
    connect('birds-1', 20001, 77)
    writeFileSync(join(run, 'dev/birds/.birds-2.last'), 'user pi\nip 192.0.2.9\nuntil 1800000050\n')
    const reply = await listed()
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
    await fleet(1, 0)
    assert.deepEqual((await listed()).fleets[0]!.guesses, [])
    for (let i = 0; i < suspicious; i++) {
      countGuess(fleetFolder(server.folder, 'birds'), lotName(1), server.time)
    }
    const guesses = [{ lot: lotName(1), wrong: suspicious, last: server.time }]
    assert.deepEqual((await listed()).fleets[0]!.guesses, guesses)
  })

  test('refuses a fleet that is not there, and makes nothing of it', async () => {
    await fleet(1, 0)
    await assert.rejects(list(server, { do: 'list', fleet: 'bats' }, places()), {
      code: 'E_INPUT',
      hint: /birds/,
    })
  })

  const lies: [title: string, lie: () => void][] = [
    ['whose session has ended without a trace', () => rmSync(join(run, 'proc/77'), { recursive: true })],
    [
      'whose number another program has by now',
      () => writeFileSync(join(run, 'proc/77/cmdline'), 'sh\0-c\0x\0'),
    ],
    [
      'whose link leads to the port of another device',
      () => {
        rmSync(join(run, 'dev/birds/birds-1'))
        symlinkSync('20002', join(run, 'dev/birds/birds-1'))
      },
    ],
    [
      'whose file is a link',
      () => {
        rmSync(join(run, 'dev/birds/.birds-1'))
        symlinkSync('/etc/passwd', join(run, 'dev/birds/.birds-1'))
      },
    ],
  ]
  for (const [title, lie] of lies) {
    test(`takes nobody for connected ${title}`, async () => {
      await fleet(2, 2)
      connect('birds-1', 20001, 77)
      assert.deepEqual(await states(), ['online', 'claimed'])
      lie()
      assert.deepEqual(await states(), ['claimed', 'claimed'])
    })
  }

  test('shows nothing of what the fleet account writes that is no address or name', async () => {
    await fleet(1, 1)
    connect('birds-1', 20001, 77, 'pid 77\nuser -oProxyCommand=x\nip \x1b[2J\nsince soon\n')
    const [device] = (await listed()).devices
    assert.deepEqual(
      [device!.state, device!.online, device!.user],
      ['online', { since: null, from: null }, null],
    )
  })

  test('takes no address from the fleet account that is none', async () => {
    await fleet(1, 1)
    connect('birds-1', 20001, 77, 'pid 77\nuser pi\nip 1:2\nsince 1800000100\n')
    assert.deepEqual((await listed()).devices[0]!.online, { since: 1800000100, from: null })
  })

  const rows: [title: string, sql: string][] = [
    ['a hardware id that steers a terminal', "hwid = char(27) || '[2J'"],
    ['a hardware id of megabytes', 'hwid = hex(zeroblob(1000000))'],
    ['a time that no calendar has', 'ts_generated = 1e300'],
    ['a port that is none', 'tunnel_port = 99999'],
  ]
  for (const [title, sql] of rows) {
    test(`tells of a Fleet file with ${title}`, async () => {
      await fleet(1, 0)
      const db = server.fleet()
      db.exec(`UPDATE devices SET ${sql}`)
      db.close()
      await assert.rejects(listed(), { code: 'E_DAMAGED', message: /row 1 of devices/ })
    })
  }
})

describe('revoke', () => {
  test('takes port, line and session from a device, whose number stays taken', async () => {
    await fleet(2, 2)
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
    const [device] = (await listed()).devices
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
      connect('birds-1', 20001, 77)
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
      const [device] = (await listed()).devices
      const noted = n >= steps.indexOf('main')
      assert.equal(device!.state, noted ? 'revoked' : 'online')
      assert.equal(lines(), noted ? 0 : 1)
      assert.equal(server.called.includes('end-session birds birds-1'), noted)
      if (noted) assert.deepEqual(server.faults(), [])
      assert.equal(/^Ok/.test(claim()), !noted)
    })
  }

  test('does nothing more the second time, and ends what came back meanwhile', async () => {
    await fleet(1, 1)
    await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
    const before = server.rows('main')
    server.called.length = 0
    const reply = await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
    assert.deepEqual([reply.devices, reply.already], [[], 1])
    assert.deepEqual(server.rows('main'), before)
    assert.ok(server.called.includes('end-session birds birds-1'))
  })

  test('takes its password from a device that nobody has claimed', async () => {
    const otps = await fleet(2, 0)
    await revoke(server, { do: 'revoke', fleet: 'birds', device: 2 })
    assert.deepEqual([...server.otps().keys()], [1])
    assert.equal(server.claim(5, otps.get(2)!), 'Bad\n')
    assert.deepEqual(server.faults(), [])
  })

  test('answers Error to a revoked device that claims again, with its own password or another', async () => {
    const otps = await fleet(2, 1)
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
      const otps = await fleet(2, 1)
      if (before) await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
      await revoke(server, { do: 'revoke', fleet: 'birds', device: 1, readmit: true })
      assert.deepEqual(await states(), ['revoked', 'unclaimed'])
      assert.equal(server.claim(1, otps.get(1)!), 'Bad\n')
      assert.match(server.claim(1, otps.get(2)!), /^Ok\n/)
      assert.deepEqual(await states(), ['revoked', 'claimed'])
      await server.gen({ num: 0 })
      assert.deepEqual(server.faults(), [])
    })
  }

  test('lets in again the hardware of one device only', async () => {
    await fleet(2, 1)
    const all = { do: 'revoke', fleet: 'birds', readmit: true } as const
    await assert.rejects(revoke(server, all), /one device/)
    assert.deepEqual(await states(), ['claimed', 'unclaimed'])
  })

  test('of a lost disk takes its key and its passwords, and leaves the devices that claimed with it', async () => {
    const given = await server.gen({ num: 3, disk: disk(1) })
    const otps = new Map(given.disk!.devices.map(({ id_in_fleet: id, otp }) => [id, otp]))
    assert.match(server.claim(1, otps.get(1)!, { lot: lotName(1) }), /^Ok\n/)
    const reply = await revoke(server, { do: 'revoke', fleet: 'birds', lot: lotName(1) })
    assert.deepEqual([reply.devices, reply.lots], [[], [lotName(1)]])
    assert.deepEqual(await states(), ['claimed', 'unclaimed', 'unclaimed'])
    assert.equal(server.keys().filter((line) => line.includes('fleetsie_auth')).length, 0)
    assert.equal(server.keys().filter((line) => line.includes('birds-1')).length, 1)
    assert.match(server.claim(2, otps.get(2)!, { lot: lotName(1) }), /^Error\n.*revoked/)
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
    assert.deepEqual(await states(), ['revoked', 'revoked', 'revoked'])
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
      await fleet(1, 0)
      server.called.length = 0
      await assert.rejects(revoke(server, { do: 'revoke', ...wish }), { code: 'E_INPUT' })
      assert.deepEqual(server.called, [])
    })
  }
})

describe('rotate', () => {
  const step = async (what: 'add' | 'finish' | 'cancel', key: string, device = 1) =>
    v.parse(rotateReply, await rotate(server, { do: 'rotate', fleet: 'birds', device, step: what, key }))
  const keysOf = (name: string) => server.keys().filter((line) => line.endsWith(` ${name}`)).length

  test('has both keys accepted from add to finish, then the new one alone', async () => {
    await fleet(2, 2)
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
    await fleet(1, 1)
    const before = server.keys()
    const key = newKey()
    await step('add', key)
    await step('cancel', key)
    assert.deepEqual(server.keys(), before)
    await step('cancel', key)
    await assert.rejects(step('finish', key), { code: 'E_INPUT' })
  })

  test('keeps what an earlier change left behind until one ends well', async () => {
    await fleet(1, 1)
    const [left, key] = [newKey(), newKey()]
    await step('add', left)
    assert.equal((await step('add', key)).keys, 3)
    assert.equal((await step('finish', key)).keys, 1)
    assert.equal(keysOf('birds-1'), 1)
  })

  test('takes all keys of a device that is revoked in the middle', async () => {
    await fleet(1, 1)
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
