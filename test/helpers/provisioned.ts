/** What a device and its disk have to be when fleetsie_provision has succeeded. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type DeviceRoot, otpOf } from './device-root.ts'

const ssh = 'home/fleetsie/.ssh'

/** As device `id` of the fleet `field`. */
export function provisioned(device: DeviceRoot, id: number): void {
  assert.equal(device.status['state'], 'done')
  assert.equal(device.read('etc/hostname'), `field-${id}\n`)
  assert.equal(device.read('etc/hosts'), `127.0.0.1\tlocalhost\n127.0.1.1\tfield-${id}\n`)
  assert.equal(device.read('fake/hostname'), `field-${id}\n`)
  assert.equal(device.link(`${ssh}/fleetsie_tunnel_port`), `${20000 + id}`)
  assert.equal(device.owned(`${ssh}/fleetsie`), '100600 1000:1000')
  const key = device.read(`${ssh}/fleetsie.pub`)!.split(' ').slice(0, 2).join(' ')
  assert.equal(device.read(`fake/server/claim-${id}`), `aa:bb:cc:dd:ee:01\n${otpOf(id)}\n${key}\n`)
  assert.equal(
    device.read(`${ssh}/authorized_keys`),
    `cert-authority,principals="fleetsie" ${device.keys.login}\n`,
  )
  assert.equal(device.read(`${ssh}/known_hosts`), `fleet.example.org ${device.keys.host}\n`)
  assert.equal(device.read(`${ssh}/config`)!.match(/^Host fleetsie$/gm)?.length, 1)
  assert.match(
    device.read('etc/systemd/system/ssh-tunnel.service')!,
    /ExecStart=\/opt\/fleetsie\/ssh_tunnel.sh/,
  )
  assert.equal(device.owned('opt/fleetsie/ssh_tunnel.sh'), '100755 0:0')
  assert.match(device.onDisk('claimed.txt') ?? '', new RegExp(`^${id}$`, 'm'))
  assert.doesNotMatch(device.onDisk('devices.txt') ?? '', new RegExp(`^${id} `, 'm'))
  const left = readdirSync(join(device.root, 'var/lib/fleetsie')).sort()
  assert.deepEqual(left, ['claimed', 'hwid', 'status'])
  assert.deepEqual(readdirSync(join(device.root, 'run/fleetsie-provision')).sort(), ['lock', 'status'])
}
