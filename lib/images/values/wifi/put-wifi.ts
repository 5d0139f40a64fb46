/** The Wi-Fi network, in the form of what the image joins networks with. */
import { randomUUID } from 'node:crypto'
import { FleetsieError } from '../../../errors.ts'
import type { Card } from '../card.ts'
import { enableUnit, findUnit } from '../systemd.ts'
import type { DeviceValues, Wifi } from '../types.ts'
import type { VolumeEdit } from '../volume-edit.ts'
import { knowsCountry, putCountry } from './country.ts'
import { keyfile } from './keyfile.ts'
import { managerOf } from './manager.ts'
import { netplanYaml } from './netplan.ts'
import { supplicantConf } from './supplicant.ts'

/** What all but NetworkManager have to be told; a link file gives the first adapter this name. */
const adapter = 'wlan0'

/** Fails with E_INPUT where the image has nothing that would join the network. */
export function putWifi(card: Card, { wifi, wifiCountry }: DeviceValues): void {
  if (wifi) {
    for (const root of card.roots) {
      if (wifiCountry === undefined && root.has('etc/rpi-issue') && !knowsCountry(card)) {
        throw new FleetsieError('E_INPUT', 'Raspberry Pi OS keeps Wi-Fi off until it knows the country', {
          hint: 'give wifi-country as well, for example --set wifi-country=CA',
        })
      }
      putNetwork(root, wifi, wifiCountry)
    }
  }
  if (wifiCountry !== undefined) putCountry(card, wifiCountry)
}

function putNetwork(root: VolumeEdit, wifi: Wifi, country: string | undefined): void {
  const manager = managerOf(root)
  switch (manager) {
    case 'NetworkManager': {
      const folder = 'etc/NetworkManager/system-connections'
      root.folder(folder, { mode: 0o755 })
      // NetworkManager passes over a file that others can read.
      const text = keyfile(wifi, randomUUID())
      root.write(`${folder}/fleetsie-wifi.nmconnection`, Buffer.from(text), { mode: 0o600 })
      return
    }
    case 'netplan': {
      const text = netplanYaml(wifi, { name: adapter, country })
      root.write('etc/netplan/90-fleetsie-wifi.yaml', Buffer.from(text), { mode: 0o600 })
      nameAdapter(root)
      return
    }
    case 'systemd-networkd': {
      const network = `[Match]\nName=${adapter}\n\n[Network]\nDHCP=yes\n`
      root.folder('etc/systemd/network', { mode: 0o755 })
      root.write('etc/systemd/network/25-fleetsie-wifi.network', Buffer.from(network), { mode: 0o644 })
      putSupplicant(root, wifi, country)
      const unit = findUnit(root, ['wpa_supplicant@.service'])
      if (unit === undefined) {
        throw new FleetsieError(
          'E_INPUT',
          'the image has wpa_supplicant, but not its unit wpa_supplicant@.service',
        )
      }
      enableUnit(root, unit, 'multi-user.target.wants', `wpa_supplicant@${adapter}.service`)
      nameAdapter(root)
      return
    }
    case 'ifupdown': {
      const conf = putSupplicant(root, wifi, country)
      const text = `auto ${adapter}\niface ${adapter} inet dhcp\n\twpa-conf /${conf}\n`
      if (!/^\s*source(-directory)?\s.*interfaces\.d/m.test(root.read('etc/network/interfaces') ?? '')) {
        throw new FleetsieError(
          'E_INPUT',
          '/etc/network/interfaces in the image does not read interfaces.d',
          {
            hint: 'add the line `source /etc/network/interfaces.d/*` to it, in an overlay',
          },
        )
      }
      root.folder('etc/network/interfaces.d', { mode: 0o755 })
      root.write('etc/network/interfaces.d/fleetsie-wifi', Buffer.from(text), { mode: 0o644 })
      nameAdapter(root)
    }
  }
}

function putSupplicant(root: VolumeEdit, wifi: Wifi, country: string | undefined): string {
  const path = `etc/wpa_supplicant/wpa_supplicant-${adapter}.conf`
  const group = /^netdev:/m.test(root.read('etc/group') ?? '')
  root.folder('etc/wpa_supplicant', { mode: 0o755 })
  root.write(path, supplicantConf(wifi, { country, group }), { mode: 0o600 })
  return path
}

/** systemd.link(5): elsewhere it may be called wlp1s0, or by its address. */
function nameAdapter(root: VolumeEdit): void {
  const text = `[Match]\nType=wlan\n\n[Link]\nName=${adapter}\n`
  root.folder('etc/systemd/network', { mode: 0o755 })
  root.write('etc/systemd/network/10-fleetsie-wifi.link', Buffer.from(text), { mode: 0o644 })
}
