/** The regulatory domain: which channels Wi-Fi may use, and on a Raspberry Pi whether it may at all. */
import type { Card } from '../card.ts'
import type { VolumeEdit } from '../volume-edit.ts'

const parameter = /\s*\bcfg80211\.ieee80211_regdom=\S*/g

/** The country that the kernel is told already. */
export function knowsCountry(card: Card): boolean {
  return /\bcfg80211\.ieee80211_regdom=\S/.test(card.boot?.read('cmdline.txt') ?? '')
}

/** As raspi-config does it where there is a cmdline.txt; elsewhere as an option of the kernel's module. */
export function putCountry(card: Card, country: string): void {
  const cmdline = card.boot?.read('cmdline.txt')
  if (card.boot && cmdline !== undefined) {
    const [first = '', ...rest] = cmdline.split('\n')
    const line = `${first.replace(parameter, '').trimEnd()} cfg80211.ieee80211_regdom=${country}`
    card.boot.rewrite('cmdline.txt', [line, ...rest].join('\n'), { mode: 0o755 })
  }
  for (const root of card.roots) {
    if (cmdline === undefined) {
      root.folder('etc/modprobe.d', { mode: 0o755 })
      const text = `options cfg80211 ieee80211_regdom=${country}\n`
      root.write('etc/modprobe.d/fleetsie-wifi-country.conf', Buffer.from(text), { mode: 0o644 })
    }
    allow(root)
  }
}

/** pi-gen keeps Wi-Fi off until the country is known: https://github.com/RPi-Distro/pi-gen, stage2/02-net-tweaks. */
function allow(root: VolumeEdit): void {
  const state = 'var/lib/NetworkManager/NetworkManager.state'
  const text = root.read(state)
  const on = text?.replace(/^([ \t]*WirelessEnabled[ \t]*=[ \t]*)false[ \t]*$/m, '$1true')
  if (on !== undefined && on !== text) root.rewrite(state, on, { mode: 0o600 })
  const folder = 'var/lib/systemd/rfkill'
  for (const name of root.list(folder)) {
    if (name.endsWith(':wlan')) root.rewrite(`${folder}/${name}`, '0\n', { mode: 0o644 })
  }
}
