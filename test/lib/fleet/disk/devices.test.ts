import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import sqlite from 'better-sqlite3'
import {
  devicesDatabase,
  devicesList,
  readClaimed,
  readDevicesDatabase,
  readDevicesList,
} from '../../../../lib/fleet/disk/devices.ts'
import { makeOtp } from '../../../../lib/fleet/names.ts'
import { missing, tool } from '../../../helpers/disks.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-devices-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const devices = [3, 1, 2].map((id_in_fleet) => ({ id_in_fleet, otp: makeOtp() }))
const ascending = [...devices].sort((a, b) => a.id_in_fleet - b.id_in_fleet)

describe('the unclaimed devices of a disk', () => {
  test('are a database that sqlite3 takes', { skip: missing('sqlite3') }, async () => {
    const file = join(folder, 'devices.sqlite')
    writeFileSync(file, await devicesDatabase(devices))
    assert.equal(tool('sqlite3', [file, 'PRAGMA integrity_check; PRAGMA journal_mode']), 'ok\ndelete\n')
    assert.equal(
      tool('sqlite3', ['-separator', ' ', file, 'SELECT * FROM devices ORDER BY 1']),
      String(devicesList(devices)),
    )
  })

  test('are read back from both forms', async () => {
    assert.deepEqual(await readDevicesDatabase(await devicesDatabase(devices), 'x'), ascending)
    assert.deepEqual(readDevicesList(devicesList(devices)), ascending)
    const written = Buffer.from(`\ufeff${String(devicesList(devices)).replaceAll('\n', '\r\n').trimEnd()}`)
    assert.deepEqual(readDevicesList(written), ascending)
  })

  test('of a database with write-ahead log too, as an older tool may leave it', async () => {
    const file = join(folder, 'wal.sqlite')
    writeFileSync(file, await devicesDatabase(devices))
    const db = sqlite(file)
    db.pragma('journal_mode = WAL')
    db.close()
    assert.equal(readFileSync(file)[18], 2)
    assert.deepEqual(await readDevicesDatabase(readFileSync(file), 'x'), ascending)
  })

  test('are as before where a device lost its power while it removed some', async () => {
    const many = Array.from({ length: 500 }, (_, i) => ({ id_in_fleet: i + 1, otp: makeOtp() }))
    const file = join(folder, 'cut.sqlite')
    writeFileSync(file, await devicesDatabase(many))
    const db = sqlite(file)
    db.pragma('cache_size = 2')
    db.exec('BEGIN; DELETE FROM devices WHERE id_in_fleet > 10')
    copyFileSync(file, `${file}.copy`)
    copyFileSync(`${file}-journal`, `${file}.journal`)
    db.exec('ROLLBACK')
    db.close()
    assert.ok(statSync(`${file}.journal`).size > 10_000)
    const read = await readDevicesDatabase(readFileSync(`${file}.copy`), 'x', readFileSync(`${file}.journal`))
    assert.deepEqual(read, many)
  })

  const damaged: [string, () => Promise<Buffer>][] = [
    ['nothing', async () => Buffer.alloc(0)],
    ['text', async () => Buffer.from('1 abc\n'.repeat(1000))],
    ['half a database', async () => (await devicesDatabase(devices)).subarray(0, 5000)],
  ]
  for (const [what, bytes] of damaged) {
    test(`of a file that holds ${what}: E_DAMAGED`, async () => {
      await assert.rejects(readDevicesDatabase(Buffer.from(await bytes()), 'x'), { code: 'E_DAMAGED' })
    })
  }

  test('lines that are no device are left out', () => {
    const list = `0 ${makeOtp()}\n1 abc\n\n-1 ${makeOtp()}\n2\n3 ${makeOtp()} more\nx ${makeOtp()}\n`
    assert.deepEqual(
      readDevicesList(Buffer.from(list)).map(({ id_in_fleet }) => id_in_fleet),
      [3],
    )
    assert.deepEqual(readClaimed(Buffer.from('7\r\n7\n0\nx\n 3 \n99999999999\n12')), [3, 7, 12])
  })
})
