import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { needs, needsRoot } from '../helpers/needs.ts'

const script = join(import.meta.dirname, '../../units/fleetsie_login')
const session = ['birds', 'birds-1', '20001']
const shells: [title: string, shell: string[]][] = [
  ['dash', ['dash']],
  ['busybox ash', ['busybox', 'ash']],
]

/** A /run of its own, which ends with this object. */
class Presence {
  private holder!: ChildProcess

  async start(): Promise<void> {
    const make = 'mount -t tmpfs tmpfs /run && mkdir -p /run/fleetsie/dev/birds && echo && exec cat'
    this.holder = spawn('unshare', ['--mount', 'sh', '-c', make], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(this.holder.stdout!, 'data')
  }

  async stop(): Promise<void> {
    this.holder.stdin!.end()
    await once(this.holder, 'close')
  }

  private enter(argv: readonly string[]): [string, string[]] {
    return ['nsenter', [`--mount=/proc/${this.holder.pid}/ns/mnt`, ...argv]]
  }

  run(...argv: string[]): string {
    const [command, args] = this.enter(argv)
    return spawnSync(command, args, { encoding: 'utf8' }).stdout
  }

  /** Names and what the links say, sorted. */
  shown(): string {
    return this.run('sh', '-c', 'cd /run/fleetsie/dev/birds && find . -mindepth 1 -printf "%P %l\\n" | sort')
  }

  told(name: string): string {
    return this.run('cat', `/run/fleetsie/dev/birds/${name}`)
  }

  begin(shell: readonly string[], asked?: string, ip = '192.0.2.7'): ChildProcess {
    const [command, args] = this.enter([...shell, script, ...session])
    const env = { PATH: process.env['PATH'], SSH_CONNECTION: `${ip} 50000 192.0.2.1 22` }
    return spawn(command, args, {
      env: asked === undefined ? env : { ...env, SSH_ORIGINAL_COMMAND: asked },
    })
  }

  /** As a line of the older tool has it. */
  older(): ChildProcess {
    const [command, args] = this.enter([script])
    const [FLEETSIE_FLEET, FLEETSIE_HOST, FLEETSIE_PORT] = session
    return spawn(command, args, {
      env: { PATH: process.env['PATH'], FLEETSIE_FLEET, FLEETSIE_HOST, FLEETSIE_PORT },
    })
  }

  async shownPid(): Promise<number> {
    for (;;) {
      const [, pid] = /^pid (\d+)\n/.exec(this.told('.birds-1')) ?? []
      if (pid) return Number(pid)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** Waits until `pid` has a child that runs `program`; undefined: until `pid` has ended. */
  async children(pid: number, program: string | undefined): Promise<number[]> {
    for (;;) {
      // Nobody may wait for it.
      if (!/^State:\t[^Z]/m.test(read(`/proc/${pid}/status`))) {
        assert.equal(program, undefined, 'it has ended')
        return []
      }
      const found = read(`/proc/${pid}/task/${pid}/children`)
        .split(' ')
        .filter((child) => child !== '' && read(`/proc/${child}/comm`) === `${program}\n`)
      if (found.length > 0) return found.map(Number)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** Begins, and waits until it is shown. */
  async connected(shell: readonly string[], asked?: string, ip?: string): Promise<ChildProcess> {
    const child = this.begin(shell, asked, ip)
    while (!this.told('.birds-1').startsWith(`pid ${child.pid}\n`)) {
      assert.equal(child.exitCode, null, 'it has ended')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return child
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

const whole = '.birds-1 \nbirds-1 20001\n'
const online = /^birds-1 20001$/m
const gone = '.birds-1.last \n'

describe('fleetsie_login', {
  skip: needsRoot || needs('unshare', 'nsenter', 'dash', 'busybox', 'flock'),
}, () => {
  for (const [title, shell] of shells) {
    describe(`by ${title}`, () => {
      const presence = new Presence()
      before(() => presence.start())
      after(() => presence.stop())

      it('shows port, user, address and time while the tunnel is open', async () => {
        const child = await presence.connected(shell, 'user pi')
        assert.equal(presence.shown(), whole)
        assert.match(
          presence.told('.birds-1'),
          new RegExp(`^pid ${child.pid}\nuser pi\nip 192\\.0\\.2\\.7\nsince 1\\d{9}\n$`),
        )
        child.stdin!.end('whatever it says')
        assert.deepEqual(await once(child, 'close'), [0, null])
        assert.equal(presence.shown(), gone)
      })

      for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT'] as const) {
        it(`cleans up after ${signal}`, async () => {
          const child = await presence.connected(shell)
          child.kill(signal)
          assert.deepEqual(await once(child, 'close'), [0, null])
          assert.equal(presence.shown(), gone)
        })
      }

      it('replaces what a session left that was killed', async () => {
        const killed = await presence.connected(shell, 'user old')
        killed.kill('SIGKILL')
        killed.stdin!.end()
        await once(killed, 'close')
        assert.equal(presence.shown(), `.birds-1 \n.birds-1.last \nbirds-1 20001\n`)
        const child = await presence.connected(shell, 'user new')
        assert.match(presence.told('.birds-1'), /^user new$/m)
        child.stdin!.end()
        await once(child, 'close')
        assert.equal(presence.shown(), gone)
      })

      it('takes over from a session that hangs, which then leaves the newer one alone', async () => {
        const old = await presence.connected(shell, 'user pi', '192.0.2.7')
        const newer = await presence.connected(shell, 'user pi', '2001:db8::7')
        assert.match(presence.told('.birds-1'), /^ip 2001:db8::7$/m)
        old.kill('SIGTERM')
        await once(old, 'close')
        assert.match(presence.told('.birds-1'), new RegExp(`^pid ${newer.pid}$`, 'm'))
        newer.stdin!.end()
        await once(newer, 'close')
        assert.equal(presence.shown(), gone)
      })

      it('gives its place back to an older session that is alive after all', async () => {
        const old = await presence.connected(shell, 'user pi')
        const newer = await presence.connected(shell)
        newer.stdin!.end()
        await once(newer, 'close')
        assert.match(presence.told('.birds-1'), new RegExp(`^pid ${old.pid}\nuser pi$`, 'm'))
        old.stdin!.end()
        await once(old, 'close')
        assert.equal(presence.shown(), gone)
      })

      it('stays without a stdin for a device that asks for nothing, until sshd ends', async () => {
        const folder = mkdtempSync(join(tmpdir(), 'fleetsie-sshd-'))
        const sshd = join(folder, 'sshd')
        copyFileSync('/bin/dash', sshd)
        // What sshd runs may be a shell that runs it.
        const line = 'sh -c "$0 $*; :"; :'
        const parent = presence.begin([sshd, '-c', line, ...shell])
        parent.stdin!.end()
        try {
          const pid = await presence.shownPid()
          // It says so once there is nothing to read any more.
          const [sleeper] = await presence.children(pid, 'sleep')
          assert.match(presence.shown(), online)
          parent.kill('SIGKILL')
          await once(parent, 'exit')
          process.kill(sleeper!)
          await presence.children(pid, undefined)
          assert.equal(presence.shown(), gone)
        } finally {
          parent.kill('SIGKILL')
          rmSync(folder, { recursive: true })
        }
      })

      it('takes from the environment what lines of the older tool say there', async () => {
        const child = presence.older()
        while (!online.test(presence.shown())) {
          assert.equal(child.exitCode, null, 'it has ended')
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
        child.stdin!.end()
        assert.deepEqual(await once(child, 'close'), [0, null])
      })

      it('says who it is for `check`, and shows nothing', async () => {
        const child = presence.begin(shell, 'check')
        let said = ''
        child.stdout!.setEncoding('utf8').on('data', (text: string) => {
          said += text
        })
        assert.deepEqual(await once(child, 'close'), [0, null])
        assert.equal(said, 'ok birds-1\n')
        assert.equal(presence.shown(), gone)
      })

      for (const asked of [
        'user $(id)',
        'user -rf',
        'user a b',
        `user ${'x'.repeat(33)}`,
        'user é',
        'id',
        'user a\nip b',
      ]) {
        it(`takes no user from ${JSON.stringify(asked.slice(0, 20))}`, async () => {
          const child = await presence.connected(shell, asked, '$(id);')
          assert.match(presence.told('.birds-1'), /^pid \d+\nuser \nip unknown\nsince \d+\n$/)
          child.stdin!.end()
          await once(child, 'close')
        })
      }

      it('holds the tunnel also where nothing can be shown', async () => {
        presence.run('rm', '-r', '/run/fleetsie')
        const child = presence.begin(shell)
        child.stdin!.end()
        assert.deepEqual(await once(child, 'close'), [0, null])
      })
    })
  }
})
