/** `gen` on the server: what is allocated, what a disk gets, what the databases then hold. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import * as v from 'valibot'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { hashOtp, otpPattern } from '../../../../lib/fleet/names.ts'
import { fleetFile, mainFile, provisioningFile } from '../../../../lib/fleet/registry/paths.ts'
import { documentedColumns } from '../../../../lib/fleet/registry/schema.ts'
import { genReply } from '../../../../lib/fleet/server/protocol.ts'
import { revoke } from '../../../../lib/fleet/server/requests/revoke.ts'
import { newKey } from '../../../helpers/claims.ts'
import { needs } from '../../../helpers/needs.ts'
import { disk, loginKey, lotName, RegistryServer, sqlite3 } from '../../../helpers/registry.ts'

let server: RegistryServer
beforeEach(() => {
  server = new RegistryServer()
})
afterEach(() => server.remove())

const ids = (rows: readonly { id_in_fleet: number }[]): number[] => rows.map((row) => row.id_in_fleet)

test('numbers of a fleet and ports of the server go on where they were', async () => {
  await server.gen({ num: 2 })
  await server.gen({ fleet: 'fish', num: 1 })
  const reply = await server.gen({ num: 2 })
  assert.deepEqual(v.parse(genReply, reply), reply)
  assert.deepEqual(reply.generated, [
    { id_in_fleet: 3, tunnel_port: 20_004, hostname: 'birds-3' },
    { id_in_fleet: 4, tunnel_port: 20_005, hostname: 'birds-4' },
  ])
  assert.equal(reply.unclaimed, 4)
  assert.equal(reply.fleetuser, 'fleetsie_birds')
  const [first] = server.rows('main')
  assert.deepEqual(
    { ...first, otp: '' },
    {
      id: 1,
      fleet: 'birds',
      id_in_fleet: 1,
      fleetuser: 'fleetsie_birds',
      hostname: 'birds-1',
      hwid: null,
      otp: '',
      ts_generated: server.time,
      ts_registered: null,
      tunnel_port: 20_001,
      device_public_key: loginKey,
      device_private_key: '',
      server_public_key: '',
      server_private_key: '',
      ip_provisioned_from: null,
    },
  )
  assert.deepEqual(server.faults(), [])
  assert.deepEqual(server.faults('fish'), [])
})

test('the same call again gets the same answer, and allocates nothing', async () => {
  const call = { num: 3, request: randomUUID(), disk: disk(1) }
  const first = await server.gen(call)
  await server.gen({ num: 1 })
  assert.deepEqual({ ...(await server.gen(call)), unclaimed: 3 }, first)
  assert.equal(server.rows('main').length, 4)
  await assert.rejects(server.gen({ ...call, num: 4 }), /was made before, for something else/)
  await assert.rejects(server.gen({ ...call, fleet: 'fish' }), /was made before, for something else/)
  assert.equal(existsSync(join(server.folder, 'fleets/fish')), false)
})

test('the same call again for another disk puts what it allocated there', async () => {
  const request = randomUUID()
  const first = await server.gen({ num: 2, request, disk: disk(1) })
  const again = await server.gen({ num: 2, request, disk: disk(2) })
  assert.deepEqual(again.disk, first.disk)
})

test('nothing is made for a call that asks for nothing in a fleet that is not there', async () => {
  const reply = await server.gen()
  assert.deepEqual(reply, {
    fleet: 'birds',
    fleetuser: 'fleetsie_birds',
    generated: [],
    unclaimed: 0,
    warnings: [],
  })
  assert.deepEqual(readdirSync(server.folder), ['fleets'])
  assert.deepEqual(server.called, [])
})

test('two fleets whose names differ in case only are refused', async () => {
  await server.gen({ num: 1 })
  await assert.rejects(server.gen({ num: 1, fleet: 'Birds' }), {
    code: 'E_INPUT',
    message: /there is a fleet birds/,
  })
})

test('NUM 0 puts every unclaimed device on a disk, NUM more only what no other disk has', async () => {
  await server.gen({ num: 2 })
  const first = await server.gen({ num: 1, disk: disk(1) })
  assert.deepEqual(ids(first.disk!.devices), [1, 2, 3])
  const second = await server.gen({ num: 2, disk: disk(2) })
  assert.deepEqual(ids(second.disk!.devices), [4, 5])
  const more = await server.gen({ num: 1, disk: disk(2, { has: [2, 4, 5, 77] }) })
  assert.deepEqual(ids(more.disk!.devices), [2, 4, 5, 6])
  const all = await server.gen({ num: 0, disk: disk(3) })
  assert.deepEqual(ids(all.disk!.devices), [1, 2, 3, 4, 5, 6])
  const otps = server.otps()
  for (const { id_in_fleet: id, otp } of all.disk!.devices) assert.equal(otp, otps.get(id))
  assert.equal(server.keys().length, 3)
  assert.match(
    server.keys()[0]!,
    /^command="\/home\/fleetsie\/fleetsie_auth birds 0{15}1",restrict ssh-ed25519 \S+ fleetsie_birds@server\.example$/,
  )
})

test('a claim is copied to Main, leaves the disk, and its line stays', async () => {
  const { disk: given } = await server.gen({ num: 2, disk: disk(1) })
  const key = newKey()
  const answer = server.claim(1, given!.devices[0]!.otp, { lot: lotName(1), key })
  assert.match(answer, /^Ok\n/)
  server.time += 60
  const reply = await server.gen({ disk: disk(1, { claimed: [1] }) })
  assert.deepEqual(ids(reply.disk!.devices), [2])
  assert.deepEqual(reply.warnings, [])
  const [row] = server.rows('main')
  assert.equal(row?.hwid, '02:00:00:00:00:01')
  assert.equal(row?.server_public_key, key)
  assert.equal(row?.ip_provisioned_from, '192.0.2.9')
  assert.equal(row?.ts_registered, server.time - 60)
  assert.deepEqual(server.faults(), [])
  assert.match(server.claim(1, given!.devices[0]!.otp, { lot: lotName(1), key }), /^Ok\n/, 'asked again')
})

test('a device that the disk used up although nobody claimed it comes back, with a word', async () => {
  await server.gen({ num: 2, disk: disk(1) })
  const reply = await server.gen({ disk: disk(1, { claimed: [2], has: [1] }) })
  assert.deepEqual(ids(reply.disk!.devices), [1, 2])
  assert.match(reply.warnings.join(), /had used up birds-2/)
})

test('what only an expired or revoked disk had gets a new password on the next one', async () => {
  const lost = await server.gen({ num: 2, disk: disk(1, { expires: server.time + 100 }) })
  await server.gen({ num: 1, disk: disk(2) })
  server.time += 100
  const next = await server.gen({ num: 1, disk: disk(3) })
  assert.deepEqual(ids(next.disk!.devices), [1, 2, 4])
  assert.equal(
    server.keys().some((line) => line.includes(lotName(1))),
    false,
  )
  const [old, now] = [lost.disk!.devices[0]!.otp, next.disk!.devices[0]!.otp]
  assert.notEqual(old, now)
  assert.equal(server.claim(1, old, { lot: lotName(3) }), 'Bad\n')
  assert.match(server.claim(1, now, { lot: lotName(3) }), /^Ok\n/)
  assert.deepEqual((await server.gen()).warnings, [])
  assert.deepEqual(server.faults(), [])
})

test('a disk is refused that was revoked, is of another fleet, or has another key', async () => {
  await server.gen({ num: 2, disk: disk(1) })
  await server.gen({ num: 1, fleet: 'fish', disk: disk(2) })
  await revoke(server, { do: 'revoke', fleet: 'birds', lot: lotName(1) })
  const before = server.rows('main')
  await assert.rejects(server.gen({ num: 1, disk: disk(1) }), {
    code: 'E_INPUT',
    message: 'the disk was revoked',
  })
  await assert.rejects(server.gen({ num: 1, disk: disk(2) }), /of the fleet fish/)
  await assert.rejects(
    server.gen({ num: 1, disk: { ...disk(2), lot: lotName(9) }, fleet: 'fish' }),
    /key of the disk/,
  )
  await assert.rejects(server.gen({ num: 1, disk: disk(5, { expires: server.time }) }), /in the past/)
  assert.deepEqual(server.rows('main'), before)
})

test('a hardware id of two fleets is told each time, until the device that is gone is revoked', async () => {
  const birds = await server.gen({ num: 1, disk: disk(1) })
  const fish = await server.gen({ num: 1, fleet: 'fish', disk: disk(2) })
  assert.match(server.claim(7, birds.disk!.devices[0]!.otp), /^Ok/)
  assert.match(server.claim(7, fish.disk!.devices[0]!.otp, { fleet: 'fish' }), /^Ok/)
  await server.gen()
  for (let time = 0; time < 2; time += 1) {
    const reply = await server.gen({ fleet: 'fish' })
    assert.match(reply.warnings.join(), /fish-1 and birds-1 have the same hardware id 02:00:00:00:00:07/)
    assert.equal(reply.unclaimed, 0)
  }
  assert.equal(server.rows('main', 'fish')[0]?.hwid, 'collision:2:02:00:00:00:00:07')
  assert.equal(server.rows('fleet', 'fish')[0]?.hwid, '02:00:00:00:00:07')
  await revoke(server, { do: 'revoke', fleet: 'birds', device: 1 })
  assert.deepEqual((await server.gen({ fleet: 'fish' })).warnings, [])
  assert.equal(server.rows('main', 'fish')[0]?.hwid, '02:00:00:00:00:07')
  assert.deepEqual(server.faults('fish'), [])
})

test('the first login key of a fleet stays, and what had none gets it', async () => {
  const { loginKey: _, ...without } = { num: 1, loginKey }
  await server.gen({ ...without, loginKey: undefined as unknown as string })
  assert.equal(server.rows('fleet')[0]?.device_public_key, '')
  await server.gen({ num: 1 })
  assert.deepEqual(
    server.rows('fleet').map((row) => row.device_public_key),
    [loginKey, loginKey],
  )
  const other = `cert-authority,principals="fleetsie" ${newKey()} birds login`
  const reply = await server.gen({ num: 1, loginKey: other })
  assert.match(reply.warnings.join(), /login CA of another machine/)
  assert.equal(server.rows('main')[2]?.device_public_key, loginKey)
})

test('whether clients get keys that the server makes is as it was said last', async () => {
  const said = (): unknown =>
    server.fleet().get<{ server_keys: number }>('SELECT server_keys FROM fleets')?.server_keys
  await server.gen({ num: 1 })
  assert.equal(said(), 0)
  await server.gen({ serverKeys: true })
  await server.gen({ num: 1 })
  assert.equal(said(), 1)
  await server.gen({ serverKeys: false })
  assert.equal(said(), 0)
})

test('the sqlite3 program reads the databases, with the documented columns and indexes', {
  skip: needs('sqlite3'),
}, async () => {
  await server.gen({ num: 3, disk: disk(1) })
  for (const file of [mainFile(server.folder), fleetFile(server.folder, 'birds')]) {
    assert.equal(sqlite3(file, 'PRAGMA integrity_check'), 'ok')
    assert.equal(
      sqlite3(file, "SELECT group_concat(name) FROM pragma_table_info('devices')"),
      documentedColumns.join(),
    )
    const indexes =
      "SELECT group_concat(name || '=' || (SELECT group_concat(name) FROM pragma_index_info(l.name)), ' ') FROM pragma_index_list('devices') l WHERE name LIKE 'devices_%' AND \"unique\" ORDER BY name"
    const found = sqlite3(file, indexes).split(' ').sort()
    assert.deepEqual(found, [
      'devices_fleet_id_in_fleet=fleet,id_in_fleet',
      'devices_fleet_otp_hwid=fleet,otp,hwid',
      'devices_hwid=hwid',
      'devices_tunnel_port=tunnel_port',
    ])
    assert.match(
      sqlite3(file, '.schema'),
      /id INTEGER UNIQUE PRIMARY KEY NOT NULL, {2}-- unique ID for device, across all fleets/,
    )
    assert.equal(sqlite3(file, 'SELECT count(*) FROM devices'), '3')
  }
  const provisioning = provisioningFile(server.folder, 'birds')
  assert.equal(
    sqlite3(provisioning, '.schema'),
    'CREATE TABLE devices (id_in_fleet INTEGER UNIQUE PRIMARY KEY NOT NULL, otp VARCHAR NOT NULL);',
  )
  assert.equal(sqlite3(provisioning, 'PRAGMA journal_mode'), 'delete')
  assert.equal(sqlite3(provisioning, 'SELECT group_concat(length(otp)) FROM devices'), '256,256,256')
})

test('clear passwords are in provisioning.sqlite only, and only until the claim', async () => {
  const { disk: given } = await server.gen({ num: 20, disk: disk(1) })
  // While somebody has them open, what was written is still in the WALs.
  const open = [server.main(), server.fleet()]
  for (const db of open) db.get('SELECT * FROM devices')
  await server.gen({ num: 20 })
  const holding = (otp: string): string[] =>
    filesBelow(server.folder).filter((file) => readFileSync(file).includes(otp))
  const all = [...server.otps().values()]
  assert.equal(all.length, 40)
  for (const otp of all) {
    assert.match(otp, otpPattern)
    assert.deepEqual(holding(otp), [provisioningFile(server.folder, 'birds')])
    assert.ok(holding(hashOtp(otp)).length >= 2)
  }
  for (const db of open) db.close()
  const [first] = given!.devices
  server.claim(1, first!.otp, { lot: lotName(1) })
  assert.deepEqual(holding(first!.otp), [])
})

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

test('when the rest fails, what was allocated is taken back', async () => {
  await server.gen({ num: 1 })
  const { writeKeys } = server.helper
  server.helper.writeKeys = () => Promise.reject(new Error('no sudo'))
  const call = { num: 5, request: randomUUID(), disk: disk(1) }
  await assert.rejects(server.gen(call), /no sudo/)
  assert.deepEqual(ids(server.rows('main')), [1])
  server.helper.writeKeys = writeKeys
  const reply = await server.gen(call)
  assert.deepEqual(ids(reply.generated), [2, 3, 4, 5, 6])
  server.helper.writeKeys = () => Promise.reject(new Error('no sudo'))
  await assert.rejects(server.gen(call), /no sudo/, 'the same call again')
  server.helper.writeKeys = writeKeys
  assert.deepEqual(await server.gen(call), reply)
  assert.deepEqual(server.faults(), [])
})

test('an error is one of ours', async () => {
  await server.gen({ num: 1 })
  const failure = (await server.gen({ num: 9_999 }).catch((error: unknown) => error)) as FleetsieError
  assert.match(failure.hint ?? '', /9999 devices were asked for, 9998 of the ports 20001 to 29999 are free/)
})
