/** A fleet's manager changes the keys of devices, and revokes: devices, a lost disk, everything. Real sshds on all sides. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { FleetServer } from '../helpers/fleet-server.ts'
import { ManagedFleet, noFleet } from '../helpers/managed-fleet.ts'

/** A login of the device to the server with the key that it has now, and what comes of it. */
async function check(device: FleetServer, key = '~/.ssh/fleetsie'): Promise<string> {
  const ssh = `ssh -T -n -F none -o BatchMode=yes -o IdentitiesOnly=yes -i ${key} fleetsie_barn@192.0.2.1 check 2>&1`
  const { stdout } = await device.run(['runuser', '-l', 'admin', '-c', ssh])
  return stdout.trim().split('\n').at(-1)!
}

const tunnelOf = (device: FleetServer): Promise<string> => device.does('pgrep', '-f', 'ssh -T.*localhost:22')

describe('a fleet whose keys change', { skip: noFleet }, () => {
  let fleet: ManagedFleet
  let first: FleetServer
  let second: FleetServer
  before(async () => {
    ;({ fleet, first, second } = await ManagedFleet.barn())
  })
  after(() => fleet?.stop())

  test('has databases that nobody opens but its own user, and root', async () => {
    for (const name of ['fleet.sqlite', 'provisioning.sqlite']) {
      const file = `/home/fleetsie/fleets/barn/${name}`
      const { stderr } = await fleet.server.run(['runuser', '-u', 'fleetsie', '--', 'cat', file])
      assert.match(stderr, /Permission denied/)
      assert.equal(await fleet.server.does('stat', '-c', '%U %a', file), 'fleetsie_barn 600\n')
    }
  })

  test('gives a device a new key, the old one working until the new one does', async () => {
    const old = readFileSync(first.file('/home/admin/.ssh/fleetsie.pub'), 'utf8').split(' ')[1]!
    await first.does('cp', '-p', '/home/admin/.ssh/fleetsie', '/home/admin/.ssh/before')
    const tunnel = await tunnelOf(first)
    const { stdout } = await fleet.does('rotate', 'barn-1')
    assert.match(stdout, /barn-1 +has a new key/)
    const now = readFileSync(first.file('/home/admin/.ssh/fleetsie.pub'), 'utf8').split(' ')[1]!
    assert.notEqual(now, old)
    assert.notEqual(await tunnelOf(first), tunnel)
    assert.equal(await check(first), 'ok barn-1')
    assert.match(await check(first, '~/.ssh/before'), /Permission denied/)
    const lines = await fleet.server.does('cat', '/home/fleetsie_barn/.ssh/authorized_keys')
    assert.ok(lines.includes(now) && !lines.includes(old))
    const left = await first.does('ls', '/home/admin/.ssh')
    assert.doesNotMatch(left, /fleetsie\.(?:new|old|pending|check|kept)/)
  })

  test('keeps the old key where the new one does not log in', async () => {
    const keys = '/home/admin/.ssh/known_hosts'
    const good = await second.does('cat', keys)
    const before = await second.does('cat', '/home/admin/.ssh/fleetsie.pub')
    const tunnel = await tunnelOf(second)
    writeFileSync(second.file(keys), good.replace(/AAAA\S+/g, first.hostKeys()[0]!.split(' ')[1]!))
    const { code, stderr } = await fleet.fleetsie('rotate', 'barn-2')
    assert.equal(code, 5, stderr)
    assert.match(stderr, /the new key of barn-2 cannot log in: Host key verification failed/)
    writeFileSync(second.file(keys), good)
    assert.equal(await second.does('cat', '/home/admin/.ssh/fleetsie.pub'), before)
    assert.equal(await tunnelOf(second), tunnel)
    assert.equal(await check(second), 'ok barn-2')
    const lines = await fleet.server.does('cat', '/home/fleetsie_barn/.ssh/authorized_keys')
    assert.equal(lines.match(/ barn-2$/gm)?.length, 1)
  })

  test('gives all connected devices new keys, and names those that were away', async () => {
    const { stdout } = await fleet.does('rotate', 'barn')
    assert.match(stdout, /^2 devices have new keys$/m)
    await fleet.online('barn', 2)
  })

  test('loses a device that is revoked within 5 s, for ever', async (t) => {
    const started = performance.now()
    await fleet.does('revoke', 'barn-2')
    await fleet.online('barn', 1)
    const ms = performance.now() - started
    t.diagnostic(`revoked and thrown out after ${Math.round(ms)} ms`)
    assert.ok(ms < 5000, String(ms))
    assert.match(await check(second), /Permission denied/)
    const listening = await fleet.server.does('cat', '/proc/net/tcp')
    assert.doesNotMatch(listening, /:4E22 0+:0000 0A/)
    const again = 'printf "fleetsie 2\\nhwid: 02:00:00:00:00:02\\notp: %s\\nkey: %s\\n\\n"'
    const { otp } = fleet.onDisk().find(({ id }) => id === 3)!
    const key = '"$(cut -d " " -f 1,2 ~/.ssh/fleetsie.pub)"'
    const ssh = 'ssh -T -i ~/fleetsie/fleetsieauth -o IdentitiesOnly=yes fleetsie_barn@192.0.2.1'
    const claimed = await second.run(['runuser', '-l', 'admin', '-c', `${again} ${otp} ${key} | ${ssh}`])
    assert.equal(claimed.stdout, 'Error\nthis device was revoked\n')
    assert.match((await fleet.fleetsie('ssh', 'barn-2', 'true')).stderr, /barn-2 is revoked since/)
    assert.match((await fleet.does('revoke', 'barn-2')).stdout, /nothing to do/)
  })

  test('loses the disk that was lost, and keeps the devices that claimed with it', async () => {
    const disks = async (): Promise<string> => (await fleet.does('devices', 'barn', '--disks')).stdout
    const [, lot] = (await disks()).match(/^([0-9a-f]{16}) {2}live {5}\d{4}-\d\d-\d\d .* of 4$/m)!
    assert.match((await fleet.does('revoke', 'barn', '--lot', lot!)).stdout, /^revoked: 1 disk$/m)
    const ssh =
      'ssh -T -n -i ~/fleetsie/fleetsieauth -o IdentitiesOnly=yes -o BatchMode=yes fleetsie_barn@192.0.2.1'
    const { stderr } = await first.run(['runuser', '-l', 'admin', '-c', ssh])
    assert.match(stderr, /Permission denied/)
    assert.match(await disks(), new RegExp(`^${lot} {2}revoked `, 'm'))
    assert.equal(await check(first), 'ok barn-1')
    assert.equal(
      (await fleet.does('ssh', 'barn-1', '-o', 'StrictHostKeyChecking=accept-new', 'hostname')).stdout,
      'barn-1\n',
    )
  })

  test('is not revoked as a whole unless its manager says so', async () => {
    const asked = await fleet.fleetsie('revoke', 'barn')
    assert.deepEqual([asked.code, /nothing was revoked/.test(asked.stderr)], [3, true])
    assert.match((await fleet.does('revoke', 'barn', '-y')).stdout, /^revoked: 3 devices \(2 were before\)$/m)
    await fleet.online('barn', 0)
    assert.match(await check(first), /Permission denied/)
  })
})
