/** A connection of NetworkManager: nm-settings-keyfile(5), in GKeyFile's form. */
import { FleetsieError } from '../../../errors.ts'
import { isRawKey } from '../check.ts'
import type { Wifi } from '../types.ts'

/** The file's text, UTF-8. Fails with E_INPUT for a password that NetworkManager could not read. */
export function keyfile({ ssid, password }: Wifi, uuid: string): string {
  const lines = [
    '[connection]',
    'id=fleetsie-wifi',
    `uuid=${uuid}`,
    'type=wifi',
    '',
    '[wifi]',
    'mode=infrastructure',
    `ssid=${ssidValue(ssid)}`,
  ]
  if (password) {
    lines.push('', '[wifi-security]', 'key-mgmt=wpa-psk', `psk=${pskValue(password.reveal())}`)
  }
  lines.push('', '[ipv4]', 'method=auto', '', '[ipv6]', 'method=auto', '')
  return lines.join('\n')
}

/** Plain names as they are, all others by bytes: `104;105;`. A name of digits alone could be such a list. */
function ssidValue(ssid: Buffer): string {
  const text = ssid.toString('latin1')
  if (/^[A-Za-z0-9._-]([A-Za-z0-9 ._-]*[A-Za-z0-9._-])?$/.test(text) && /[A-Za-z]/.test(text)) return text
  return [...ssid].map((byte) => `${byte};`).join('')
}

/** GKeyFile takes blanks at the beginning away, and has `\` as its escape. */
function pskValue(bytes: Buffer): string {
  if (isRawKey(bytes)) return bytes.toString('latin1')
  const text = bytes.toString('utf8')
  if (!Buffer.from(text).equals(bytes)) {
    throw new FleetsieError('E_INPUT', 'the Wi-Fi password is not UTF-8, which NetworkManager cannot read', {
      hint: 'give the 64 hex digits that `wpa_passphrase` makes of it',
    })
  }
  return text.replaceAll('\\', '\\\\').replace(/^ +| +$/g, (blanks) => '\\s'.repeat(blanks.length))
}
