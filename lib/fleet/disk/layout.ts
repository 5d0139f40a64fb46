/** The names on a provisioning disk, and what older versions of the format called them. */

import { createHash } from 'node:crypto'

export const names = {
  wifi: 'wifi.txt',
  fleet: 'fleet.txt',
  database: 'devices.sqlite',
  list: 'devices.txt',
  claimed: 'claimed.txt',
  key: 'fleetsieauth',
  publicKey: 'fleetsieauth.pub',
  unit: 'ssh-tunnel.service',
  tunnel: 'ssh_tunnel.sh',
  customize: 'customize',
} as const

/**
 * The key of a new disk until it is whole: so that a call that is repeated after a crash is of the same lot. Each fleet
 * has its own, for a key is of one lot.
 */
export function nextKeyName(fleet: string, host: string): string {
  const of = createHash('sha256').update(`${fleet}@${host}`).digest('hex').slice(0, 8)
  return `${names.key}.${of}.new`
}

export const isNextKey = (name: string): boolean => /^fleetsieauth\.[0-9a-f]{8}\.new$/.test(name)

/** The program and the unit on the disk, which come from `units/`. */
export const diskUnits = [names.unit, names.tunnel] as const

/** Readers take these two lines for nothing. */
export const wifiTemplate = 'replace_with_wifi_network_name\r\nreplace_with_wifi_password\r\n'

/** The older layout. `custom` and `custom_post` are one thing by two names. */
export const olderNames = {
  database: 'provisioning.sqlite',
  backup: 'backup_provisioning.sqlite',
  key: (fleet: string) => `id_ed25519_provision_${fleet}`,
  customize: ['custom_post', 'custom'],
  /** What devices look for in these two, and not in `customize`. */
  customizeOnly: ['packages', 'overlay.tar.xz', 'cleanup'],
} as const

/** What may be read of one file, bytes. Ten thousand devices take 4 MB. */
export const limits = { text: 64 * 1024, devices: 64 * 1024 * 1024 } as const
