/**
 * fleetsie_provision and wifi.txt: networks are joined only without a route, and what is in the file goes nowhere but to the
 * program that joins.
 */
import assert from 'node:assert/strict'
import { pbkdf2Sync } from 'node:crypto'
import type { DeviceRoot, Ended } from '../helpers/device-root.ts'
import { type Case, log, stopped, succeeds, underEveryShell } from '../helpers/provision-cases.ts'

/** Name and password as an attacker would have them, and as the two programs have to read them. */
const essid = 'a b$(touch /tmp/run);"\\'
const password = ' p"$(touch /tmp/run)\\;# '
const pairs = (...lines: string[]): string => lines.map((line) => `${line}\r\n`).join('')

function wifi(): Case[] {
  const bytes = [...Buffer.from(essid)]
  const decimal = `ssid=${bytes.map((byte) => `${byte};`).join('')}`
  const hex = `\tssid=${Buffer.from(essid).toString('hex')}`
  const template = ['replace_with_wifi_network_name', 'replace_with_wifi_password']
  const untold = (ended: Ended, device: DeviceRoot): void => {
    const calls = (device.read('fake/calls') ?? '').replaceAll(/uuid \S+/g, '')
    assert.doesNotMatch(ended.said + device.onDisk(log) + calls, /touch|tmp.run|elsewhere|97;32;/)
    assert.equal(device.read('tmp/run'), undefined)
  }
  const wireless = (device: DeviceRoot, joined: string): void => {
    device.write('fake/no-route', '')
    device.write('fake/network', `${joined}\n`)
    device.write('sys/class/net/wlan0/phy80211/macaddress', 'aa:bb:cc:dd:ee:02\n')
  }
  return [
    {
      title: 'joins the network of wifi.txt that lets it in, by NetworkManager',
      prepare(device) {
        wireless(device, decimal)
        device.write('fake/networkmanager', 'running\n')
        device.write('etc/NetworkManager/NetworkManager.conf', '')
        device.write('etc/NetworkManager/system-connections/keep', '')
        device.disk('wifi.txt', pairs(...template, 'elsewhere', 'elsewhere-password', essid, password, 'odd'))
      },
      check(ended, device) {
        succeeds()(ended, device)
        const file = 'etc/NetworkManager/system-connections/fleetsie-usb.nmconnection'
        assert.match(device.read(file)!, /^psk=\\sp"\$\(touch\\s\/tmp\/run\)\\\\;#\\s$/m)
        assert.equal(device.owned(file), '100600 0:0')
        untold(ended, device)
      },
    },
    {
      title:
        'joins the network of wifi.txt that lets it in, by wpa_supplicant, and leaves the country as it is',
      prepare(device) {
        wireless(device, hex)
        device.write('fake/active', 'systemd-networkd.service\n')
        device.write('etc/systemd/network/keep', '')
        device.write('etc/wpa_supplicant/wpa_supplicant.conf', 'country=CA\n')
        device.disk('wifi.txt', pairs('elsewhere', 'elsewhere-password', essid, password))
      },
      check(ended, device) {
        succeeds()(ended, device)
        const text = device.read('etc/wpa_supplicant/wpa_supplicant-wlan0.conf')!
        assert.match(text, /^country=CA$/m)
        // By another road than the program's: the key of IEEE 802.11, annex J.4.
        const key = pbkdf2Sync(password, essid, 4096, 32, 'sha1').toString('hex')
        assert.match(text, new RegExp(`^\\tpsk=${key}$`, 'm'))
        untold(ended, device)
      },
    },
    {
      title: 'joins by ifupdown, whose programs outlive this one, though an unplugged cable has a route',
      prepare(device) {
        wireless(device, hex)
        device.write('fake/unplugged', '')
        const joins =
          'grep -qxf /fake/network /etc/wpa_supplicant/wpa_supplicant-wlan0.conf && rm /fake/no-route'
        const scope = `#!/bin/sh\n[ "$*" = '--quiet --scope ifup wlan0' ] && ${joins}\n`
        device.write('device/systemd-run', scope, 0o755)
        device.disk('wifi.txt', pairs(essid, password))
      },
      check(ended, device) {
        succeeds()(ended, device)
        assert.match(device.read('etc/network/interfaces.d/fleetsie-wifi')!, /^iface wlan0 inet dhcp$/m)
        untold(ended, device)
      },
    },
    {
      title: 'writes into the home that the user has at the end, not at the beginning',
      prepare(device) {
        device.write('fake/no-route', '')
        device.write('home/pi/mine', '')
        device.write('etc/passwd', `${device.read('etc/passwd')}pi:x:1000:1000::/home/pi:/bin/sh\n`)
        const rename = "sed -i 's|^pi:\\(.*\\)/home/pi|me:\\1/home/me|' /etc/passwd; mv /home/pi /home/me"
        device.write('fake/after-1', `${rename}; rm "$FAKE/no-route"\n`)
      },
      check(ended, device) {
        assert.equal(ended.status, 0, ended.said)
        assert.match(device.read('home/me/.ssh/config')!, /^Host fleetsie$/m)
        assert.equal(device.read('home/pi/.ssh/config'), undefined)
      },
    },
    {
      title: 'says so when no network lets it in',
      prepare(device) {
        wireless(device, 'nothing')
        device.write('fake/networkmanager', 'running\n')
        device.write('etc/NetworkManager/system-connections/keep', '')
        device.disk('wifi.txt', pairs('elsewhere', 'elsewhere-password', 'short', 'x'))
      },
      check(ended, device) {
        stopped(ended, device, /no network of wifi.txt lets this device in/)
        assert.match(ended.said, /network 2 of wifi.txt is left out: a password has 8 to 63 bytes/)
        assert.equal(
          device.read('etc/NetworkManager/system-connections/fleetsie-usb.nmconnection'),
          undefined,
        )
      },
    },
    {
      title: 'leaves wifi.txt alone where there is a route',
      prepare: (device) => device.disk('wifi.txt', pairs('elsewhere', 'elsewhere-password')),
      check(ended, device) {
        succeeds()(ended, device)
        assert.doesNotMatch(device.read('fake/calls')!, /nmcli/)
      },
    },
  ]
}

underEveryShell('a network for fleetsie_provision', wifi())
