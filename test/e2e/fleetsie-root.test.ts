/** The root helper of a fleet server, called as somebody who has taken over the user fleetsie would call it. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { missing } from '../helpers/disks.ts'
import { FleetServer } from '../helpers/fleet-server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { checkout, type Ended } from '../helpers/npm-project.ts'
import { snapshot } from '../helpers/srv.ts'

const skip =
  needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock') || missing('busybox', 'dash')

const setUp = `set -e
useradd -m -s /bin/bash fleetsie
groupadd --system fleetsie-fleets
install -d -o fleetsie -g fleetsie -m 711 /home/fleetsie /home/fleetsie/fleets
`

/** Arguments that must change nothing. */
const hostile: [title: string, args: string[]][] = [
  ['nothing', []],
  ['an unknown verb', ['rm', 'owl']],
  ['a verb with a blank', ['add-fleet owl']],
  ['no fleet', ['add-fleet']],
  ['an empty fleet', ['add-fleet', '']],
  ['two fleets', ['add-fleet', 'owl', 'wren']],
  ['a fleet that climbs', ['add-fleet', '../../root']],
  ['a fleet with a slash', ['add-fleet', 'a/b']],
  ['a fleet that is a dot', ['add-fleet', '.']],
  ['a fleet that is an option', ['add-fleet', '-o']],
  ['a fleet with a blank', ['add-fleet', 'a b']],
  ['a fleet with a newline', ['add-fleet', 'owl\nroot:x:0:0::/root:/bin/sh']],
  ['a fleet that ends with a newline', ['add-fleet', 'owl\n']],
  ['a fleet with a colon', ['add-fleet', 'owl:0']],
  ['a fleet with a command', ['add-fleet', '$(touch /etc/hacked)']],
  ['a fleet with backquotes', ['add-fleet', '`touch /etc/hacked`']],
  ['a fleet with a semicolon', ['add-fleet', 'a;id']],
  ['a fleet with a pattern', ['add-fleet', '*']],
  ['a fleet of another script', ['add-fleet', 'öwl']],
  ['a fleet of 24 characters', ['add-fleet', 'a'.repeat(24)]],
  ['a fleet of 100,000 characters', ['add-fleet', 'a'.repeat(100_000)]],
  ['keys of a fleet that is not there', ['write-keys', 'nobody']],
  ['keys of root', ['write-keys', 'root']],
  ['keys with a strange length', ['write-keys', 'there', '1e3']],
  ['keys with a length that is too long', ['write-keys', 'there', '999999999999999999999']],
  ['keys with an expression for a length', ['write-keys', 'there', '1+$(id)']],
  ['files of a fleet that is not there', ['own-files', 'nobody']],
  ['files of two fleets', ['own-files', 'there', 'there']],
  ['the databases of a fleet that is not there', ['open-files', 'nobody']],
  ['the databases of two fleets', ['open-files', 'there', 'owl']],
  ['the session of another fleet', ['end-session', 'there', 'owl-1']],
  ['the session of no number', ['end-session', 'there', 'there-']],
  ['the session of a pattern', ['end-session', 'there', 'there-*']],
  ['the session of two', ['end-session', 'there', 'there-1 there-2']],
  ['the session of a climbing device', ['end-session', 'there', 'there-1/../x']],
  ['the sessions of no disk', ['end-session', 'there', '0123456789abcdeg']],
  ['the sessions of a digit', ['end-session', 'there', '6']],
  ['the sessions of half a disk', ['end-session', 'there', '01234567']],
  ['the session of number 0', ['end-session', 'there', 'there-0']],
]

describe('fleetsie_root', { skip }, () => {
  let server: FleetServer
  before(async () => {
    server = await FleetServer.start()
    await server.does('sh', '-c', setUp)
    copyFileSync(`${checkout}/units/fleetsie_root`, server.file('/usr/local/sbin/fleetsie_root'))
    copyFileSync('/bin/busybox', server.file('/bin/busybox'))
    await helper('add-fleet', 'there')
  })
  after(() => server?.stop())

  const helper = async (...args: string[]): Promise<Ended> => {
    const ended = await server.run(['/usr/local/sbin/fleetsie_root', ...args])
    assert.equal(ended.code, 0, ended.stderr)
    return ended
  }
  const refused = async (input: string, ...args: string[]): Promise<string> => {
    const { code, stderr } = await server.run(['/usr/local/sbin/fleetsie_root', ...args], { input })
    assert.equal(code, 1, stderr)
    return stderr
  }
  /** Who is told to end may still be there for a moment. */
  const comesTo = async (live: () => Promise<string>, expected: string): Promise<void> => {
    for (const limit = Date.now() + 60_000; Date.now() < limit; ) if ((await live()) === expected) return
    assert.equal(await live(), expected)
  }
  const as = (user: string, script: string): Promise<Ended> =>
    server.run(['runuser', '-u', user, '--', 'sh', '-c', script])
  const keys = (): string => readFileSync(server.file('/home/fleetsie_there/.ssh/authorized_keys'), 'utf8')

  for (const shell of [['dash'], ['busybox', 'ash']]) {
    test(`refuses every hostile argument and touches nothing, run by ${shell.join(' ')}`, async () => {
      const before = await snapshot(server)
      for (const [title, args] of hostile) {
        const { code, stdout, stderr } = await server.run([
          ...shell,
          '/usr/local/sbin/fleetsie_root',
          ...args,
        ])
        assert.equal(code, 1, `${title}: ${stdout}${stderr}`)
        assert.match(stderr, /^fleetsie_root: [^\n]{1,120}\n$/m, title)
      }
      assert.equal(await snapshot(server), before)
    })
  }

  test('makes a fleet once, and changes nothing the second time', async () => {
    await helper('add-fleet', 'Owl_2')
    assert.equal(
      await server.does('stat', '-c', '%U:%G %a', '/home/fleetsie/fleets/Owl_2', '/run/fleetsie/dev/Owl_2'),
      'fleetsie_Owl_2:fleetsie 2770\nfleetsie_Owl_2:fleetsie 2750\n',
    )
    assert.equal(
      await server.does('cat', '/etc/tmpfiles.d/fleetsie-Owl_2.conf'),
      'd /run/fleetsie/dev/Owl_2 2750 fleetsie_Owl_2 fleetsie -\n',
    )
    assert.match(
      await server.does('id', 'fleetsie_Owl_2'),
      /groups=\d+\(fleetsie_Owl_2\),\d+\(fleetsie-fleets\)$/m,
    )
    assert.match(await server.does('getent', 'shadow', 'fleetsie_Owl_2'), /^fleetsie_Owl_2:\*:/)
    const contents = await server.does('sha256sum', '/etc/passwd', '/etc/shadow', '/etc/group')
    await helper('add-fleet', 'Owl_2')
    assert.equal(await server.does('sha256sum', '/etc/passwd', '/etc/shadow', '/etc/group'), contents)
  })

  test('writes keys whole or not at all, as the user of the fleet', async () => {
    const text = 'ssh-ed25519 AAAA one\n'
    const write = (input: string, ...bytes: string[]): Promise<Ended> =>
      server.run(['/usr/local/sbin/fleetsie_root', 'write-keys', 'there', ...bytes], { input })
    assert.equal((await write(text, String(text.length))).code, 0)
    assert.equal(keys(), text)
    assert.match(
      await refused(text.slice(3), 'write-keys', 'there', String(text.length)),
      /did not arrive whole/,
    )
    assert.match(await refused(`${'x'.repeat(16 * 1024 * 1024)}y`, 'write-keys', 'there'), /too many keys/)
    assert.equal(keys(), text)
    assert.equal(
      await server.does(
        'sh',
        '-c',
        'cd /home/fleetsie_there/.ssh && ls -A && stat -c "%U %a" authorized_keys .',
      ),
      'authorized_keys\nfleetsie_there 600\nfleetsie_there 700\n',
    )
  })

  test('follows no link that the user of a fleet has made', async () => {
    const shadow = await server.does('sha256sum', '/etc/shadow')
    await as('fleetsie_there', 'cd ~fleetsie_there && rm -r .ssh && ln -s /etc .ssh')
    await server.run(['/usr/local/sbin/fleetsie_root', 'write-keys', 'there'], { input: 'x\n' })
    assert.equal((await server.run(['ls', '/etc/authorized_keys'])).code, 2)
    await as('fleetsie_there', 'cd ~fleetsie_there && rm .ssh && mkdir -m 700 .ssh')
    const folder = '/home/fleetsie/fleets/there'
    await as('fleetsie_there', `ln -s /etc/shadow ${folder}/fleet.sqlite`)
    assert.match(await refused('', 'own-files', 'there'), /fleet\.sqlite is a link/)
    await as(
      'fleetsie_there',
      `rm ${folder}/fleet.sqlite; touch ${folder}/a; ln ${folder}/a ${folder}/fleet.sqlite`,
    )
    assert.match(await refused('', 'own-files', 'there'), /no plain file of its own/)
    await server.does('rm', `${folder}/fleet.sqlite`)
    await server.does('install', '-m', '600', '/dev/null', `${folder}/fleet.sqlite`)
    assert.match(await refused('', 'own-files', 'there'), /belongs to somebody else/)
    await server.does('chown', 'fleetsie', `${folder}/fleet.sqlite`)
    await helper('own-files', 'there')
    assert.equal(
      await server.does('stat', '-c', '%U:%G %a', `${folder}/fleet.sqlite`),
      'fleetsie_there:fleetsie 600\n',
    )
    assert.equal(await server.does('sha256sum', '/etc/shadow'), shadow)
  })

  test('follows no link that the user fleetsie has made', async () => {
    const home = await server.does('stat', '-c', '%U %a', '/home/admin')
    await as('fleetsie', 'cd && mv fleets real && ln -s /home fleets')
    assert.match(await refused('', 'add-fleet', 'admin'), /a link leads to \/home\/fleetsie\/fleets/)
    await as('fleetsie', 'cd && rm fleets && mv real fleets && ln -s /home/admin fleets/admin')
    assert.match(await refused('', 'add-fleet', 'admin'), /a link leads to/)
    assert.equal(await server.does('stat', '-c', '%U %a', '/home/admin'), home)
  })

  test('ends the session of one device and of no other', async () => {
    // As sshd runs it: by the shell of the user, below a process that belongs to the user.
    const session = (host: string): Promise<Ended> =>
      as(
        'fleetsie_there',
        `printf '#!/bin/sh\\nsleep 1000\\n' >/tmp/fleetsie_login
        setsid sh -c 'sh /tmp/fleetsie_login there ${host} 20001; :' >/dev/null 2>&1 &
        until pgrep -f '^sh /tmp/fleetsie_login there ${host} ' >/dev/null; do sleep 0.02; done`,
      )
    await session('there-1')
    await session('there-11')
    const live = (): Promise<string> =>
      server.does('sh', '-c', 'pgrep -af "^sh /tmp/[f]leetsie_login there" | cut -d " " -f 5 | sort -u')
    await comesTo(live, 'there-1\nthere-11\n')
    await helper('end-session', 'there', 'there-1')
    await comesTo(live, 'there-11\n')
    await helper('end-session', 'there', 'there-7')
    await comesTo(live, 'there-11\n')
    const named = (input: string): Promise<Ended> =>
      server.run(['/usr/local/sbin/fleetsie_root', 'end-session', 'there', '-'], { input })
    for (const input of ['', 'there-11\n*\n', 'owl-1\n', 'there-11 /\n']) {
      assert.equal((await named(input)).code, 1, input)
    }
    await comesTo(live, 'there-11\n')
    await session('there-2')
    await session('there-3')
    assert.equal((await named('there-3\nthere-99\nthere-11\n')).code, 0)
    await comesTo(live, 'there-2\n')
    await helper('end-session', 'there', 'there-2')
  })

  test('ends the claims of one disk and of no other', async () => {
    const claim = (lot: string): Promise<Ended> =>
      as(
        'fleetsie_there',
        `printf '#!/bin/sh\\nsleep 1000\\n' >/tmp/fleetsie_auth
        setsid sh /tmp/fleetsie_auth there ${lot} >/dev/null 2>&1 &
        until pgrep -f '^sh /tmp/fleetsie_auth there ${lot}' >/dev/null; do sleep 0.02; done`,
      )
    for (const lot of ['0123456789abcdef', 'fedcba9876543210']) await claim(lot)
    const live = (): Promise<string> =>
      server.does('sh', '-c', 'pgrep -af "^sh /tmp/[f]leetsie_auth" | cut -d " " -f 5 | sort -u')
    await helper('end-session', 'there', '0123456789abcdef')
    await comesTo(live, 'fedcba9876543210\n')
    await helper('end-session', 'there', 'fedcba9876543210')
    await comesTo(live, '')
  })

  test('ends the connection of a device that lets nothing run, and all of a fleet', {
    timeout: 240_000,
  }, async () => {
    const key = readFileSync(`${server.manager.key}.pub`, 'utf8')
    const lines = `command="sh /tmp/fleetsie_login there there-2 20002",restrict ${key}`
    const { code } = await server.run(['/usr/local/sbin/fleetsie_root', 'write-keys', 'there'], {
      input: lines,
    })
    assert.equal(code, 0)
    const logIn = async (...options: string[]): Promise<ChildProcess> => {
      const told = ['-o', 'PermitLocalCommand=yes', '-o', 'LocalCommand=echo in']
      const [command, args] = server.enter(['ssh', '-T', ...told, ...options, 'fleetsie_there@192.0.2.1'])
      const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
      await once(child.stdout!, 'data')
      return child
    }
    const other = await logIn()
    await server.does('sh', '-c', 'until pgrep -f "[f]leetsie_login there there-2"; do sleep 0.05; done')
    const silent = await logIn('-N')
    const over = once(silent, 'close')
    await helper('end-session', 'there', 'there-1')
    await over
    assert.equal(other.exitCode, null)
    const allOver = once(other, 'close')
    await helper('end-session', 'there')
    await allOver
  })

  test('does not wait for ever for what the user of a fleet has stopped', { timeout: 240_000 }, async () => {
    const helper = readFileSync(`${checkout}/units/fleetsie_root`, 'utf8')
    const soon = helper.replace('-k 5', '-k 1').replaceAll(/patience=\d+/g, 'patience=1')
    writeFileSync(server.file('/usr/local/sbin/soon'), soon, { mode: 0o755 })
    await server.does('mkdir', '-p', '/opt/fleetsie/current')
    writeFileSync(
      server.file('/opt/fleetsie/current/fleetsie_gen_srv'),
      `#!/bin/sh\ntrap '' TERM\nkill -STOP $$\n`,
      { mode: 0o755 },
    )
    const reason = /fleetsie_root: what runs as fleetsie_there has not ended in 1 s/
    for (const line of ['soon open-files there', 'tail -f /dev/null | soon write-keys there']) {
      // tail ends with its reader.
      const { code, stderr } = await server.run(['sh', '-c', `${line}; code=$?; pkill -x tail; exit $code`])
      assert.equal(code, 1)
      assert.match(stderr, reason)
    }
    assert.equal(await server.does('sh', '-c', 'pgrep -u fleetsie_there -af "gen_srv|head"; true'), '')
  })

  test('makes a fleet also where systemd does not answer', async () => {
    await server.does('mkdir', '-p', '/run/systemd/system')
    writeFileSync(server.file('/usr/local/bin/systemctl'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    const { stderr } = await helper('add-fleet', 'there')
    assert.match(stderr, /user-\d+\.slice keeps its TasksMax/)
    await server.does('rm', '-r', '/run/systemd', '/usr/local/bin/systemctl')
  })

  test('does nothing for anybody but root', async () => {
    const { code, stderr } = await as('fleetsie', 'sh /usr/local/sbin/fleetsie_root add-fleet wren')
    assert.equal(code, 1)
    assert.match(stderr, /it has to be called by sudo/)
  })
})
