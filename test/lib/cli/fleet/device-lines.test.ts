import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceLine, hostWidth, tableHeader } from '../../../../lib/cli/fleet/device-lines.ts'
import type { ListedDevice } from '../../../../lib/fleet/server/protocol.ts'

const device = (hostname: string): ListedDevice => ({
  ...{ fleet: 'f', id_in_fleet: 1, hostname, state: 'unclaimed', tunnel_port: 20_001, hwid: null, lot: null },
  ...{ generated: 1_800_000_000, claimed: null, revoked: null, claimed_from: null, seen: null },
  ...{ online: null, user: null },
})

for (const names of [
  ['barn-1', 'barn-10'],
  ['north_field_station_west-9', 'north_field_station_west-1000'],
]) {
  test(`the columns of ${names.join(' and ')} stand below their names`, () => {
    const devices = names.map(device)
    const width = hostWidth(devices)
    const lines = [tableHeader(width), ...devices.map((each) => deviceLine(each, width))]
    const [header, ...rows] = lines.map((line) =>
      [/state|unclaimed/, /port|20001/, /since|2027/].map((cell) => line.search(cell)),
    )
    for (const row of rows) assert.deepEqual(row, header)
  })
}
