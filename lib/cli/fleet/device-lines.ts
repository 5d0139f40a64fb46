/** The devices of a fleet as lines of a table and as CSV. */
import type { ListedDevice } from '../../fleet/server/protocol.ts'

type Column = readonly [name: string, value: (device: ListedDevice) => string | number | null]

const columns: readonly Column[] = [
  ['number', (device) => device.id_in_fleet],
  ['hostname', (device) => device.hostname],
  ['state', (device) => device.state],
  ['port', (device) => device.tunnel_port],
  ['hwid', (device) => device.hwid],
  ['since', (device) => iso(since(device))],
  ['address', address],
  ['user', (device) => device.user],
  ['lot', (device) => device.lot],
  ['generated', (device) => iso(device.generated)],
  ['claimed', (device) => iso(device.claimed)],
]

export const csvHeader = columns.map(([name]) => name).join(',')

/** One row (RFC 4180). */
export function csvRow(device: ListedDevice): string {
  return columns.map(([, value]) => field(value(device))).join(',')
}

/** Characters that the hosts of this list take: `north_field-1234` has as many as its name. */
export function hostWidth(devices: readonly ListedDevice[]): number {
  return devices.reduce((width, { hostname }) => Math.max(width, hostname.length), 12)
}

/** `barn-7        online     20007  b8:27:eb:12:34:56  2026-11-20 15:04  192.0.2.7` */
export function deviceLine(device: ListedDevice, width = 12): string {
  const time = iso(since(device))?.slice(0, 16).replace('T', ' ') ?? ''
  const cells = [
    device.hostname.padEnd(width),
    device.state.padEnd(9),
    String(device.tunnel_port ?? '-').padEnd(5),
    (device.hwid ?? '-').padEnd(17),
    time.padEnd(16),
    address(device) ?? '',
  ]
  return cells.join('  ').trimEnd()
}

export function tableHeader(width: number): string {
  const names = ['host'.padEnd(width), 'state'.padEnd(9), 'port'.padEnd(5), 'hwid'.padEnd(17)]
  return [...names, 'since (UTC)'.padEnd(16), 'address'].join('  ')
}

/** Since when it is in its state, unix seconds; of one that is away, since when. */
export function since(device: ListedDevice): number | null {
  switch (device.state) {
    case 'unclaimed':
      return device.generated
    case 'online':
      return device.online?.since ?? null
    case 'claimed':
      return device.seen ?? device.claimed
    case 'revoked':
      return device.revoked
  }
}

/** Where it is; of one that is away, where it claimed from. */
function address(device: ListedDevice): string | null {
  return device.online?.from ?? device.claimed_from
}

function iso(seconds: number | null): string | null {
  return seconds === null ? null : `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`
}

function field(value: string | number | null): string {
  const text = String(value ?? '')
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
