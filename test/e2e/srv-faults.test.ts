/** Servers that `srv` must not take, must not break, and must mend. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import Database from 'better-sqlite3'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { FleetServer } from '../helpers/fleet-server.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { fleetsiePassword, type Ran, SrvProgram, snapshot } from '../helpers/srv.ts'

const skip = needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock')

/** So that nobody is asked. */
const withUser = `useradd -m -s /bin/bash -G sudo fleetsie && printf 'fleetsie:%s\\n' "$0" | chpasswd`

/** Of the older tool: the seed's schema as SQLite takes it, with clear values. */
const oldSchema = `CREATE TABLE devices (
  id INTEGER UNIQUE PRIMARY KEY NOT NULL, fleet VARCHAR NOT NULL, id_in_fleet INTEGER NOT NULL,
  fleetuser VARCHAR NOT NULL, hostname VARCHAR NOT NULL, hwid VARCHAR, otp VARCHAR NOT NULL,
  ts_generated DOUBLE NOT NULL, ts_registered DOUBLE, tunnel_port INTEGER NOT NULL,
  device_public_key VARCHAR NOT NULL, device_private_key VARCHAR NOT NULL, server_public_key VARCHAR NOT NULL,
  server_private_key VARCHAR NOT NULL, ip_provisioned_from VARCHAR)`

describe('srv', { skip }, () => {
  let program: SrvProgram
  let server: FleetServer
  before(async () => {
    program = await SrvProgram.make()
  })
  after(() => program?.remove())
  beforeEach(async () => {
    server = await FleetServer.start()
    await server.does('sh', '-c', withUser, fleetsiePassword)
  })
  afterEach(() => server.stop())

  const srv = (...args: string[]): Promise<Ran> => program.run(server, [...args, 'root@192.0.2.1'])

  async function refused(code: number, message: RegExp, hint: RegExp): Promise<void> {
    const before = await snapshot(server)
    const ran = await srv()
    assert.equal(ran.code, code, ran.stdout + ran.stderr)
    assert.match(ran.stderr, message)
    assert.match(ran.stderr, hint)
    assert.equal(await snapshot(server), before)
  }

  test('refuses a server of another architecture before anything is touched', async () => {
    writeFileSync(server.file('/usr/local/bin/uname'), '#!/bin/sh\necho armv7l\n', { mode: 0o755 })
    await refused(4, /a server of armv7l cannot run fleetsie/, /x86_64 and aarch64 only/)
  })

  test('refuses a server whose sshd would let nobody in as fleetsie', async () => {
    await server.does('sh', '-c', "echo 'AllowUsers root admin' >>/etc/ssh/sshd_config")
    await refused(
      2,
      /AllowUsers keeps out fleetsie, AllowUsers keeps out fleetsie_\*/,
      /in \/etc\/ssh\/sshd_config/,
    )
    const plan = await srv('--plan')
    assert.equal(plan.code, 0, plan.stderr)
    assert.match(plan.stdout, /would change +sshd logins: AllowUsers keeps out fleetsie/)
    const elsewhere = 'Match User fleetsie\\nAuthorizedKeysFile /etc/ssh/keys/%%u\\n'
    await server.does(
      'sh',
      '-c',
      `sed -i /^AllowUsers/d /etc/ssh/sshd_config; printf '${elsewhere}' >>/etc/ssh/sshd_config`,
    )
    await refused(
      2,
      /AuthorizedKeysFile keeps out fleetsie/,
      /let `Match User fleetsie` have AuthorizedKeysFile/,
    )
    await server.does('sed', '-i', 's/^AuthorizedKeysFile.*/PubkeyAuthentication no/', '/etc/ssh/sshd_config')
    await refused(
      2,
      /PubkeyAuthentication keeps out fleetsie/,
      /let `Match User fleetsie` have PubkeyAuthentication yes/,
    )
  })

  test('brings into use nothing of what the administrator has forgotten', async () => {
    const main = 'PermitRootLogin yes\nSubsystem sftp /usr/lib/openssh/sftp-server\nPidFile /run/sshd.pid\n'
    const including = `Include /etc/ssh/sshd_config.d/*.conf\n${main}`
    writeFileSync(server.file('/etc/ssh/sshd_config'), including)
    await server.restartSshd()
    // Nobody has loaded it yet: srv would.
    writeFileSync(server.file('/etc/ssh/sshd_config.d/10-forgotten.conf'), 'PermitRootLogin no\n')
    await refused(2, /sshd has not read .*10-forgotten\.conf since that was changed/, /systemctl reload ssh/)
    // Where drop-ins are not included, it stays out of use; the administrator's own file is kept.
    writeFileSync(server.file('/etc/ssh/sshd_config'), main)
    await server.restartSshd()
    const again = await srv()
    assert.equal(again.code, 0, again.stdout + again.stderr)
    assert.equal(
      await server.does('cat', '/etc/ssh/sshd_config'),
      `Include /etc/ssh/sshd_config.d/50-fleetsie.conf\n\n${main}`,
    )
    const saved = await server.does('sh', '-c', 'cat "$(ls -t /etc/ssh/sshd_config.saved_* | head -n 1)"')
    assert.equal(saved, main)
    assert.match(await server.does('sshd', '-T'), /^maxstartups 1000:30:2000$/m)
    await server.does('rm', '/etc/ssh/sshd_config.d/10-forgotten.conf')
    // Unlike others, this setting counts where it stands last.
    await server.does('sh', '-c', 'echo "MaxStartups 10:30:60" >>/etc/ssh/sshd_config')
    await server.restartSshd()
    const lost = await srv()
    assert.equal(lost.code, 4, lost.stdout + lost.stderr)
    assert.match(lost.stderr, /maxstartups 10:30:60 comes from another file and counts more than ours/)
  })

  test('is repaired by the next run, wherever it was killed', async () => {
    const kill = async (how: Parameters<SrvProgram['run']>[2]): Promise<void> => {
      const ran = await program.run(server, ['--json', 'root@192.0.2.1'], how)
      assert.equal(ran.code, null, `it was not killed: ${ran.stdout}${ran.stderr}`)
    }
    const changed =
      (what: string) =>
      (event: BuildEvent): boolean =>
        event.type === 'resource' && event.resource.startsWith(what)
    await kill({ killAfter: changed('package sqlite3') })
    await kill({ killAfter: changed('key of') })
    await kill({ killAfter: changed('file /etc/sudoers.d') })
    const closures = server.file('/opt/fleetsie/closures')
    const unpacking = (): boolean =>
      existsSync(closures) && readdirSync(closures).some((name) => name.endsWith('.tmp'))
    await kill({ killWhen: unpacking })
    await kill({ killAfter: changed('closure') })
    await kill({ killWhen: () => existsSync(server.file('/var/lib/fleetsie/sshd.pending')) })
    const last = await srv()
    assert.equal(last.code, 0, last.stdout + last.stderr)
    assert.match((await srv()).stdout, /no change/)
    await server.does('visudo', '-c')
    await server.does('sshd', '-t')
    const left = await server.does(
      'sh',
      '-c',
      'find / -xdev -name "*.fleetsie-new" -o -xdev -name "*.tmp" -path "/opt/*"',
    )
    assert.equal(left, '')
  })

  test('brings a server of the older tool up to date and loses nothing', async () => {
    const old = '#!/bin/bash\n# of the older tool\n'
    for (const name of ['fleetsie_auth', 'fleetsie_login']) {
      writeFileSync(server.file(`/home/fleetsie/${name}`), old, { mode: 0o755 })
    }
    const db = new Database(':memory:')
    db.exec(oldSchema)
    db.prepare(
      `INSERT INTO devices VALUES (7, 'owl', 1, 'fleetsie_owl', 'owl-1', NULL, ?, 1, NULL, 20007, 'a', 'b', 'c', 'd', NULL)`,
    ).run('ab'.repeat(128))
    writeFileSync(server.file('/home/fleetsie/fleets.sqlite'), db.serialize(), { mode: 0o644 })
    db.close()
    // It replaced the whole file.
    const main = 'PasswordAuthentication no\nClientAliveInterval 60\nPidFile /run/sshd.pid\n'
    writeFileSync(server.file('/etc/ssh/sshd_config'), main)
    await server.restartSshd()
    const before = await server.does('sha256sum', '/home/fleetsie/fleets.sqlite')
    const ran = await srv()
    assert.equal(ran.code, 0, ran.stdout + ran.stderr)
    assert.equal(await server.does('sh', '-c', 'cat /home/fleetsie/fleetsie_auth.saved_*'), old)
    assert.equal(
      await server.does('readlink', '/home/fleetsie/fleetsie_auth'),
      '/opt/fleetsie/current/fleetsie_auth\n',
    )
    assert.equal(await server.does('sha256sum', '/home/fleetsie/fleets.sqlite'), before)
    assert.equal(await server.does('stat', '-c', '%U %a', '/home/fleetsie/fleets.sqlite'), 'fleetsie 600\n')
    assert.ok((await server.does('cat', '/etc/ssh/sshd_config')).endsWith(main))
    assert.match((await srv()).stdout, /no change/)
  })
})
