/** `srv` against a real sshd: as root, as a user with sudo, several at once, and again. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { after, before, describe, test } from 'node:test'
import { FleetServer } from '../helpers/fleet-server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { fleetsiePassword, SrvProgram, snapshot } from '../helpers/srv.ts'

const skip = needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock', 'script')

/** Sudo of fleetsie without a password, and with the right one. */
const sudo = `sudo -k; sudo -n id -un || echo refused; echo "$0" | sudo -S -p '' id -un`

describe('srv', { skip }, () => {
  let program: SrvProgram
  let server: FleetServer
  before(async () => {
    program = await SrvProgram.make()
    server = await FleetServer.start()
  })
  after(async () => {
    await server?.stop()
    await program?.remove()
  })

  const asManager = (...argv: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(...server.enter(argv), { encoding: 'utf8' })

  test('--plan says what would change and changes nothing', async () => {
    const before = await snapshot(server)
    const { code, events, stderr } = await program.run(server, ['--plan', '--json', 'root@192.0.2.1'])
    assert.equal(code, 0, stderr)
    const planned = events.flatMap((event) => (event.type === 'resource' ? [event.resource] : []))
    assert.ok(planned.includes('package sqlite3') && planned.includes('user fleetsie'), planned.join())
    assert.ok(events.some((event) => event.type === 'server' && event.plan && event.differ > 10))
    assert.equal(await snapshot(server), before)
  })

  test('asks for a password before anything is changed, and fails where nobody answers', async () => {
    const before = await snapshot(server)
    const { code, stderr } = await program.run(server, ['root@192.0.2.1'])
    assert.equal(code, 1, stderr)
    assert.match(stderr, /no terminal to ask on: New password for the user fleetsie/)
    assert.equal(await snapshot(server), before)
  })

  test('sets up a server as root, the password asked for twice', async (t) => {
    const { code, stdout, screen, ms } = await program.ask(server, ['root@192.0.2.1'])
    t.diagnostic(`${Math.round(ms)} ms`)
    assert.equal(code, 0, stdout + screen)
    assert.equal(screen.match(/New password/g)?.length, 2)
    assert.ok(!(stdout + screen).includes(fleetsiePassword))
    await server.does('sshd', '-t')
    await server.does('visudo', '-c')
    assert.match(await server.does('sshd', '-T'), /^maxstartups 1000:30:2000$/m)
    assert.match(
      await server.does('sqlite3', '/home/fleetsie/fleets.sqlite', '.schema'),
      /CREATE TABLE devices/,
    )
    assert.equal(
      await server.does('stat', '-c', '%U %a %n', '/home/fleetsie/fleets.sqlite', '/home/fleetsie'),
      'fleetsie 600 /home/fleetsie/fleets.sqlite\nfleetsie 711 /home/fleetsie\n',
    )
    const left = await server.does('sh', '-c', 'ps -eo comm= | grep -cx sleep; ls /var/lib/fleetsie; true')
    assert.equal(left, '0\nsshd.loaded\n')
  })

  test('gives fleetsie no sudo without a password but the helper', async () => {
    const listed = await server.does('sudo', '-l', '-U', 'fleetsie')
    assert.deepEqual(listed.match(/^ {4}\(.*$/gm), [
      '    (ALL : ALL) ALL',
      '    (root) NOPASSWD: /usr/local/sbin/fleetsie_root',
    ])
    const { stdout } = await server.run([
      'runuser',
      '-u',
      'fleetsie',
      '--',
      'sh',
      '-c',
      sudo,
      fleetsiePassword,
    ])
    assert.equal(stdout, 'refused\nroot\n')
  })

  test('lets the manager in as fleetsie, whose program answers and makes fleets', async () => {
    const request = { do: 'gen', fleet: 'Wren_1', num: 2, request: '6b1f5c6e-5a56-4a3e-8f0e-0d5b8f3f2a11' }
    const argv = ['ssh', '-o', 'BatchMode=yes', 'fleetsie@192.0.2.1', '/home/fleetsie/fleetsie_gen_srv']
    const [command, args] = server.enter(argv)
    const { status, stdout, stderr } = spawnSync(command, args, {
      encoding: 'utf8',
      input: JSON.stringify(request),
    })
    assert.equal(status, 0, stdout + stderr)
    assert.deepEqual(
      JSON.parse(stdout).generated.map((device: { hostname: string }) => device.hostname),
      ['Wren_1-1', 'Wren_1-2'],
    )
    const paths = ['/home/fleetsie/fleets/Wren_1', '/home/fleetsie/fleets/Wren_1/fleet.sqlite']
    assert.equal(
      await server.does('stat', '-c', '%U:%G %a', ...paths, '/run/fleetsie/dev/Wren_1'),
      'fleetsie_Wren_1:fleetsie 2770\nfleetsie_Wren_1:fleetsie 600\nfleetsie_Wren_1:fleetsie 2750\n',
    )
    assert.match(await server.does('id', 'fleetsie_Wren_1'), /fleetsie-fleets/)
  })

  test('lets devices have their tunnels also where everybody else is forbidden any', async () => {
    const hardened = `DisableForwarding yes
AllowTcpForwarding no
PermitListen none
PermitOpen none
KbdInteractiveAuthentication yes
AuthenticationMethods publickey,keyboard-interactive
AuthorizedKeysFile /etc/ssh/keys/%u
Include /etc/ssh/sshd_config
`
    writeFileSync(server.file('/root/hardened'), hardened)
    const asked = 'user=fleetsie_Wren_1,host=device,addr=192.0.2.9'
    const settings = (await server.does('sshd', '-T', '-f', '/root/hardened', '-C', asked)).split('\n')
    for (const expected of [
      'disableforwarding no',
      'allowtcpforwarding yes',
      'permitlisten any',
      'permitopen any',
      'pubkeyauthentication yes',
      'authenticationmethods publickey',
      'authorizedkeysfile .ssh/authorized_keys',
      'allowstreamlocalforwarding no',
      'gatewayports no',
      'permittty no',
    ]) {
      assert.ok(settings.includes(expected), `${expected}: ${settings}`)
    }
    await server.does('rm', '/root/hardened')
  })

  test('changes nothing a second time, in at most 2 s', async (t) => {
    const before = await snapshot(server)
    const { code, stdout, stderr } = await program.run(server, ['root@192.0.2.1'])
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /^root@192\.0\.2\.1 no change: all \d+ resources are as they should be, /)
    assert.equal(await snapshot(server), before)
    const times: number[] = []
    while (times.length < 5 && !times.some((ms) => ms <= 2000)) {
      times.push((await program.run(server, ['root@192.0.2.1'])).ms)
    }
    t.diagnostic(`second run: ${times.map(Math.round).join(', ')} ms`)
    // Others may use this machine as well: then each has its share only.
    const share = Math.max(1, loadavg()[0]! / availableParallelism())
    assert.ok(Math.min(...times) <= 2000 * share, times.join())
  })

  test('sets up a second server for a user with sudo, and goes on where another cannot be reached', async () => {
    const other = await FleetServer.start({ beside: server, address: '192.0.2.2' })
    try {
      const servers = ['admin@192.0.2.2', 'root@192.0.2.1', 'root@192.0.2.77']
      const { code, events, stdout, screen } = await program.ask(server, ['--json', '-j', '3', ...servers])
      assert.equal(code, 4, stdout + screen)
      const failed = events.filter((event) => event.type === 'server-failed')
      assert.deepEqual(
        failed.map(({ server: name, code }) => [name, code]),
        [['root@192.0.2.77', 'E_INPUT']],
      )
      const done = events.filter((event) => event.type === 'server')
      assert.deepEqual(done.map(({ server: name, differ }) => [name, differ > 10]).sort(), [
        ['admin@192.0.2.2', true],
        ['root@192.0.2.1', false],
      ])
      assert.match(await other.does('sshd', '-T'), /^maxstartups 1000:30:2000$/m)
      const again = await program.ask(server, ['admin@192.0.2.2'])
      assert.match(again.stdout, /^admin@192\.0\.2\.2 no change: /)
    } finally {
      await other.stop()
    }
  })

  test('does the same as a stage of a pipeline, which asks nobody', async () => {
    const pipeline = (
      host: string,
    ): string => `import { pipeline, server, serverBundle } from './code/lib/index.ts'
await pipeline({ fleet: () => server({ bundle: serverBundle({ architecture: 'x64' }), host: '${host}' }) })
`
    await server.does('rm', '/etc/tmpfiles.d/fleetsie.conf')
    const mended = await program.build(server, pipeline('root@192.0.2.1'))
    assert.equal(mended.code, 0, mended.stdout + mended.stderr)
    assert.match(mended.stdout, /root@192\.0\.2\.1: file \/etc\/tmpfiles\.d\/fleetsie\.conf: it is missing/)
    const before = await snapshot(server)
    const again = await program.build(server, pipeline('root@192.0.2.1'))
    assert.match(again.stdout, /root@192\.0\.2\.1: \d+ resources are as they should be/)
    assert.doesNotMatch(again.stdout, /it is missing/)
    assert.equal(await snapshot(server), before)
    const asking = await program.build(server, pipeline('admin@192.0.2.1'))
    assert.equal(asking.code, 1, asking.stdout + asking.stderr)
    assert.match(asking.stderr, /a stage asks nobody: Password of admin@192\.0\.2\.1 for sudo:/)
  })

  test('ends with 1 where nobody can log in', async () => {
    const { code, stderr } = await program.run(server, ['nobody@192.0.2.1'])
    assert.equal(code, 1, stderr)
    assert.equal(asManager('ssh', '-o', 'BatchMode=yes', 'root@192.0.2.1', 'true').status, 0)
  })
})
