/** Values in words, without a secret. */
import type { DeviceValues } from './types.ts'

/** One part for each value: `hostname pi-7`, `a password`. */
export function describe(values: DeviceValues): string[] {
  const { hostname, user, password, sshKeys, wifi, wifiCountry, timezone } = values
  const parts: string[] = []
  if (hostname !== undefined) parts.push(`hostname ${hostname}`)
  if (user !== undefined) parts.push(`user ${user}`)
  if (password) parts.push('a password')
  if (sshKeys.length > 0) parts.push(sshKeys.length === 1 ? 'an ssh key' : `${sshKeys.length} ssh keys`)
  if (wifi)
    parts.push(
      `Wi-Fi ${JSON.stringify(wifi.ssid.toString())}${wifi.password ? ' with a password' : ', open'}`,
    )
  if (wifiCountry !== undefined) parts.push(`Wi-Fi country ${wifiCountry}`)
  if (timezone !== undefined) parts.push(`time zone ${timezone}`)
  return parts
}
