/** `rotate`: the server's part of a device's change of keys. The new key is accepted beside the old one until `finish`. */
import { FleetsieError } from '../../../errors.ts'
import { hostname } from '../../names.ts'
import type { FleetDatabase } from '../../registry/database.ts'
import type { DeviceRow } from '../../registry/schema.ts'
import type { Server } from '../../registry/server.ts'
import { updateFleet } from '../../registry/update.ts'
import type { RotateReply, RotateRequest } from '../protocol.ts'

/** Keys that a device may be changing to: each one is left by a change that nobody saw the end of. */
const most = 16

/** Each step may be repeated. Fails with E_INPUT for a device that is not claimed or a key that it cannot have. */
export function rotate(server: Server, request: RotateRequest): Promise<RotateReply> {
  const { fleet, device } = request
  return updateFleet(
    server,
    fleet,
    {
      // A device that has claimed since the last call is known to Fleet only; `apply` looks again.
      check: (main) => void rowOf(main, request),
      apply: (main) => {
        const row = rowOf(main, request)
        if (row.hwid === null || row.hwid.startsWith('revoked:')) {
          throw refused(`${hostname(fleet, device)} is not a device that has claimed`)
        }
        change(main, row, request, server.now())
        return { result: undefined }
      },
    },
    ({ main }) => ({ hostname: hostname(fleet, device), keys: 1 + pending(main, request) }),
  )
}

function rowOf(main: FleetDatabase, { fleet, device }: RotateRequest): DeviceRow {
  const sql = 'SELECT * FROM devices WHERE fleet = ? AND id_in_fleet = ?'
  const row = main.get<DeviceRow>(sql, fleet, device)
  if (row) return row
  throw refused(`there is no device ${hostname(fleet, device)}`)
}

function change(
  main: FleetDatabase,
  row: DeviceRow,
  { fleet, device, step, key }: RotateRequest,
  now: number,
): void {
  const isCurrent = row.server_public_key.split(' ', 2).join(' ') === key
  const own = 'FROM rotations WHERE fleet = ? AND id_in_fleet = ?'
  const isPending = main.get(`SELECT 1 ${own} AND key = ?`, fleet, device, key) !== undefined
  switch (step) {
    case 'add':
      if (isCurrent || isPending) return
      expectNew(main, key)
      if (pending(main, { fleet, device }) >= most) throw refused('too many changes of keys did not end')
      main.run(
        'INSERT INTO rotations (key, fleet, id_in_fleet, ts) VALUES (?, ?, ?, ?)',
        key,
        fleet,
        device,
        now,
      )
      return
    case 'finish':
      if (!isCurrent && !isPending) throw refused('this key was not added')
      main.run('UPDATE devices SET server_public_key = ? WHERE id = ?', key, row.id)
      main.run(`DELETE ${own}`, fleet, device)
      return
    case 'cancel':
      if (isCurrent) throw refused('this key is in use')
      main.run(`DELETE ${own} AND key = ?`, fleet, device, key)
  }
}

/** sshd takes the first line of a key, whoever's it is. */
function expectNew(main: FleetDatabase, key: string): void {
  const used =
    main.get('SELECT 1 FROM devices WHERE server_public_key = ?', key) ??
    main.get('SELECT 1 FROM rotations WHERE key = ?', key) ??
    main.get('SELECT 1 FROM lots WHERE key = ?', key)
  if (used) throw refused('this key is that of another device or disk')
}

function pending(main: FleetDatabase, { fleet, device }: Pick<RotateRequest, 'fleet' | 'device'>): number {
  const sql = 'SELECT count(*) AS count FROM rotations WHERE fleet = ? AND id_in_fleet = ?'
  return main.get<{ count: number }>(sql, fleet, device)!.count
}

function refused(message: string): FleetsieError {
  return new FleetsieError('E_INPUT', message)
}
