/** wpa_supplicant.conf(5), in its own words: config.c and config_file.c of wpa_supplicant 2.10. */
import { isRawKey } from '../check.ts'
import type { Wifi } from '../types.ts'
import { rawKey } from './raw-key.ts'

/** The file's bytes. `group`: whose members may ask wpa_supplicant, if the image has such a group. */
export function supplicantConf(
  { ssid, password }: Wifi,
  { country, group }: { country: string | undefined; group: boolean },
): Buffer {
  const lines = [`ctrl_interface=DIR=/run/wpa_supplicant${group ? ' GROUP=netdev' : ''}`]
  if (country !== undefined) lines.push(`country=${country}`)
  // In hex: any bytes. The name may be hidden.
  lines.push('', 'network={', `\tssid=${ssid.toString('hex')}`, '\tscan_ssid=1')
  if (!password) {
    lines.push('\tkey_mgmt=NONE')
  } else {
    const key = quotable(password.reveal())
      ? `"${password.reveal().toString('latin1')}"`
      : rawKey(ssid, password)
    // WPA3 takes the passphrase only.
    if (key.startsWith('"')) lines.push('\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE', '\tieee80211w=1')
    else lines.push('\tkey_mgmt=WPA-PSK WPA-PSK-SHA256')
    lines.push(`\tpsk=${key}`)
  }
  lines.push('}', '')
  return Buffer.from(lines.join('\n'), 'latin1')
}

/** Behind a quote within the quotes, a `#` would begin a comment. */
function quotable(bytes: Buffer): boolean {
  return !isRawKey(bytes) && !bytes.includes('"')
}
