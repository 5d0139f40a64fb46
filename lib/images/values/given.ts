/** From what was typed or read to checked values: one place for `--set` and for a CSV's rows. */
import { FleetsieError } from '../../errors.ts'
import {
  checkCountry,
  checkHostname,
  checkPassword,
  checkSshKeys,
  checkSsid,
  checkTimezone,
  checkUser,
  checkWifiPassword,
} from './check.ts'
import { Secret } from './secret.ts'
import type { DeviceValues, ValueName } from './types.ts'

/** Bytes by name. Only `ssh-key` may have several. */
export type Given = ReadonlyMap<ValueName, readonly Buffer[]>

/**
 * Checks everything. `where` says what place a name was given at, for the message.
 * Fails with E_INPUT, or E_UNSAFE for a private key, and shows no secret.
 */
export function checkGiven(given: Given, from: string, where: (name: ValueName) => string): DeviceValues {
  const check = <T>(name: ValueName, judge: (bytes: Buffer) => T): T | undefined => {
    const bytes = given.get(name)?.[0]
    if (bytes === undefined) return undefined
    try {
      if (bytes.length === 0) throw new FleetsieError('E_INPUT', 'it is empty')
      if (bytes.includes(0)) throw new FleetsieError('E_INPUT', 'it has a NUL byte')
      return judge(bytes)
    } catch (error) {
      if (error instanceof FleetsieError) error.message = `${where(name)}: ${error.message}`
      throw error
    }
  }
  const values: DeviceValues = { from, sshKeys: [] }
  const text = (judge: (text: string) => string) => (bytes: Buffer) => judge(utf8(bytes))
  const hostname = check('hostname', text(checkHostname))
  const user = check('user', text(checkUser))
  const password = check('password', checkPassword)
  const timezone = check('timezone', text(checkTimezone))
  const wifiCountry = check('wifi-country', text(checkCountry))
  const ssid = check('wifi-ssid', checkSsid)
  const wifiPassword = check('wifi-password', checkWifiPassword)
  const keys = check('ssh-key', () => given.get('ssh-key')!.flatMap(checkSshKeys))
  if (wifiPassword && !ssid) {
    throw new FleetsieError('E_INPUT', `${where('wifi-password')}: of which network? wifi-ssid is missing`)
  }
  if (hostname !== undefined) values.hostname = hostname
  if (user !== undefined) values.user = user
  if (password !== undefined) values.password = new Secret(password)
  if (timezone !== undefined) values.timezone = timezone
  if (wifiCountry !== undefined) values.wifiCountry = wifiCountry
  if (ssid) values.wifi = { ssid, ...(wifiPassword && { password: new Secret(wifiPassword) }) }
  if (keys) values.sshKeys = [...new Set(keys)]
  return values
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new FleetsieError('E_INPUT', 'it is not UTF-8')
  }
}
