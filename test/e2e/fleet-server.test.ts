/** The server that tests of the fleet talk to is a real one, and leaves nothing behind. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FleetServer } from '../helpers/fleet-server.ts'
import { serverRoot } from '../helpers/fleet-server-root.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { dead, isAlive } from '../helpers/processes.ts'

const skip = needsRoot || needs('mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock')

describe('the fleet server of the tests', { skip }, () => {
  let server: FleetServer
  before(async () => {
    server = await FleetServer.start()
  })
  after(() => server.stop())

  function manager(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(...server.enter(argv), { encoding: 'utf8' })
  }

  for (const [title, user, host] of [
    ['root by address', 'root', '192.0.2.1'],
    ['a user with sudo by name', 'admin', 'fleet.example'],
  ] as const) {
    test(`lets the manager in as ${title}, whose machine knows its key`, async () => {
      const { status, stdout, stderr } = manager(
        'ssh',
        '-o',
        'BatchMode=yes',
        `${user}@${host}`,
        'whoami; hostname',
      )
      assert.deepEqual([status, stdout], [0, `${user}\nfleet\n`], stderr)
      const accepted = new RegExp(`Accepted publickey for ${user} from 192\\.0\\.2\\.1`)
      // syslogd writes it when it comes to that.
      for (const end = Date.now() + 60_000; Date.now() < end && !accepted.test(server.sshdLog()); )
        await sleep(20)
      assert.match(server.sshdLog(), accepted)
    })
  }

  test('asks for a password where sudo is used', () => {
    const sudo = (...args: string[]) => manager('ssh', 'admin@192.0.2.1', 'sudo', ...args)
    assert.equal(sudo('-n', 'true').status, 1)
    const [command, args] = server.enter(['ssh', 'admin@192.0.2.1', 'sudo', '-S', '-p', '""', 'id', '-u'])
    assert.equal(spawnSync(command, args, { input: `${server.password}\n`, encoding: 'utf8' }).stdout, '0\n')
  })

  test('has neither Node nor sqlite3, which apt installs without a network', async () => {
    for (const name of ['node', 'sqlite3']) assert.notEqual((await server.run(['which', name])).code, 0, name)
    await server.does('apt-get', '-q', 'update')
    await server.does('apt-get', '-qy', 'install', 'sqlite3')
    assert.equal(await server.does('sqlite3', ':memory:', 'select 6*7'), '42\n')
  })

  test('shows its files, and gives input to its programs', async () => {
    await server.run(['sh', '-c', 'cat >/root/said'], { input: 'said' })
    assert.equal(readFileSync(server.file('/root/said'), 'utf8'), 'said')
  })

  test('ends its sessions when sshd is started again, and buries them', async () => {
    const [command, args] = server.enter(['ssh', 'root@192.0.2.1', 'echo in; exec sleep 1000'])
    const session = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    await new Promise((resolve) => session.stdout.once('data', resolve))
    const over = new Promise((resolve) => session.once('close', resolve))
    await server.restartSshd()
    assert.equal(await over, 255)
    assert.doesNotMatch(await server.does('ps', '-eo', 'stat,comm'), /^Z/m)
    assert.equal(manager('ssh', 'root@192.0.2.1', 'true').status, 0)
  })

  test('reaches a second server', async () => {
    const second = await FleetServer.start({ beside: server, address: '192.0.2.2' })
    const { stdout, stderr } = manager(
      'ssh',
      '-o',
      'BatchMode=yes',
      'admin@fleet2.example',
      'echo $SSH_CONNECTION',
    )
    await second.stop()
    assert.match(stdout, /^192\.0\.2\.1 \d+ 192\.0\.2\.2 22$/m, stderr)
  })

  test('ends with the test that started it, killed or not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-killed-'))
    const helper = new URL('../helpers/fleet-server.ts', import.meta.url).href
    const program = `import { FleetServer } from ${JSON.stringify(helper)}
console.log((await FleetServer.start()).file('/'))`
    const env = { ...process.env, TMPDIR: folder, FLEETSIE_TEST_SHARED: dirname(await serverRoot()) }
    const args = ['--import', 'tsx', '--input-type=module', '-e', program]
    const test = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    const said = await new Promise((resolve) => test.stdout.once('data', resolve))
    const pid = Number(/^\/proc\/(\d+)\//.exec(String(said))?.[1])
    assert.ok(isAlive(pid), String(said))
    test.kill('SIGKILL')
    await dead(pid)
    rmSync(folder, { recursive: true })
  })
})
