/** Databases that the older tool made: of the document's schema, and of its newest code. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { hashOtp, makeOtp } from '../../../../lib/fleet/names.ts'
import { fleetFile, fleetFolder, mainFile, provisioningFile } from '../../../../lib/fleet/registry/paths.ts'
import { list } from '../../../../lib/fleet/server/requests/list.ts'
import { hwid, newKey } from '../../../helpers/claims.ts'
import { needs } from '../../../helpers/needs.ts'
import { disk, loginKey, lotName, RegistryServer, sqlite3 } from '../../../helpers/registry.ts'

// As the document prints it; only the indexes have names, without which SQLite takes none.
const seedSchema = `
CREATE TABLE devices (
     id INTEGER UNIQUE PRIMARY KEY NOT NULL,  -- unique ID for device, across all fleets
     fleet VARCHAR NOT NULL,                  -- name of fleet device belongs to
	 id_in_fleet INTEGER NOT NULL,            -- unique ID for device within fleet
     fleetuser VARCHAR NOT NULL,              -- name of user device uses for ssh to fleet server; typically, fleetsie_FLEET
     hostname VARCHAR NOT NULL,               -- hostname for device; typically FLEET-ID_IN_FLEET
     hwid VARCHAR,                            -- hardware ID of device; NULL means no device registered to this record yet
     otp VARCHAR NOT NULL,                    -- one-time password used by device to register
     ts_generated DOUBLE NOT NULL,            -- unix timestamp for when this device record was generated
     ts_registered DOUBLE,                    -- unix timestamp for when this device was registered; NULL means not registered yet
     tunnel_port INTEGER NOT NULL,            -- TCP port mapped on server back to device SSH server port
     device_public_key VARCHAR NOT NULL,      -- public key which can be used to login as user 1000 on device
     device_private_key VARCHAR NOT NULL,     -- private key which can be used to login as user 1000 on device
     server_public_key VARCHAR NOT NULL,      -- public key which device will use to ssh into fleet server
     server_private_key VARCHAR NOT NULL,     -- private key which device will use to ssh into fleet server
     ip_provisioned_from VARCHAR NOT NULL     -- IP address from which request to provision this device originated
 );`
const headSchema = `
CREATE TABLE devices (
 id INTEGER UNIQUE PRIMARY KEY NOT NULL, fleet VARCHAR NOT NULL, id_in_fleet INTEGER NOT NULL, fleetuser VARCHAR NOT NULL,
 hostname VARCHAR NOT NULL, hwid VARCHAR, otp VARCHAR NOT NULL, ts_generated DOUBLE NOT NULL, ts_registered DOUBLE,
 tunnel_port INTEGER NOT NULL, user_pwd VARCHAR, root_pwd VARCHAR, device_public_key VARCHAR NOT NULL,
 device_private_key VARCHAR NOT NULL, server_public_key VARCHAR NOT NULL, server_private_key VARCHAR NOT NULL,
 ip_provisioned_from VARCHAR, zabbix_psk VARCHAR);
CREATE TABLE zabbix_fleet_psk (fleet VARCHAR UNIQUE PRIMARY KEY, zabbix_psk VARCHAR);
CREATE TABLE fleet_extra (fleet VARCHAR UNIQUE PRIMARY KEY, extra VARCHAR);`
const indexes = `
CREATE UNIQUE INDEX devices_hwid ON devices(hwid);
CREATE UNIQUE INDEX devices_fleet_otp_hwid ON devices(fleet, otp, hwid);
CREATE UNIQUE INDEX devices_fleet_id_in_fleet ON devices(fleet, id_in_fleet);`

const { privateKey } = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const secret = privateKey.split('\n')[1]!

interface Older {
  otps: string[]
  keys: string[]
}

let server: RegistryServer
beforeEach(() => {
  server = new RegistryServer()
})
afterEach(() => server.remove())

/** Devices 1 (claimed, known to both), 2 (claimed, known to Fleet only) and 3, by the sqlite3 program. */
function makeOlder(schema: string, { provisioning }: { provisioning: boolean }): Older {
  const older = { otps: [1, 2, 3].map(makeOtp), keys: [1, 2, 3].map(newKey) }
  mkdirSync(fleetFolder(server.folder, 'birds'), { recursive: true })
  for (const [file, claimed] of [
    [mainFile(server.folder), 1],
    [fleetFile(server.folder, 'birds'), 2],
  ] as const) {
    sqlite3(file, schema + indexes)
    for (const id of [1, 2, 3]) {
      const at = id <= claimed
      const columns = {
        id,
        fleet: 'birds',
        id_in_fleet: id,
        fleetuser: 'fleetsie_birds',
        hostname: `birds-${id}`,
        hwid: at ? hwid(id).toUpperCase() : null,
        otp: older.otps[id - 1]!,
        ts_generated: 1_700_000_000.25,
        ts_registered: at ? 1_700_000_100.5 : null,
        tunnel_port: 20_000 + id,
        device_public_key: `${newKey()} server@birds-${id}`,
        device_private_key: privateKey,
        server_public_key: `${older.keys[id - 1]} birds-${id}`,
        server_private_key: privateKey,
        ip_provisioned_from: at ? '192.0.2.50' : schema === seedSchema ? '' : null,
        ...(schema === headSchema && {
          user_pwd: `user ${id}`,
          root_pwd: `root ${id}`,
          zabbix_psk: 'ab'.repeat(32),
        }),
      }
      const values = Object.values(columns).map((value) =>
        value === null ? 'NULL' : typeof value === 'number' ? String(value) : `'${value}'`,
      )
      sqlite3(file, `INSERT INTO devices (${Object.keys(columns).join()}) VALUES (${values.join()})`)
    }
    if (schema === headSchema) {
      sqlite3(
        file,
        "INSERT INTO zabbix_fleet_psk VALUES ('birds', 'cd'); INSERT INTO fleet_extra VALUES ('birds', 'more')",
      )
    }
  }
  if (provisioning) {
    const file = provisioningFile(server.folder, 'birds')
    sqlite3(
      file,
      'CREATE TABLE devices(id_in_fleet INTEGER UNIQUE PRIMARY KEY NOT NULL, otp VARCHAR NOT NULL)',
    )
    sqlite3(file, `INSERT INTO devices VALUES (1, '${older.otps[0]}'), (3, '${older.otps[2]}')`)
  }
  return older
}

const cases = [
  { name: "of the document's schema", schema: seedSchema, provisioning: false },
  { name: "of the document's schema, with a provisioning database", schema: seedSchema, provisioning: true },
  { name: "of the older tool's newest schema", schema: headSchema, provisioning: true },
]

for (const { name, schema, provisioning } of cases) {
  test(`databases ${name} are taken over, nothing lost`, { skip: needs('sqlite3') }, async () => {
    const { otps, keys } = makeOlder(schema, { provisioning })
    const reply = await server.gen({ num: 1, disk: disk(1) })
    assert.deepEqual(reply.warnings, [])
    assert.deepEqual(reply.generated, [{ id_in_fleet: 4, hostname: 'birds-4', tunnel_port: 20_004 }])
    assert.deepEqual(server.faults(), [])
    const rows = server.rows('main')
    assert.deepEqual(
      rows.map((row) => [
        row.hwid,
        row.otp === hashOtp(otps[row.id - 1] ?? ''),
        row.ts_registered,
        row.ip_provisioned_from,
      ]),
      [
        [hwid(1), true, 1_700_000_100.5, '192.0.2.50'],
        [hwid(2), true, 1_700_000_100.5, '192.0.2.50'],
        [null, true, null, null],
        [null, false, null, null],
      ],
    )
    assert.deepEqual(
      rows.slice(0, 2).map((row) => row.server_public_key),
      [`${keys[0]} birds-1`, `${keys[1]} birds-2`],
    )
    assert.equal(rows[2]?.device_public_key, loginKey)
    assert.equal(rows[2]?.server_public_key, '')
    assert.ok(server.keys().some((line) => line.endsWith(`${keys[1]} birds-2`)))
    if (schema === headSchema) {
      const kept =
        'SELECT user_pwd, root_pwd, length(zabbix_psk), extra FROM devices JOIN fleet_extra USING (fleet) WHERE id < 3'
      for (const file of [mainFile(server.folder), fleetFile(server.folder, 'birds')]) {
        assert.equal(sqlite3(file, kept), 'user 1|root 1|64|more\nuser 2|root 2|64|more')
      }
    }
    // The passwords of the disks that are out there still hold.
    assert.match(server.claim(3, otps[2]!), /^Ok\n/)
    for (const file of ['fleets.sqlite', 'fleets/birds/fleet.sqlite', 'fleets/birds/provisioning.sqlite']) {
      const bytes = readFileSync(join(server.folder, file))
      assert.equal(bytes.includes(secret), false, `a private key is in ${file}`)
      for (const otp of otps) assert.equal(bytes.includes(otp), false, `a password is in ${file}`)
    }
    await server.gen({ num: 1 })
    assert.deepEqual(server.faults(), [])
  })
}

test('an older file is taken over once', { skip: needs('sqlite3') }, async () => {
  makeOlder(headSchema, { provisioning: true })
  await server.gen()
  const before = readFileSync(mainFile(server.folder))
  await server.gen()
  assert.deepEqual(server.rows('main').length, 3)
  assert.equal(sqlite3(mainFile(server.folder), 'PRAGMA user_version'), '1')
  assert.equal(readFileSync(mainFile(server.folder)).length, before.length)
  assert.match(server.claim(8, server.otps().get(3)!, { lot: lotName(1) }), /^Error\nthis disk is not known/)
})

test('what another fleet or `list` looks at keeps the passwords of the disks that are out there', {
  skip: needs('sqlite3'),
}, async () => {
  const { otps } = makeOlder(headSchema, { provisioning: false })
  await server.gen({ fleet: 'fish', num: 1 })
  await assert.rejects(list(server, { do: 'list', fleet: 'birds' }), { code: 'E_INPUT', hint: /gen birds/ })
  assert.deepEqual((await server.gen()).warnings, [])
  assert.match(server.claim(3, otps[2]!), /^Ok\n/)
  assert.equal((await list(server, { do: 'list', fleet: 'birds' })).devices.length, 3)
})

test('two devices with one port are told before anything is changed', {
  skip: needs('sqlite3'),
}, async () => {
  makeOlder(headSchema, { provisioning: true })
  sqlite3(mainFile(server.folder), 'UPDATE devices SET tunnel_port = 20001')
  await assert.rejects(server.gen(), {
    code: 'E_DAMAGED',
    message: 'birds-1 and birds-2 and birds-3 have the same tunnel port 20001',
    file: mainFile(server.folder),
  })
  assert.equal(sqlite3(mainFile(server.folder), 'PRAGMA user_version'), '0')
})

test('a file of a later version, or of something else, is refused', { skip: needs('sqlite3') }, async () => {
  sqlite3(mainFile(server.folder), 'CREATE TABLE devices (id INTEGER)')
  await assert.rejects(server.gen({ num: 1 }), { code: 'E_DAMAGED', message: /devices has no column fleet/ })
  sqlite3(mainFile(server.folder), 'PRAGMA user_version = 99')
  await assert.rejects(server.gen({ num: 1 }), { code: 'E_UNSUPPORTED', message: /later version \(99\)/ })
})
