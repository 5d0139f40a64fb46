/** fleetsie_provision shows no secret to whoever looks at the programs that run. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DeviceRoot, makeKeys } from '../helpers/device-root.ts'
import { needs, needsRoot } from '../helpers/needs.ts'

describe('secrets of fleetsie_provision', { skip: needsRoot || needs('dash', 'unshare', 'strace') }, () => {
  it('are in the arguments of no program', async () => {
    const device = new DeviceRoot(makeKeys())
    try {
      device.write('fake/no-route', '')
      device.write('fake/network', 'psk=wifi-secret\n')
      device.write('fake/networkmanager', 'running\n')
      device.write('etc/NetworkManager/system-connections/keep', '')
      device.write('etc/zabbix/zabbix_agent2.conf', '')
      device.disk('wifi.txt', 'home\nwifi-secret\n')
      device.disk('password.txt', 'own-secret\nroot-secret\n')
      const by = ['strace', '-f', '-qq', '-e', 'trace=execve', '-s', '100000', '-o', '/tmp/programs']
      const environment = { USER_PWD: 'user-secret', PSK: 'ab'.repeat(32), EXTRA: 'extra-secret' }
      const ended = await device.run(['dash'], environment, by)
      assert.equal(ended.status, 0, ended.said)
      assert.equal(device.read('opt/fleetsie/fleet_extra'), 'extra-secret\n')
      // But for what the fake server looks into.
      const programs = device
        .read('tmp/programs')!
        .match(/execve\(.*\]/g)!
        .filter((line) => !line.includes('/fake/server/'))
      assert.ok(programs.length > 100, `${programs.length} programs`)
      const told = programs.filter((line) => /-secret|abab|0001000100|PRIVATE KEY/.test(line))
      assert.deepEqual(told, [])
    } finally {
      device.destroy()
    }
  })
})
