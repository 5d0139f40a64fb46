/** `devices FLEET`: the devices of a fleet, as its server knows them. */
import { FleetsieError, toFleetsieError } from '../../errors.ts'
import { type FleetPlace, findPlace, rememberHost } from '../../fleet/client/fleet-folder.ts'
import { listDevices } from '../../fleet/client/list.ts'
import type { ListedDevice, ListedDisk } from '../../fleet/server/protocol.ts'
import { type Choice, chosenBy } from '../fleet/choose-devices.ts'
import { csvHeader, csvRow, deviceLine, hostWidth, tableHeader } from '../fleet/device-lines.ts'
import { diskCsvHeader, diskCsvRow, diskLine, diskTableHeader } from '../fleet/disk-lines.ts'
import { onFleetServer } from '../fleet/server.ts'
import type { Session } from '../session.ts'

export interface FleetDevicesOptions extends Choice {
  json?: boolean
  csv?: boolean
  host?: string
  disks?: boolean
}

export async function fleetDevices(
  session: Session,
  fleets: readonly string[],
  options: FleetDevicesOptions,
): Promise<void> {
  await session.show(options)
  const { online, away, unclaimed, revoked, name } = options
  if (options.disks && (online || away || unclaimed || revoked || name !== undefined)) {
    throw new FleetsieError('E_USAGE', '--disks lists disks, and the other options choose devices')
  }
  const places = await Promise.all(fleets.map((fleet) => findPlace(process.env, fleet, options.host)))
  if (options.csv && !options.json) {
    session.emit({ type: 'answer', text: options.disks ? diskCsvHeader : csvHeader })
  }
  let failed = 0
  for (const place of places) {
    try {
      await tellFleet(session, place, options)
    } catch (error) {
      // A server that is down does not hide the fleets of another.
      if (places.length === 1 || session.signal.aborted) throw error
      failed++
      const { message, hint } = toFleetsieError(error)
      const remedy = hint === undefined ? '' : `\n  try: ${hint}`
      session.emit({ type: 'warning', message: `${place.fleet}: ${message}${remedy}` })
    }
  }
  if (failed > 0)
    throw new FleetsieError('E_STAGE', `${failed} of ${places.length} fleets could not be listed`)
}

async function tellFleet(session: Session, place: FleetPlace, options: FleetDevicesOptions): Promise<void> {
  const { devices, guesses, disks } = await onFleetServer(session, place, (host) =>
    listDevices(host, place.fleet, session),
  )
  await rememberHost(process.env, place)
  if (options.disks) tellDisks(session, place, disks, options)
  else tell(session, devices.filter(chosenBy(options)), devices, options)
  for (const { lot, wrong, last } of guesses) {
    const when = new Date(last * 1000).toISOString().slice(0, 16).replace('T', ' ')
    session.emit({
      type: 'warning',
      message: `the disk ${lot} sent ${wrong} wrong passwords, the last at ${when} UTC\n  try: where it was lost, fleetsie revoke ${place.fleet} --lot ${lot}`,
    })
  }
}

function tellDisks(
  session: Session,
  { fleet }: FleetPlace,
  disks: readonly ListedDisk[],
  { csv, json }: FleetDevicesOptions,
): void {
  const now = Date.now() / 1000
  if (json) {
    for (const disk of disks) session.emit({ type: 'answer', text: diskLine(disk, now), data: disk })
    return
  }
  const lines = disks.map((disk) => (csv ? diskCsvRow(disk, now) : diskLine(disk, now)))
  const text = csv || lines.length === 0 ? lines : [diskTableHeader, ...lines]
  if (text.length > 0) session.emit({ type: 'answer', text: text.join('\n') })
  else if (!csv) session.emit({ type: 'answer', text: `no disk of ${fleet} was made yet` })
}

function tell(
  session: Session,
  shown: readonly ListedDevice[],
  all: readonly ListedDevice[],
  { csv, json }: FleetDevicesOptions,
): void {
  if (json) {
    for (const device of shown) session.emit({ type: 'answer', text: deviceLine(device), data: device })
    return
  }
  // One write for ten thousand lines.
  const width = hostWidth(shown)
  const rows = shown.map((device) => (csv ? csvRow(device) : deviceLine(device, width)))
  if (csv) {
    if (rows.length > 0) session.emit({ type: 'answer', text: rows.join('\n') })
    return
  }
  const count = (state: ListedDevice['state']): number =>
    all.filter((device) => device.state === state).length
  const lines = [...(rows.length > 0 ? [tableHeader(width)] : []), ...rows]
  const states = (['online', 'claimed', 'unclaimed', 'revoked'] as const).map(
    (state) => `${count(state)} ${state === 'claimed' ? 'away' : state}`,
  )
  if (shown.length === 0 && all.length > 0) lines.push('none of its devices is like that')
  session.emit({
    type: 'answer',
    text: [...lines, `${all.length} ${all.length === 1 ? 'device' : 'devices'}: ${states.join(', ')}`].join(
      '\n',
    ),
  })
}
