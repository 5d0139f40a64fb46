/** netplan's YAML, as Ubuntu Server has it: https://netplan.readthedocs.io/en/stable/netplan-yaml/ */
import { FleetsieError } from '../../../errors.ts'
import type { Wifi } from '../types.ts'

/** The file's text. Fails with E_INPUT for what YAML cannot hold. */
export function netplanYaml(
  { ssid, password }: Wifi,
  { name, country }: { name: string; country: string | undefined },
): string {
  const lines = [
    'network:',
    '  version: 2',
    '  wifis:',
    `    ${name}:`,
    '      dhcp4: true',
    '      optional: true',
    ...(country === undefined ? [] : [`      regulatory-domain: ${quoted(Buffer.from(country))}`]),
    '      access-points:',
  ]
  if (password) {
    lines.push(`        ${quoted(ssid)}:`, `          password: ${quoted(password.reveal())}`)
  } else {
    lines.push(`        ${quoted(ssid)}: {}`)
  }
  return `${lines.join('\n')}\n`
}

/** JSON's strings are YAML's double-quoted ones. */
function quoted(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  if (Buffer.from(text).equals(bytes)) return JSON.stringify(text)
  throw new FleetsieError(
    'E_INPUT',
    'the name or the password of the Wi-Fi network is not UTF-8, which netplan cannot hold',
  )
}
