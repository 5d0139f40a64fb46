/** What on an image joins networks, found by looking: NetworkManager, netplan, systemd-networkd or ifupdown. */
import { FleetsieError } from '../../../errors.ts'
import { isEnabled } from '../systemd.ts'
import type { VolumeEdit } from '../volume-edit.ts'

export type Manager = 'NetworkManager' | 'netplan' | 'systemd-networkd' | 'ifupdown'

/** Fails with E_INPUT when there is none, or nothing that speaks WPA. */
export function managerOf(root: VolumeEdit): Manager {
  const hasProgram = (name: string): boolean => root.has(`usr/sbin/${name}`) || root.has(`sbin/${name}`)
  const manager = ((): Manager | undefined => {
    if (hasProgram('NetworkManager') && isEnabled(root, 'NetworkManager.service')) return 'NetworkManager'
    if (hasProgram('netplan') && root.list('etc/netplan').some((name) => name.endsWith('.yaml')))
      return 'netplan'
    if (isEnabled(root, 'systemd-networkd.service')) return 'systemd-networkd'
    if (hasProgram('ifup') && isEnabled(root, 'networking.service')) return 'ifupdown'
    return undefined
  })()
  if (manager === undefined) {
    throw new FleetsieError(
      'E_INPUT',
      'a Wi-Fi network is given, and nothing on the image that is enabled would join it',
      {
        hint: 'NetworkManager, netplan, systemd-networkd and ifupdown are known; build the image with one of them, or leave wifi-ssid out',
      },
    )
  }
  if (!hasProgram('wpa_supplicant') && !(manager === 'NetworkManager' && root.has('usr/libexec/iwd'))) {
    throw new FleetsieError(
      'E_INPUT',
      `a Wi-Fi network is given, and the image has ${manager}, but no wpa_supplicant`,
      {
        hint: 'build the image with the package wpasupplicant, or leave wifi-ssid out',
      },
    )
  }
  return manager
}
