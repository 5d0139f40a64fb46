/** A fleet's manager at work: list, log in, copy, forward; with real sshds on all sides. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { FleetServer } from '../helpers/fleet-server.ts'
import { ManagedFleet, noFleet } from '../helpers/managed-fleet.ts'

describe('the manager of a fleet', { skip: noFleet }, () => {
  let fleet: ManagedFleet
  let first: FleetServer
  let second: FleetServer
  before(async () => {
    ;({ fleet, first, second } = await ManagedFleet.barn())
  })
  after(() => fleet?.stop())

  /** A program of the manager's machine. */
  const manager = (...argv: string[]) => spawnSync(...fleet.server.enter(argv), { encoding: 'utf8' })
  const trusting = ['-o', 'StrictHostKeyChecking=accept-new']

  test('is listed with who is connected, and without its passwords and keys', async () => {
    const table = await fleet.does('devices', 'barn')
    assert.match(table.stdout, /^barn-1 +online +20001 +02:00:00:00:00:01 +\d{4}-.* 192\.0\.2\.2$/m)
    assert.match(table.stdout, /^barn-3 +unclaimed +20003 +- /m)
    assert.match(table.stdout, /^4 devices: 2 online, 0 away, 2 unclaimed, 0 revoked$/m)
    const { events, stdout } = await fleet.does('devices', 'barn@192.0.2.1', '--online', '--json')
    const hosts = events.map((event) =>
      event.type === 'answer' ? (event.data as { hostname: string }).hostname : '',
    )
    assert.deepEqual(hosts, ['barn-1', 'barn-2'])
    const csv = await fleet.does('devices', 'barn', '--csv', '--name', '*-2')
    assert.match(
      csv.stdout,
      /^number,hostname,state,port,.*\n2,barn-2,online,20002,02:00:00:00:00:02,.*,admin,[0-9a-f]{16},/,
    )
    for (const { otp } of fleet.onDisk())
      assert.ok(!(table.stdout + stdout + csv.stdout).includes(otp.slice(0, 20)))
    assert.doesNotMatch(table.stdout + stdout + csv.stdout, /ssh-ed25519|sha256:/)
  })

  test('lets its manager run commands on a device with a certificate of hours', async () => {
    const asked = await fleet.fleetsie('ssh', 'barn-1', 'hostname')
    assert.equal(asked.code, 255, 'nobody can be asked whether the key is right')
    assert.match(asked.stderr, /warning: the host key of barn-1 is not known here yet/)
    const { stdout } = await fleet.does('ssh', 'barn-1', ...trusting, 'hostname; id -un')
    assert.equal(stdout, 'barn-1\nadmin\n')
    // Known from now on.
    assert.equal((await fleet.does('ssh', 'barn-1', 'cat', '/etc/hostname')).code, 0)
    assert.equal((await fleet.fleetsie('ssh', 'barn-1', 'exit 7')).code, 7)
    assert.match(first.sshdLog(), /Accepted publickey for admin .* ED25519-CERT .* ID \S+@\S+ .* CA ED25519/)
    const place = join(fleet.server.manager.home, '.config/fleetsie/fleets/barn@192.0.2.1')
    const told = manager('ssh-keygen', '-L', '-f', join(place, 'login-cert.pub')).stdout
    const [from, to] = /Valid: from (\S+) to (\S+)/
      .exec(told)!
      .slice(1)
      .map((time) => Date.parse(`${time}Z`))
    assert.equal((to! - from!) / 3600_000, 8 + 5 / 60)
    assert.match(told, /Principals: \n\s+fleetsie\n/)
  })

  test('is told of a fleet or a device that the server does not have, and keeps no name of it', async () => {
    for (const [words, message] of [
      [['ports', 'brn', 'fleetsie@192.0.2.1'], /there is no fleet brn on 192\.0\.2\.1\n {2}try: barn\n/],
      [['ssh', '--config', 'brn@192.0.2.1'], /there is no fleet brn/],
      [['devices', 'brn@192.0.2.1'], /there is no fleet brn/],
      [['revoke', 'brn@192.0.2.1', '-y'], /there is no fleet brn/],
      [['ssh', 'barn-9', 'true'], /there is no device barn-9/],
      [['rotate', 'barn-9'], /there is no device barn-9/],
    ] as const) {
      const { code, stderr } = await fleet.fleetsie(...words)
      assert.deepEqual([code, message.test(stderr)], [1, true], `${words.join(' ')}: ${stderr}`)
    }
    // Of several fleets, the others are listed.
    const several = await fleet.fleetsie('devices', 'brn@192.0.2.1', 'barn')
    assert.match(several.stdout, /^4 devices: /m)
    assert.match(several.stderr, /warning: brn: there is no fleet brn .*\n +try: barn\n/)
    assert.match(several.stderr, /1 of 2 fleets could not be listed/)
    assert.equal(several.code, 4)
    const kept = readdirSync(join(fleet.server.manager.home, '.config/fleetsie/fleets'))
    assert.deepEqual(kept.sort(), ['barn.host', 'barn@192.0.2.1'])
  })

  test('passes options of ssh, and is known to scp by its configuration', async () => {
    const options = ['-o', 'ExitOnForwardFailure=yes', '-L', '18080:localhost:22', 'true']
    await fleet.does('ssh', 'barn-1', '--', ...options)
    const config = join(fleet.disk, '../ssh_config')
    writeFileSync(config, (await fleet.does('ssh', '--config', 'barn')).stdout)
    const copied = manager('scp', '-q', '-F', config, config, 'barn-1:copied')
    assert.equal(copied.status, 0, copied.stderr)
    assert.equal(await first.does('cat', '/home/admin/copied'), readFileSync(config, 'utf8'))
  })

  test('says of a device that is not there since when', async () => {
    const never = await fleet.fleetsie('ssh', 'barn-3', 'true')
    assert.match(never.stderr, /no device has claimed barn-3 yet/)
    assert.equal(never.code, 1)
    await second.does('pkill', '-STOP', '-f', 'while :; do')
    await second.does('pkill', '-f', 'ssh -T.*localhost:22')
    await fleet.online('barn', 1)
    const away = await fleet.fleetsie('ssh', 'barn-2', 'true')
    assert.match(away.stderr, /barn-2 is not connected since \d{4}-\d\d-\d\d \d\d:\d\d UTC/)
    const listed = await fleet.does('devices', 'barn', '--away', '--csv')
    assert.match(listed.stdout, /^number,.*\n2,barn-2,claimed,[^\n]*\n$/)
    await second.does('pkill', '-CONT', '-f', 'while :; do')
    await fleet.online('barn', 2)
  })

  test('has a port here for each connected device, as they come and go', async () => {
    const ports = fleet.starts(['ports', 'barn', 'fleetsie@192.0.2.1'], second)
    assert.match(await ports.line(/barn-1/), /localhost:20001/)
    const banner = ['bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/20001; head -1 <&3']
    const [command, args] = second.enter(banner)
    // Nothing else ends who waits for a server that says nothing.
    const timeout = 60_000
    assert.match(spawnSync(command, args, { encoding: 'utf8', timeout }).stdout, /^SSH-2\.0-OpenSSH/)
    await first.does('pkill', '-STOP', '-f', 'while :; do')
    await first.does('pkill', '-f', 'ssh -T.*localhost:22')
    assert.match(await ports.line(/barn-1/), /not connected any more/)
    const refused = spawnSync(command, args, { timeout })
    assert.deepEqual([refused.stdout.length, refused.signal], [0, null])
    await first.does('pkill', '-CONT', '-f', 'while :; do')
    assert.match(await ports.line(/barn-1/), /localhost:20001/)
    assert.equal(await ports.interrupt(), 130)
  })

  test('skips a port that is taken here', async () => {
    // Here the server's own ends of the tunnels have them.
    const ports = fleet.starts(['ports', 'barn', 'fleetsie@192.0.2.1'])
    assert.match(
      await ports.line(/barn-1/),
      /warning: barn-1: no port 20001 here: another program has this port/,
    )
    assert.equal(await ports.interrupt(), 130)
  })

  test('has its fleet again on a server that was lost, from a copy of Main: the devices come back', async () => {
    await fleet.does('gen', 'barn', '192.0.2.1', '0')
    await fleet.server.does('sqlite3', '/home/fleetsie/fleets.sqlite', '.backup /root/copy.sqlite')
    await fleet.server.does('sh', '-c', lost)
    const told = await fleet.fleetsie('devices', 'barn')
    assert.match(told.stderr, /barn has lost its folder.*\n {2}try: .*fleetsie gen barn HOST 0/)
    const { stderr } = await fleet.does('gen', 'barn', '192.0.2.1', '0')
    assert.match(stderr, /write their disks again/)
    await fleet.online('barn', 2)
    assert.equal((await fleet.does('ssh', 'barn-1', ...trusting, 'hostname')).stdout, 'barn-1\n')
  })
})

/** As on a new machine, once `srv` has set that up and the copy was put there. */
const lost = `set -eu
user=$(id -u fleetsie_barn)
# No device comes back from here on.
userdel -f -r fleetsie_barn 2>/dev/null
pkill -KILL -u "$user" || true
rm -r /home/fleetsie/fleets/barn /run/fleetsie/dev/barn /etc/tmpfiles.d/fleetsie-barn.conf
rm /home/fleetsie/fleets.sqlite*
install -o fleetsie -g fleetsie -m 600 /root/copy.sqlite /home/fleetsie/fleets.sqlite`
