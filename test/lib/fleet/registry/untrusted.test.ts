/** A Fleet folder is its user's: links, damage and lies in it harm that fleet at most, and Main never. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { fleetFile, fleetFolder, mainFile, provisioningFile } from '../../../../lib/fleet/registry/paths.ts'
import type { Otps } from '../../../../lib/fleet/registry/provisioning.ts'
import { list } from '../../../../lib/fleet/server/requests/list.ts'
import { hwid, newKey } from '../../../helpers/claims.ts'
import { needs } from '../../../helpers/needs.ts'
import { disk, lotName, RegistryServer, sqlite3 } from '../../../helpers/registry.ts'

const skip = needs('sqlite3')
let server: RegistryServer
let fleet: string
let provisioning: string
/** The passwords of devices 1 (claimed) to 4. */
let otps: Otps

beforeEach(async () => {
  server = new RegistryServer()
  fleet = fleetFile(server.folder, 'birds')
  provisioning = provisioningFile(server.folder, 'birds')
  await server.gen({ num: 4, disk: disk(1) })
  otps = server.otps()
  assert.match(server.claim(1, otps.get(1)!, { lot: lotName(1) }), /^Ok\n/)
})
afterEach(() => server.remove())

const mainDump = (): string => sqlite3(mainFile(server.folder), '.dump')

/** `gen` fails so, and nothing in Main has changed. */
async function refused(expected: object): Promise<void> {
  const before = mainDump()
  await assert.rejects(server.gen({ num: 2, disk: disk(2) }), expected)
  assert.ok(mainDump() === before, 'Main has changed')
}

const links: { name: string; make(file: string, elsewhere: string): void }[] = [
  { name: 'a symbolic link', make: (file, elsewhere) => symlinkSync(elsewhere, file) },
  { name: 'a second name of another file', make: (file, elsewhere) => linkSync(elsewhere, file) },
  { name: 'a named pipe', make: (file) => execFileSync('mkfifo', [file]) },
  { name: 'a folder', make: (file) => mkdirSync(file) },
]
const inFleet = ['fleet.sqlite', 'fleet.sqlite-wal', 'provisioning.sqlite', 'provisioning.sqlite-journal']
const places = links.flatMap((link, n) =>
  (n === 0 ? inFleet : inFleet.slice(n, n + 1)).map((which) => ({ ...link, which })),
)
for (const { name, make, which } of places) {
  test(`${name} in the place of ${which} is not followed`, { skip }, async () => {
    const elsewhere = join(server.folder, 'elsewhere')
    copyFileSync(mainFile(server.folder), elsewhere)
    const bytes = readFileSync(elsewhere)
    const file = join(server.folder, 'fleets/birds', which)
    rmSync(file, { force: true })
    make(file, elsewhere)
    await refused({ code: 'E_UNSAFE', exitCode: 2, file })
    assert.deepEqual(readFileSync(elsewhere), bytes)
    rmSync(file, { recursive: true })
  })
}

test('one fleet that cannot be read does not keep another from its own', { skip }, async () => {
  writeFileSync(fleet, 'no database')
  await assert.rejects(server.gen({ num: 1 }), { code: 'E_DAMAGED' })
  await server.gen({ fleet: 'fish', num: 1 })
  assert.deepEqual(server.faults('fish'), [])
})

const damages: { name: string; make(file: string): void; message: RegExp }[] = [
  { name: 'cut in the middle', make: (file) => truncateSync(file, 8192), message: /damaged/ },
  { name: 'text', make: (file) => writeFileSync(file, 'no database\n'.repeat(1000)), message: /damaged/ },
  {
    name: 'overwritten in the middle',
    make: (file) => {
      const bytes = readFileSync(file)
      bytes.fill(0xff, 5000, 9000)
      writeFileSync(file, bytes)
    },
    message: /damaged/,
  },
  {
    name: 'a database of something else',
    make: (file) => {
      rmSync(file)
      sqlite3(file, 'CREATE TABLE devices (id INTEGER PRIMARY KEY, otp VARCHAR)')
    },
    message: /has no column fleet/,
  },
]
for (const { name, make, message } of damages) {
  test(`a Fleet file that is ${name} is told, with what to do`, { skip }, async () => {
    make(fleet)
    await refused({
      code: 'E_DAMAGED',
      exitCode: 6,
      message,
      file: fleet,
      hint: /put a good copy of it back/,
    })
  })
  test(`a Provisioning file that is ${name} is made anew, with new passwords`, { skip }, async () => {
    make(provisioning)
    const reply = await server.gen({ disk: disk(1) })
    assert.match(reply.warnings.join(), /provisioning\.sqlite was not there or damaged/)
    assert.deepEqual(server.faults(), [])
    for (const id of [2, 3, 4]) assert.notEqual(server.otps().get(id), otps.get(id))
    assert.equal(server.claim(2, otps.get(2)!, { lot: lotName(1) }), 'Bad\n')
    assert.match(server.claim(2, server.otps().get(2)!, { lot: lotName(1) }), /^Ok\n/)
  })
}

test('a Provisioning file that is gone, or lost some rows, is made anew', { skip }, async () => {
  rmSync(provisioning)
  assert.match((await server.gen()).warnings.join(), /write their disks again/)
  assert.deepEqual(server.faults(), [])
  const before = server.otps()
  sqlite3(
    provisioning,
    `UPDATE devices SET otp = '${'0'.repeat(256)}' WHERE id_in_fleet = 2; DELETE FROM devices WHERE id_in_fleet = 3; INSERT INTO devices VALUES (77, 'x')`,
  )
  await server.gen()
  assert.deepEqual(server.faults(), [])
  assert.equal(server.otps().get(4), before.get(4))
})

test('a Fleet file that is gone is made anew from Main', { skip }, async () => {
  await server.gen()
  rmSync(fleet)
  const reply = await server.gen()
  assert.match(reply.warnings.join(), /fleet\.sqlite was not there/)
  assert.deepEqual(server.faults(), [])
  assert.equal(server.rows('fleet')[0]?.hwid, hwid(1))
})

test('a fleet of which only Main was put back is made anew from it', async () => {
  await server.gen()
  rmSync(fleetFolder(server.folder, 'birds'), { recursive: true })
  await assert.rejects(list(server, { do: 'list', fleet: 'birds' }), { hint: /fleetsie gen birds HOST 0/ })
  const reply = await server.gen()
  assert.equal(reply.unclaimed, 3)
  assert.match(reply.warnings.join(), /fleet\.sqlite was not there.*write their disks again/)
  assert.deepEqual(server.faults(), [])
  assert.equal(server.rows('fleet')[0]?.hwid, hwid(1))
  assert.match(server.keys().join('\n'), /fleetsie_login birds birds-1 20001"/)
})

test('a damaged Main file is told', async () => {
  truncateSync(mainFile(server.folder), 8192)
  await assert.rejects(server.gen({ num: 1 }), { code: 'E_DAMAGED', file: mainFile(server.folder) })
})

const lies: { name: string; sql: string; message: RegExp }[] = [
  {
    name: 'a hardware id that is none',
    sql: "UPDATE devices SET hwid = 'x'' OR 1' WHERE id = 2",
    message: /row 2 of devices: hwid/,
  },
  {
    name: 'a hardware id that is a number',
    sql: 'UPDATE devices SET hwid = 7 WHERE id = 2',
    message: /hwid/,
  },
  {
    name: 'a key of two lines',
    sql: "UPDATE devices SET server_public_key = 'ssh-ed25519 AAAA' || char(10) || 'x' WHERE id = 2",
    message: /server_public_key/,
  },
  {
    name: 'an endless key',
    sql: 'UPDATE devices SET server_public_key = hex(zeroblob(100000)) WHERE id = 2',
    message: /more than a device's row can/,
  },
  {
    name: 'a time that is no number',
    sql: "UPDATE devices SET ts_registered = 'today' WHERE id = 1",
    message: /ts_registered/,
  },
  {
    name: 'an infinite time',
    sql: 'UPDATE devices SET ts_registered = 9e999 WHERE id = 1',
    message: /ts_registered/,
  },
  {
    name: 'an address that is none',
    sql: "UPDATE devices SET ip_provisioned_from = '$(reboot)' WHERE id = 1",
    message: /ip_provisioned_from/,
  },
  {
    name: 'an enormous number',
    sql: 'UPDATE devices SET id_in_fleet = 4000000000 WHERE id = 2',
    message: /id_in_fleet/,
  },
  { name: 'a password in clear', sql: "UPDATE devices SET otp = 'abc' WHERE id = 2", message: /otp/ },
  {
    name: 'a device of another fleet',
    sql: "UPDATE devices SET fleet = 'fish' WHERE id = 2",
    message: /fleet/,
  },
  {
    name: 'a claimed device that Main does not know',
    sql: `INSERT INTO devices SELECT 77, fleet, 77, fleetuser, 'birds-77', '02:00:00:00:00:77', 'sha256:${'0'.repeat(64)}', 1, 1, 20077, '', '', '', '', NULL FROM devices WHERE id = 1`,
    message: /birds-77 is claimed, but fleets\.sqlite does not know it/,
  },
  {
    name: 'a trigger',
    sql: 'CREATE TRIGGER t AFTER UPDATE ON devices BEGIN DELETE FROM devices; END',
    message: /holds a trigger, "t"/,
  },
  { name: 'a view', sql: 'CREATE VIEW lots2 AS SELECT 1', message: /holds a view, "lots2"/ },
  { name: 'no table of lots', sql: 'DROP TABLE lots', message: /damaged \(no such table: lots\)/ },
]
for (const { name, sql, message } of lies) {
  test(`a Fleet file with ${name} is refused`, { skip }, async () => {
    sqlite3(fleet, sql)
    await refused({ code: 'E_DAMAGED', message, file: fleet })
  })
}

test('what the fleet may not decide is put back as Main has it', { skip }, async () => {
  const key = newKey()
  await server.gen()
  sqlite3(
    fleet,
    `UPDATE devices SET tunnel_port = 20005, hostname = 'fish-1', id = 99, fleetuser = 'root' WHERE id = 4;
     UPDATE devices SET hwid = 'revoked:1:2' WHERE id = 3;
     UPDATE devices SET hwid = NULL, ts_registered = NULL, tunnel_port = 20004, server_public_key = '${key}' WHERE id = 1;
     INSERT INTO devices SELECT 50, fleet, 50, fleetuser, 'birds-50', NULL, 'sha256:${'0'.repeat(64)}', 1, NULL, 20050, '', '', '', '', NULL FROM devices WHERE id = 2;
     INSERT INTO lots VALUES ('${lotName(66)}', 'birds', '${key}', 1, NULL, NULL);
     INSERT INTO lot_devices VALUES ('${lotName(66)}', 2);
     UPDATE lots SET ts_expires = NULL, key = '${key}';
     UPDATE fleets SET server_keys = 1`,
  )
  const before = mainDump()
  await server.gen()
  assert.ok(mainDump() === before, 'Main has changed')
  assert.deepEqual(server.faults(), [])
  assert.equal(sqlite3(fleet, 'SELECT server_keys FROM fleets'), '0')
  assert.equal(sqlite3(fleet, 'SELECT lot FROM lots'), lotName(1))
  assert.equal(server.keys().join().includes(key), false)
})

test('a sealed key stays in Fleet for a day, and is never in Main', { skip }, async () => {
  const sealed = "UPDATE devices SET server_private_key = 'sealed:v1:YQ==:Yg==' WHERE id = 1"
  sqlite3(fleet, sealed)
  await server.gen()
  assert.equal(server.rows('fleet')[0]?.server_private_key, 'sealed:v1:YQ==:Yg==')
  assert.equal(server.rows('main')[0]?.server_private_key, '')
  server.time += 86_401
  await server.gen()
  assert.equal(server.rows('fleet')[0]?.server_private_key, '')
})

test('the files are their own users alone', () => {
  for (const file of [mainFile(server.folder), fleet, provisioning]) {
    assert.equal(lstatSync(file).mode & 0o777, 0o600, file)
  }
})
