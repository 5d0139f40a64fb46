import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { needs } from '../helpers/needs.ts'

const units = join(import.meta.dirname, '../../units')
const script = join(units, 'ssh_tunnel.sh')

for (const shell of [['dash'], ['busybox', 'sh']]) {
  describe(`ssh_tunnel.sh under ${shell.join(' ')}`, { skip: needs(shell[0]!, 'unshare') }, () => {
    let home = ''
    beforeEach(() => {
      home = mkdtempSync(join(tmpdir(), 'fleetsie-test-tunnel-'))
      mkdirSync(join(home, '.ssh'))
      mkdirSync(join(home, 'run'))
    })
    afterEach(() => rmSync(home, { recursive: true }))

    /** With `ssh` for the program of that name, no waiting, and a network in which `taken` is listened at. */
    const start = (ssh: string, taken?: string) => {
      writeFileSync(join(home, 'ssh'), `#!/bin/sh\n${ssh}\n`)
      chmodSync(join(home, 'ssh'), 0o755)
      const load = `sleep() { echo "slept $1" >>'${home}/slept'; }\n. '${script}'`
      const env = { PATH: `${home}:${process.env['PATH']}`, HOME: home, RUNTIME_DIRECTORY: join(home, 'run') }
      const listening = `require('net').createServer().listen(10051, '${taken}', () => {
        process.exit(require('child_process').spawnSync(process.argv[1], process.argv.slice(2), { stdio: 'inherit' }).status)
      })`
      const run = [...(taken ? [process.execPath, '-e', listening] : []), ...shell, '-c', load]
      const args = ['--user', '--map-current-user', '--net', '--', ...run]
      return spawn('unshare', args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    }

    it('ends with 100 where no port was given to this device', async () => {
      const [code] = await once(start('exit 0'), 'close')
      assert.equal(code, 100)
    })

    for (const target of ['/etc/passwd', '20001 -oProxyCommand=x']) {
      it(`ends with 100 where the port is ${JSON.stringify(target)}`, async () => {
        symlinkSync(target, join(home, '.ssh/fleetsie_tunnel_port'))
        const [code] = await once(start('exit 0'), 'close')
        assert.equal(code, 100)
      })
    }

    it('opens both ports, tells the user, waits by chance when it ends, and ends as ssh does', async () => {
      symlinkSync('20007', join(home, '.ssh/fleetsie_tunnel_port'))
      const [code] = await once(start(`printf '%s\\n' "$@" >'${home}/args'\nexit 255`), 'close')
      assert.equal(code, 255)
      const args = readFileSync(join(home, 'args'), 'utf8').split('\n')
      assert.deepEqual(args.slice(-7, -1), [
        ...['-R', 'localhost:20007:localhost:22', '-L', '10051:localhost:10051', 'fleetsie'],
        `user ${spawnSync('id', ['-un'], { encoding: 'utf8' }).stdout.trim()}`,
      ])
      for (const option of ['ExitOnForwardFailure=yes', 'ServerAliveInterval=15', 'ServerAliveCountMax=3']) {
        assert.ok(args.includes(option), option)
      }
      assert.match(readFileSync(join(home, 'slept'), 'utf8'), /^slept \d\n$/)
    })

    for (const taken of ['0.0.0.0', '::']) {
      it(`comes up without the port of zabbix where something has it at ${taken}`, async () => {
        symlinkSync('20007', join(home, '.ssh/fleetsie_tunnel_port'))
        const child = start(`printf '%s\\n' "$@" >'${home}/args'`, taken)
        let said = ''
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text
        })
        const [code] = await once(child, 'close')
        assert.equal(code, 0, said)
        const args = readFileSync(join(home, 'args'), 'utf8').split('\n')
        assert.deepEqual(args.slice(-5, -2), ['-R', 'localhost:20007:localhost:22', 'fleetsie'])
        assert.ok(!args.includes('-L'))
        assert.equal(said, 'port 10051 is in use here, so that it does not lead to the server\n')
      })
    }

    it('gives ssh a stdin that does not end', async () => {
      symlinkSync('20007', join(home, '.ssh/fleetsie_tunnel_port'))
      const child = start('echo started\nread -r line\necho ended')
      const ended = once(child, 'close')
      let said = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      await once(child.stdout, 'data')
      // Had its stdin ended, `read` would have come back by the time that another writer's line has.
      writeFileSync(join(home, 'run/stdin'), 'a line\n')
      await ended
      assert.equal(said, 'started\nended\n')
    })
  })
}

describe('ssh-tunnel.service', () => {
  it('ssh_tunnel.sh has no findings of shellcheck', { skip: needs('shellcheck') }, () => {
    const { stdout, status } = spawnSync('shellcheck', ['--shell=sh', script], { encoding: 'utf8' })
    assert.equal(status, 0, stdout)
  })

  it('systemd takes the unit without a word and finds it exposed to no more than 3.0', {
    skip: needs('systemd-analyze'),
  }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-test-unit-'))
    try {
      const file = join(folder, 'ssh-tunnel.service')
      // The program is not installed here; its absence is all that systemd may find.
      const text = readFileSync(join(units, 'ssh-tunnel.service'), 'utf8')
      writeFileSync(file, text.replace('/opt/fleetsie/ssh_tunnel.sh', script))
      const verified = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
      assert.deepEqual([verified.status, verified.stdout + verified.stderr], [0, ''])
      const args = ['security', '--offline=yes', '--threshold=30', file]
      const judged = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
      assert.equal(judged.status, 0, judged.stdout + judged.stderr)
      assert.match(judged.stdout, /Overall exposure level for ssh-tunnel.service: [0-2]\.\d/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
