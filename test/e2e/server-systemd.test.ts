/**
 * A fleet server under a real systemd, in software emulation: what `srv` sets up there by systemctl, that no change of sshd
 * locks anybody out though logind ends all processes of a session, that a fleet is the same after a power cut, and servers
 * on which systemd listens for sshd. FLEETSIE_TEST_DEBIAN_STOCK (.img.xz) spares the build.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { provision } from '../helpers/managed-fleet.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import type { Ended } from '../helpers/npm-project.ts'
import { SrvProgram } from '../helpers/srv.ts'
import { SystemdServer } from '../helpers/systemd-server.ts'

const skip =
  needsRoot ||
  needs('qemu-system-x86_64', 'qemu-img', 'mmdebstrap', 'sfdisk', 'xz', 'nsenter', 'ip', 'script')

const changing = fileURLToPath(new URL('../helpers/change-sshd.ts', import.meta.url))

/** As unattended-upgrades would, until somebody on the server waits for it: this script's only `sleep`. */
const upgrade = `use Fcntl; open F, '>', '/var/lib/dpkg/lock-frontend'; my $lock = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
fcntl(F, F_SETLK, $lock) or die; $| = 1; print "held\\n"; select(undef, undef, undef, 0.3) until system('pgrep', '-x', 'sleep') == 0`

describe('a fleet server under systemd', { skip }, () => {
  let folder = ''
  let program: SrvProgram
  let server: SystemdServer
  const started = Date.now()
  const at = (): string => `${((Date.now() - started) / 1000).toFixed(0)} s`

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-under-systemd-'))
    mkdirSync(join(folder, 'disk'))
    program = await SrvProgram.make()
    server = await SystemdServer.make()
  })
  after(async () => {
    await server?.remove()
    await program?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A program of the manager's machine. */
  async function manager(...argv: string[]): Promise<Ended> {
    const [command, args] = server.desk.enter(argv, { env: program.env })
    const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    const ended: Ended = { code: null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (ended.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (ended.stderr += text))
    const [code] = (await once(child, 'close')) as [number | null]
    return { ...ended, code }
  }

  async function does(...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await manager(...argv)
    assert.equal(code, 0, `${argv.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }

  const ssh = (user: string, ...words: string[]): Promise<Ended> =>
    manager('ssh', '-o', 'BatchMode=yes', `${user}@${server.address}`, ...words)

  const changeSshd = (content: string, seconds: number, ...more: string[]): Promise<Ended> => {
    const path = '/etc/ssh/sshd_config.d/60-test.conf'
    const words = [`admin@${server.address}`, server.desk.password, path, content, `${seconds}`, ...more]
    return manager(process.execPath, '--import', import.meta.resolve('tsx'), changing, ...words)
  }

  /** What the sshd that runs has read: it says so as its title. */
  const running = 'pgrep -af "^sshd: /usr/sbin/sshd"'
  const connected = 'until [ -L /run/fleetsie/dev/barn/barn-1 ]; do sleep 0.2; done'

  it('is set up by a user with sudo while it upgrades itself, and a second run changes nothing', async (t) => {
    await server.boot()
    t.diagnostic(`${at()}: it has booted`)
    await server.does(`cat >/run/upgrade <<'END'
${upgrade}
END
      systemd-run -q --collect --unit=upgrade --property=Type=exec perl /run/upgrade
      until grep -q POSIX /proc/locks; do :; done`)
    const { code, stdout, screen } = await program.ask(server.desk, [`admin@${server.address}`])
    assert.equal(code, 0, stdout + screen)
    assert.match(stdout, /perl \(process \d+\) is installing something, and is waited for/)
    t.diagnostic(`${at()}: srv has set it up`)
    assert.match(await server.does(running), / of 1000-2000 startups/)
    assert.equal(
      await server.does('ls /var/lib/fleetsie; systemctl --failed --plain --no-legend'),
      'sshd.loaded\n',
    )
    assert.equal(await server.does('systemctl show --property=TasksMax --value ssh.service'), 'infinity\n')
    const again = await program.ask(server.desk, [`admin@${server.address}`])
    assert.match(again.stdout, /no change: all \d+ resources are as they should be/, again.screen)
    t.diagnostic(`${at()}: srv has found nothing to change`)
  })

  it('has a fleet, whose device is reached through its tunnel', async (t) => {
    await does(...program.command(['barn', server.address, '2', join(folder, 'disk')], 'gen'))
    t.diagnostic(`${at()}: gen has written a disk`)
    const { desk } = server
    cpSync(join(folder, 'disk/fleetsie'), desk.file('/home/admin/fleetsie'), { recursive: true })
    cpSync('units/ssh_tunnel.sh', desk.file('/usr/local/bin/ssh_tunnel.sh'))
    const [, otp] = (await desk.does('grep', '^1 ', '/home/admin/fleetsie/devices.txt')).trim().split(' ')
    const claimed = await desk.run(['sh', '-s', 'sh', '02:00:00:00:00:01', otp!], { input: provision })
    assert.equal(claimed.code, 0, claimed.stdout + claimed.stderr)
    await server.does(connected)
    t.diagnostic(`${at()}: a device has claimed and is connected`)
    const trusting = ['-o', 'StrictHostKeyChecking=accept-new']
    assert.equal(await does(...program.command(['barn-1', ...trusting, 'hostname'], 'ssh')), 'barn-1\n')
    t.diagnostic(`${at()}: its manager has logged in to it`)
  })

  it('puts back a change that locks everybody out though the session that made it has ended', async (t) => {
    // Seconds in which the session ends and a login is refused, emulated.
    const changed = await changeSshd('PubkeyAuthentication no\n', 60, 'die')
    assert.equal(changed.code, null, changed.stdout + changed.stderr)
    await server.does('while loginctl --no-legend list-sessions | grep -q admin; do sleep 0.2; done')
    assert.equal((await ssh('admin', 'true')).code, 255)
    t.diagnostic(`${at()}: locked out, and the session has ended`)
    await server.does(
      'while [ -e /etc/ssh/sshd_config.d/60-test.conf ] || [ -e /var/lib/fleetsie/sshd.rollback ]; do sleep 0.2; done',
    )
    assert.equal((await ssh('admin', 'true')).code, 0)
    t.diagnostic(`${at()}: let in again`)
  })

  it('is the same after a power cut, in the middle of such a change', async (t) => {
    const changed = await changeSshd('PubkeyAuthentication no\n', 3600, 'die')
    assert.equal(changed.code, null, changed.stdout + changed.stderr)
    await server.powerCut()
    t.diagnostic(`${at()}: locked out, and the power is cut`)
    await server.boot()
    t.diagnostic(`${at()}: it has booted again`)
    assert.equal(
      await server.does("stat -c '%U:%G %a' /run/fleetsie/dev /run/fleetsie/dev/barn"),
      'root:root 755\nfleetsie_barn:fleetsie 2750\n',
    )
    await server.does(connected)
    t.diagnostic(`${at()}: the tunnel is back`)
    const slice = 'systemctl show --property=TasksMax --value "user-$(id -u fleetsie_barn).slice" ssh.service'
    assert.equal(await server.does(slice), 'infinity\n\ninfinity\n')
    assert.equal(await does(...program.command(['barn-1', 'hostname'], 'ssh')), 'barn-1\n')
    t.diagnostic(`${at()}: its manager has logged in to it`)
    const second = `set -eu
cd /home/admin
key=$(ssh-keygen -q -t ed25519 -N '' -f second && cut -d ' ' -f 1,2 second.pub)
otp=$(sed -n 's/^2 //p' fleetsie/devices.txt)
printf 'fleetsie 2\\nhwid: 02:00:00:00:00:02\\notp: %s\\nkey: %s\\n\\n' "$otp" "$key" |
	ssh -T -i fleetsie/fleetsieauth -o IdentitiesOnly=yes fleetsie_barn@${server.address}`
    const { stdout, stderr } = await server.desk.run(['runuser', '-u', 'admin', '--', 'sh', '-c', second])
    assert.match(stdout, /^Ok\n/, stderr)
    t.diagnostic(`${at()}: another device has claimed`)
    const again = await program.ask(server.desk, [`admin@${server.address}`])
    assert.match(again.stdout, /no change/, again.screen)
    assert.equal(
      await server.does('ls /var/lib/fleetsie /etc/ssh/sshd_config.d'),
      '/etc/ssh/sshd_config.d:\n50-fleetsie.conf\n\n/var/lib/fleetsie:\nsshd.loaded\n',
    )
  })

  it('takes a change where systemd listens for sshd, and keeps its sessions', async (t) => {
    const session = 'grep ^pid /run/fleetsie/dev/barn/.barn-1'
    const before = await server.does(session)
    // As Debian and Ubuntu have it: one sshd, which is given the socket.
    await server.does('systemctl stop ssh.service && systemctl start ssh.socket')
    const one = await changeSshd('MaxStartups 20:30:40\n', 60)
    assert.equal(one.code, 0, one.stderr)
    assert.match(await server.does(running), / of 20-40 startups/)
    assert.equal(await server.does(session), before)
    t.diagnostic(`${at()}: with one sshd`)

    // One sshd for each connection.
    await server.does(`mkdir -p /run/systemd/system/ssh.socket.d
printf '[Socket]\\nAccept=yes\\n' >/run/systemd/system/ssh.socket.d/accept.conf
printf '[Service]\\nExecStart=-/usr/sbin/sshd -i\\nStandardInput=socket\\nKillMode=process\\nRuntimeDirectory=sshd\\n' >/run/systemd/system/ssh@.service
systemctl stop ssh.socket ssh.service
systemctl daemon-reload
systemctl start ssh.socket`)
    const each = await changeSshd('MaxAuthTries 5\n', 60)
    assert.equal(each.code, 0, each.stderr)
    assert.equal(
      await server.does(
        'systemctl show --property=MaxConnections --value ssh.socket; mkdir -p /run/sshd; sshd -T | grep ^maxauthtries',
      ),
      '20000\nmaxauthtries 5\n',
    )
    assert.equal(await server.does(session), before)
    t.diagnostic(`${at()}: with an sshd for each connection`)
  })
})
