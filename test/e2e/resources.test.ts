/** Each resource on a real machine: what it plans, that it makes it so, and that it does nothing the second time. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { FleetsieError } from '../../lib/errors.ts'
import { apply, type Planned, plan } from '../../lib/hosts/converge.ts'
import { command } from '../../lib/hosts/resources/command.ts'
import { file } from '../../lib/hosts/resources/file.ts'
import { folder } from '../../lib/hosts/resources/folder.ts'
import { group } from '../../lib/hosts/resources/group.ts'
import { key } from '../../lib/hosts/resources/key.ts'
import { link } from '../../lib/hosts/resources/link.ts'
import { packageOf } from '../../lib/hosts/resources/package.ts'
import type { Place, Resource } from '../../lib/hosts/resources/resource.ts'
import { service } from '../../lib/hosts/resources/service.ts'
import { sshdDropIn } from '../../lib/hosts/resources/sshd.ts'
import { user } from '../../lib/hosts/resources/user.ts'
import { FleetServer } from '../helpers/fleet-server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { placeOn } from '../helpers/server-host.ts'

const skip = needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock')

const hostileName = `/srv/a 'b" $(touch hacked)\`id\`;*`
const publicKey = `ssh-ed25519 ${'A'.repeat(68)}`
const otherKey = `ssh-ed25519 ${'B'.repeat(68)} somebody else`

/** Nothing tells when the server itself does something. */
async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    assert.ok(waited < 20_000, 'it never came to be')
    await delay(5)
  }
}

describe('a resource', { skip }, () => {
  let server: FleetServer
  let place: Place
  before(async () => {
    server = await FleetServer.start()
    place = placeOn(server)
  })
  after(() => server?.stop())

  /** Plans, applies, and looks that nothing is left to do. Answers the plan. */
  async function converge(...resources: Resource[]): Promise<Planned[]> {
    const planned = await plan(place, resources)
    await apply(place, resources, planned, () => {})
    assert.deepEqual(await plan(place, resources), [])
    return planned
  }
  const reason = (planned: readonly Planned[]): string | undefined => planned[0]?.difference.because
  const sh = (script: string, ...args: string[]): Promise<string> => server.does('sh', '-c', script, ...args)

  const once: [title: string, resource: () => Resource, because: string, proof: string][] = [
    ['package is installed', () => packageOf('sqlite3'), 'it is not installed', 'sqlite3 --version'],
    ['group is made', () => group('birds'), 'there is none', 'getent group birds'],
    [
      'user is made with a group and a password',
      () => user('wren', { groups: ['birds'], password: async () => 'a "pass" $word' }),
      'there is none',
      `id wren | grep birds && getent shadow wren | grep '^wren:\\$'`,
    ],
    [
      'key is added for a user, in a folder that others cannot write',
      () => key('wren', [publicKey]),
      `ssh-ed25519 …AAAAAAAA may not log in as wren yet`,
      `[ "$(stat -c '%U %a' /home/wren/.ssh /home/wren/.ssh/authorized_keys | tr '\\n' ' ')" = 'wren 700 wren 600 ' ]`,
    ],
    [
      'folder is made with its parents, whatever it is called',
      () => folder(`${hostileName}/in it`, { owner: 'wren:birds', mode: '2750' }),
      'it is missing',
      `[ "$(stat -c '%U:%G %a' "${hostileName.replace(/["$`\\]/g, '\\$&')}/in it")" = 'wren:birds 2750' ]`,
    ],
    [
      'file is made, whatever it is called',
      () => file(`${hostileName}.txt`, { content: 'one\ntwo\n', mode: '0640', owner: 'wren:wren' }),
      'it is missing',
      '[ ! -e /hacked ] && [ ! -e /srv/hacked ] && ls /srv',
    ],
    ['link is made', () => link('/srv/link', '/nowhere at all'), 'it is missing', 'readlink /srv/link'],
    [
      'command runs when its guard says so',
      () =>
        command('touch', {
          guard: { text: '[ -e "$1" ]', args: ['/srv/touched'] },
          does: { text: 'touch "$1"', args: ['/srv/touched'] },
          because: 'it was never touched',
        }),
      'it was never touched',
      'ls /srv/touched',
    ],
  ]
  for (const [title, resource, because, proof] of once) {
    test(`${title}, once`, async () => {
      assert.equal(reason(await converge(resource())), because)
      await sh(proof)
      assert.deepEqual(await plan(place, [resource()]), [])
    })
  }

  test("package says who has apt's lock, and how long it has waited for that", async () => {
    const lock = `use Fcntl; open F, '>', '/var/lib/dpkg/lock-frontend';
      my $lock = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $lock) or die; sleep 1000`
    const holding = server.run(['perl', '-e', lock])
    const resource = packageOf('sl', { lockTimeout: 1 })
    let because = ''
    for (let tries = 0; !because.includes('perl'); tries++) {
      assert.ok(tries < 100, because)
      because = reason(await plan(place, [resource]))!
    }
    assert.match(because, /^it is not installed; perl \(process \d+\) .* is waited for$/)
    await assert.rejects(
      converge(resource),
      /perl \(process \d+\) has held apt's lock for 1 s: run this again/,
    )
    await server.does('pkill', 'perl')
    await holding
  })

  test('service has nothing to say where no systemd runs', async () => {
    assert.deepEqual(await plan(place, [service('ssh', ['ssh.service'])]), [])
  })

  test('file differs in content, mode or owner, and shows the lines of a content that is no secret', async () => {
    const path = '/etc/motd'
    const wanted = (content: string, secret = false): Resource =>
      file(path, { content, mode: '0644', secret })
    await converge(wanted('one\ntwo\n'))
    const [planned] = await plan(place, [wanted('one\n2\n')])
    assert.deepEqual(planned!.difference, {
      because: 'its content differs',
      lines: ['@@ -1,2 +1,2 @@', ' one', '-two', '+2'],
    })
    const [hidden] = await plan(place, [wanted('password\n', true)])
    assert.deepEqual(hidden!.difference, { because: 'its content differs' })
    assert.ok(!JSON.stringify([...hidden!.facts]).includes(Buffer.from('one\ntwo\n').toString('base64')))
    await sh('chmod 666 /etc/motd')
    assert.equal(reason(await converge(wanted('one\ntwo\n'))), 'its mode is 666, not 0644')
    await sh('chown admin /etc/motd')
    assert.equal(reason(await converge(wanted('one\ntwo\n'))), 'it belongs to admin:root, not root:root')
    await sh('rm /etc/motd && ln -s /etc/passwd /etc/motd && cp /etc/passwd /etc/passwd.before')
    assert.match(reason(await converge(wanted('one\ntwo\n')))!, /no plain file; what is there will be kept/)
    await sh('cmp /etc/passwd /etc/passwd.before && readlink /etc/motd.saved_*')
  })

  test('file that its judge refuses stays as it was', async () => {
    const path = '/etc/sudoers.d/test'
    const wanted = (content: string): Resource =>
      file(path, { content, mode: '0440', judge: ['visudo', '-c', '-f'] })
    await converge(wanted('admin ALL=(root) /bin/true\n'))
    await assert.rejects(
      converge(wanted('admin ALL=(root\n')),
      /file \/etc\/sudoers\.d\/test: .*syntax error/s,
    )
    assert.equal(
      await sh('cat /etc/sudoers.d/test; ls /etc/sudoers.d'),
      'admin ALL=(root) /bin/true\nREADME\ntest\n',
    )
    await sh('visudo -c')
  })

  test('link keeps the file in its place beside it', async () => {
    await sh('echo mine >/srv/program')
    const planned = await converge(link('/srv/program', '/opt/program'))
    assert.match(reason(planned)!, /will be kept as \*\.saved_TIME/)
    assert.equal(await sh('cat /srv/program.saved_*'), 'mine\n')
    assert.match(reason(await converge(link('/srv/program', '/opt/2')))!, /leads to \/opt\/program, not/)
  })

  test('key is added behind a line without an end, and lines of others stay', async () => {
    const keys = server.file('/home/wren/.ssh/authorized_keys')
    await sh(`printf '# ${otherKey}\\nrestrict ${publicKey}' >/home/wren/.ssh/authorized_keys`)
    await converge(key('wren', [otherKey]))
    assert.equal(readFileSync(keys, 'utf8'), `# ${otherKey}\nrestrict ${publicKey}\n${otherKey}\n`)
    assert.deepEqual(await plan(place, [key('wren', [`ssh-ed25519 ${'C'.repeat(68)}`, otherKey])]), [])
    await sh('chmod 666 /home/wren/.ssh/authorized_keys; chown -R root: /home/wren/.ssh')
    assert.match(reason(await converge(key('wren', [otherKey])))!, /others may change the file/)
    for (const line of ['', 'nonsense', `${publicKey}\nssh-rsa AAAA`, `command="x" ${publicKey}`]) {
      assert.throws(() => key('wren', [line]), /no public key of OpenSSH/)
    }
  })

  test('key gives its user no file of others that a link leads to meanwhile', async () => {
    await sh('useradd -m robin; mkdir -m 755 /srv/nest; echo theirs >/srv/nest/authorized_keys')
    const resource = key('robin', [publicKey])
    await converge(resource)
    await sh('chown root /home/robin/.ssh/authorized_keys')
    // As soon as the folder is its own, robin replaces it.
    const wrapper = `#!/bin/sh
/usr/bin/chown "$@"
rm /usr/local/sbin/chown
mv /home/robin/.ssh /home/robin/real
ln -s /srv/nest /home/robin/.ssh
`
    writeFileSync(server.file('/usr/local/sbin/chown'), wrapper, { mode: 0o755 })
    await plan(place, [resource]).then((planned) =>
      apply(place, [resource], planned, () => {}).catch(() => {}),
    )
    assert.ok(!existsSync(server.file('/usr/local/sbin/chown')))
    assert.equal(await sh('stat -c %U /srv/nest /srv/nest/authorized_keys'), 'root\nroot\n')
    assert.equal(await sh('stat -c %U /home/robin/real/authorized_keys'), 'robin\n')
  })

  test('user without a password gets one, and a password that chpasswd would misread is refused', async () => {
    await sh('passwd -q -l wren && passwd -q -d wren')
    const wanted = (password: string): Resource =>
      user('wren', { groups: ['birds'], password: async () => password })
    await assert.rejects(converge(wanted('a\nroot:b')), /control character/)
    await assert.rejects(converge(wanted('')), /empty password/)
    assert.equal(reason(await converge(wanted('good'))), 'it has no password')
    assert.match(await sh('getent shadow root'), /^root:\*:/)
  })

  test('folder that is a link is left alone', async () => {
    await sh('ln -s /root /srv/rootlink')
    const before = await sh('stat -c "%U %a" /root')
    await assert.rejects(
      converge(folder('/srv/rootlink', { owner: 'wren:wren', mode: '0777' })),
      /a link leads/,
    )
    assert.equal(await sh('stat -c "%U %a" /root'), before)
  })

  test('a full disk is said, and the file stays as it was', async () => {
    await sh('mkdir /srv/small && mount -t tmpfs -o size=64k none /srv/small')
    const wanted = (content: string): Resource => file('/srv/small/file', { content, mode: '0644' })
    await converge(wanted('before\n'))
    await assert.rejects(converge(wanted('x'.repeat(1_000_000))), { code: 'E_IO' })
    assert.equal(await sh('cat /srv/small/file; ls -A /srv/small'), 'before\nfile\n')
  })

  test('what still differs afterwards is said', async () => {
    const never = command('never', {
      guard: { text: 'false' },
      does: { text: 'true' },
      because: 'never done',
    })
    await assert.rejects(converge(never), (error) => {
      assert.ok(error instanceof FleetsieError)
      assert.deepEqual(
        [error.code, error.message],
        ['E_VERIFY', 'command never was applied and still differs: never done'],
      )
      return true
    })
  })

  describe("of sshd's configuration", () => {
    const path = '/etc/ssh/sshd_config.d/60-test.conf'
    const there = (): boolean => existsSync(server.file(path))
    const effective = (): Promise<string> => sh('sshd -T | grep ^logingracetime')

    test('that sshd does not take is never put in place', async () => {
      await assert.rejects(converge(sshdDropIn(path, 'Nonsense yes\n')), /sshd does not take it: .*Nonsense/s)
      assert.ok(!there())
      assert.equal(await sh('ls /var/lib/fleetsie'), '')
    })

    test('is put back when no new login works', async () => {
      const locked = placeOn(server, () => false)
      const resources = [sshdDropIn(path, 'LoginGraceTime 77\n')]
      await assert.rejects(
        apply(locked, resources, await plan(locked, resources), () => {}),
        /it was put back/,
      )
      assert.ok(!there())
      assert.equal(await effective(), 'logingracetime 120\n')
      assert.equal(await sh('ls /var/lib/fleetsie; ps -eo comm= | grep -x sleep; true'), '')
    })

    test('is put back by itself when nothing more is heard of us, and taken up again by the next run', async () => {
      const resource = sshdDropIn(path, 'LoginGraceTime 77\n', { rollbackAfter: 10 })
      let silent: () => void = () => {}
      const dead = placeOn(server, () => new Promise((resolve) => (silent = () => resolve(true))))
      const [planned] = await plan(dead, [resource])
      const late = resource.apply(dead, planned!.facts, () => {})
      await until(there)
      assert.equal(await effective(), 'logingracetime 77\n')
      await until(() => !there())
      silent()
      await assert.rejects(late, /it took too long, and what was before has been put back/)
      assert.equal(await effective(), 'logingracetime 120\n')
      await converge(sshdDropIn(path, 'LoginGraceTime 77\n'))
      assert.equal(await effective(), 'logingracetime 77\n')
    })

    test('waits for another try that is being put in place', async () => {
      const first = server.run([
        ...['sh', '-c'],
        'exec 9</var/lib/fleetsie; flock 9; touch /tmp/held; until [ -e /tmp/go ]; do sleep 0.05; done',
      ])
      await until(() => existsSync(server.file('/tmp/held')))
      const second = converge(sshdDropIn(path, 'LoginGraceTime 78\n'))
      await sh('until pgrep -x flock; do sleep 0.05; done')
      assert.equal(readFileSync(server.file(path), 'utf8'), 'LoginGraceTime 77\n')
      await sh('touch /tmp/go')
      await Promise.all([first, second])
      await converge(sshdDropIn(path, 'LoginGraceTime 77\n'))
    })

    test('is not changed, not at a boot either, where systemd starts nothing', async () => {
      await sh('mkdir -p /run/systemd/system; cp /bin/false /bin/systemctl; cp /bin/false /bin/systemd-run')
      const before = await sh('ls /etc/ssh /etc/ssh/sshd_config.d')
      await assert.rejects(
        converge(sshdDropIn(path, 'LoginGraceTime 79\n')),
        /systemd starts nothing that could put it back, so nothing was changed/,
      )
      assert.equal(readFileSync(server.file(path), 'utf8'), 'LoginGraceTime 77\n')
      assert.equal(await sh('ls /etc/ssh /etc/ssh/sshd_config.d'), before)
      assert.equal(await sh('ls /var/lib/fleetsie'), 'sshd.loaded\n')
      assert.equal(await sh('find /etc/systemd -name "fleetsie*"'), '')
      await sh('rm -r /run/systemd /bin/systemctl /bin/systemd-run')
    })

    test('brings nothing else into use where sshd_config includes no drop-ins', async () => {
      const main = server.file('/etc/ssh/sshd_config')
      const before = readFileSync(main, 'utf8')
      const other = server.file('/etc/ssh/sshd_config.d/50-cloud-init.conf')
      writeFileSync(other, 'PasswordAuthentication yes\n')
      writeFileSync(main, 'PasswordAuthentication no\nPidFile /run/sshd.pid\n')
      await server.restartSshd()
      await converge(sshdDropIn(path, 'LoginGraceTime 66\n'))
      assert.equal(await effective(), 'logingracetime 66\n')
      assert.equal(await sh('sshd -T | grep ^passwordauth'), 'passwordauthentication no\n')
      writeFileSync(main, before)
      rmSync(other)
      await server.restartSshd()
      await converge(sshdDropIn(path, 'LoginGraceTime 77\n'))
    })

    test('brings nothing into use that somebody else has changed and sshd has not read yet', async () => {
      const other = server.file('/etc/ssh/sshd_config.d/10-forgotten.conf')
      writeFileSync(other, 'PubkeyAuthentication no\n')
      const resource = sshdDropIn(path, 'LoginGraceTime 44\n')
      await assert.rejects(converge(resource), (error: FleetsieError) => {
        assert.equal(error.code, 'E_UNSAFE')
        assert.match(error.message, /sshd has not read \/etc\/ssh\/sshd_config.d\/10-forgotten.conf since/)
        return true
      })
      assert.equal(readFileSync(server.file(path), 'utf8'), 'LoginGraceTime 77\n')
      rmSync(other)
    })

    test('is changed back to what it was before, not to nothing', async () => {
      const locked = placeOn(server, () => false)
      const resources = [sshdDropIn(path, 'LoginGraceTime 55\n')]
      await assert.rejects(
        apply(locked, resources, await plan(locked, resources), () => {}),
        /it was put back/,
      )
      assert.equal(readFileSync(server.file(path), 'utf8'), 'LoginGraceTime 77\n')
      assert.equal(await effective(), 'logingracetime 77\n')
    })
  })
})
