/** netplan's YAML, as Ubuntu Server has it: https://netplan.readthedocs.io/en/stable/netplan-yaml/ */
import { FleetsieError } from '../../../errors.ts'
import type { Wifi } from '../types.ts'
import { rawKey } from './raw-key.ts'

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
    ...(country === undefined ? [] : [`      regulatory-domain: ${JSON.stringify(country)}`]),
    '      access-points:',
  ]
  // netplan hands both on to wpa_supplicant.conf between quotes, without a look at what is in them.
  const called = textOf(ssid)
  if (called === undefined) {
    throw new FleetsieError(
      'E_INPUT',
      'the name of the Wi-Fi network has signs that netplan cannot hand on',
      {
        hint: 'quotes, control characters and what is not UTF-8 cannot stand there',
      },
    )
  }
  if (password) {
    const text = textOf(password.reveal()) ?? rawKey(ssid, password)
    lines.push(`        ${JSON.stringify(called)}:`, `          password: ${JSON.stringify(text)}`)
  } else {
    lines.push(`        ${JSON.stringify(called)}: {}`)
  }
  return `${lines.join('\n')}\n`
}

/** JSON's strings are YAML's double-quoted ones. */
function textOf(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) && !/[\p{Cc}"]/u.test(text) ? text : undefined
}
