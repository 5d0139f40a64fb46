/** Which files of a card are its device's own, so that `updatesd --files` leaves them as they are. */
import type { FileChange } from '../diff/compare.ts'

/** What a partition is for: rules are for places that mean something there. */
export type Role = 'root' | 'boot' | 'data'

/** Paths from the partition's top. A folder stands for all that is in it. */
const rootRules: readonly RegExp[] = [
  /^etc\/(hostname|hosts|machine-id|machine-info|adjtime|resolv\.conf|localtime|timezone)$/,
  /^etc\/default\/(locale|keyboard)$/,
  // The first boot of Raspberry Pi OS gives the disk another id, and writes it here.
  /^etc\/fstab$/,
  /^var\/lib\/dbus\/machine-id$/,
  /^etc\/ssh\/ssh_host_/,
  // Networks that the device knows.
  /^etc\/NetworkManager\/system-connections(\/|$)/,
  /^etc\/wpa_supplicant\/.*\.conf$/,
  /^etc\/netplan\/(50-cloud-init|90-fleetsie-wifi|90-NM-.*)\.yaml$/,
  /^var\/lib\/(NetworkManager|bluetooth|iwd|dhcp|dhcpcd)(\/|$)/,
  // What the claim wrote: docs/device-values.md.
  /^opt\/fleetsie\/fleet_extra$/,
  /^etc\/zabbix(\/|$)/,
  /^(root|home\/[^/]+)\/\.ssh(\/|$)/,
  // What the device has written down.
  /^var\/(log|mail|spool|backups|tmp|crash)(\/|$)/,
  /^tmp(\/|$)/,
  /^var\/lib\/systemd\/(random-seed|credential\.secret|timesync|rfkill|timers|linger|coredump|backlight)(\/|$)/,
  /^var\/lib\/(cloud|private|logrotate)(\/|$)/,
  /^(root|home\/[^/]+)\/\.[a-z_]*(history|hsts|lesshst)$/,
  /^lost\+found(\/|$)/,
]

/** The firmware's partition: what a first boot takes away or rewrites. */
const bootRules: readonly RegExp[] = [
  /^cmdline\.txt$/i,
  /^(userconf|ssh)(\.txt)?$/i,
  /^(wpa_supplicant\.conf|custom\.toml|firstrun\.sh|user-data|meta-data|network-config)$/i,
]

/** Links by which a system says what starts. Some units take theirs away when they have done their work. */
const startLink = /^etc\/(systemd\/system\/[^/]+\.(wants|requires)\/[^/]+|rc[0-6S]\.d\/[^/]+)$/

export function isProtected(role: Role, path: string): boolean {
  const rules = role === 'root' ? rootRules : role === 'boot' ? bootRules : []
  return rules.some((rule) => rule.test(path))
}

/**
 * Whether the card lacks what the image starts because the device does not start it any more: `fleetsie-provision.service`
 * after the claim, units of a first boot. The stock had the link, or the card has the unit and no link to it.
 */
export function isSwitchedOff(
  change: FileChange,
  role: Role,
  has: { stock: ((path: string) => boolean) | undefined; card: (path: string) => boolean },
): boolean {
  const { path, kind } = change
  if (role !== 'root' || kind !== 'added' || !startLink.test(path)) return false
  if (has.stock?.(path)) return true
  const target = (change.after?.target ?? '').replace(/^\/+/, '')
  const name = path.slice(path.lastIndexOf('/') + 1)
  return [
    target,
    `usr/lib/systemd/system/${name}`,
    `etc/systemd/system/${name}`,
    `etc/init.d/${name.slice(3)}`,
  ]
    .filter((candidate) => candidate !== '' && !candidate.startsWith('..'))
    .some(has.card)
}
