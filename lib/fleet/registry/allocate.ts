/** New devices: numbers and ports go on after the highest, ports then fill the gaps. All of them or none. */
import { FleetsieError } from '../../errors.ts'
import { firstPort, fleetUser, hashOtp, hostname, lastPort, makeOtp } from '../names.ts'
import type { FleetDatabase } from './database.ts'
import type { Otps } from './provisioning.ts'

/** The devices that one call allocated: consecutive numbers. */
export interface Allocated {
  first: number
  num: number
  /** False when the same call, made before, has allocated them. */
  fresh: boolean
}

/** What the same call, made before, allocated. Fails with E_INPUT when it was another one. */
export function allocatedBy(
  main: FleetDatabase,
  call: { fleet: string; num: number; request: string },
): Allocated | undefined {
  const row = main.get<Omit<Allocated, 'fresh'> & { fleet: string }>(
    'SELECT fleet, first, num FROM requests WHERE request = ?',
    call.request,
  )
  if (row && (row.fleet !== call.fleet || row.num !== call.num)) {
    throw new FleetsieError('E_INPUT', `the request ${call.request} was made before, for something else`)
  }
  return row && { first: row.first, num: row.num, fresh: false }
}

/** Ports for `num` devices, in the order in which they are given. Fails with E_INPUT when there are not as many. */
export function freePorts(main: FleetDatabase, num: number): number[] {
  const taken = new Set(
    main
      .all<{ port: number }>('SELECT tunnel_port AS port FROM devices WHERE tunnel_port >= ?', firstPort)
      .map(({ port }) => port),
  )
  const highest = Math.max(firstPort - 1, ...[...taken].filter((port) => port <= lastPort))
  const ports: number[] = []
  for (let port = highest + 1; port <= lastPort && ports.length < num; port += 1) ports.push(port)
  let free = lastPort - highest
  for (let port = firstPort; port <= highest; port += 1) {
    if (taken.has(port)) continue
    free += 1
    if (ports.length < num) ports.push(port)
  }
  if (ports.length === num) return ports
  throw new FleetsieError('E_INPUT', 'no more TCP ports left - quitting.', {
    hint: `${num} devices were asked for, ${free} of the ports ${firstPort} to ${lastPort} are free; \`revoke\` frees more`,
  })
}

/** Allocates in Main, in the caller's transaction; the new OTPs are added to `otps`. */
export function allocate(
  main: FleetDatabase,
  call: { fleet: string; num: number; request: string; now: number },
  otps: Otps,
): Allocated {
  const { fleet, num, request, now } = call
  const ports = freePorts(main, num)
  const highest = main.get<{ id: number | null }>(
    'SELECT max(id_in_fleet) AS id FROM devices WHERE fleet = ?',
    fleet,
  )
  const loginKey =
    main.get<{ login_key: string }>('SELECT login_key FROM fleets WHERE fleet = ?', fleet)?.login_key ?? ''
  const first = (highest?.id ?? 0) + 1
  for (const [index, port] of ports.entries()) {
    const id = first + index
    const otp = makeOtp()
    main.run(
      `INSERT INTO devices (fleet, id_in_fleet, fleetuser, hostname, otp, ts_generated, tunnel_port, device_public_key,
       device_private_key, server_public_key, server_private_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '', '')`,
      fleet,
      id,
      fleetUser(fleet),
      hostname(fleet, id),
      hashOtp(otp),
      now,
      port,
      loginKey,
    )
    otps.set(id, otp)
  }
  if (num > 0) {
    main.run(
      'INSERT INTO requests (request, fleet, first, num, ts) VALUES (?, ?, ?, ?, ?)',
      request,
      fleet,
      first,
      num,
      now,
    )
  }
  return { first, num, fresh: true }
}

/** Takes an allocation back that nobody was told of. */
export function takeBack(
  main: FleetDatabase,
  fleet: string,
  request: string,
  { first, num }: Allocated,
): void {
  main.run(
    'DELETE FROM devices WHERE fleet = ? AND id_in_fleet BETWEEN ? AND ? AND hwid IS NULL',
    fleet,
    first,
    first + num - 1,
  )
  main.run('DELETE FROM requests WHERE request = ?', request)
}
