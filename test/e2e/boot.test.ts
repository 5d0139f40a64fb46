/**
 * The verb `boot`: the Debian image comes up in this terminal, its sshd answers through the forwarded port, the image stays
 * as it is, what the machine wrote is there again with --keep, and nothing is left running.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildDebian, debianCheckout } from '../helpers/debian-target.ts'
import { needs } from '../helpers/needs.ts'
import type { Scratch } from '../helpers/scratch.ts'

/** Emulated, on a machine that may have other work to do. */
const patienceMs = 600_000

/** One call of `boot`, and what it says. */
class Booting {
  said = ''
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess
  readonly #heard = new Set<() => void>()

  constructor(scratch: Scratch, cache: string, args: readonly string[]) {
    const [command, rest] = scratch.command(['boot', ...args])
    const env = { ...scratch.env({ XDG_CACHE_HOME: cache }) }
    this.#child = spawn(command, rest, { cwd: scratch.project, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.said += text
        for (const look of this.#heard) look()
      })
    }
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        resolve(code)
        for (const look of this.#heard) look()
      })
    })
  }

  says(pattern: RegExp): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const settle = (settled: () => void): void => {
        clearTimeout(timer)
        this.#heard.delete(look)
        settled()
      }
      const fail = (): void =>
        settle(() => reject(new Error(`never said ${pattern}: ${this.said.slice(-4000)}`)))
      const timer = setTimeout(fail, patienceMs)
      const look = (): void => {
        const found = this.said.match(pattern)
        if (found) settle(() => resolve(found))
        else if (this.#child.exitCode !== null || this.#child.signalCode !== null) fail()
      }
      this.#heard.add(look)
      look()
    })
  }

  async interrupt(): Promise<number | null> {
    this.#child.kill('SIGINT')
    return this.ended
  }
}

/** What a server says first; asked again while the machine has no sshd yet. */
async function banner(port: number): Promise<string> {
  const until = Date.now() + patienceMs
  while (Date.now() < until) {
    const said = await new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('data', (data) => {
        socket.destroy()
        resolve(data.toString('latin1'))
      })
      // qemu takes the connection before anybody in the machine does, and closes it when nobody will.
      socket.once('error', () => resolve('')).once('close', () => resolve(''))
    })
    if (said !== '') return said
  }
  return ''
}

function listening(port: number): boolean {
  return spawnSync('ss', ['-Hltn', `sport = :${port}`], { encoding: 'utf8' }).stdout.trim() !== ''
}

describe('boot', { skip: needs('qemu-system-x86_64', 'qemu-img', 'xz', 'ss') }, () => {
  let scratch: Scratch | undefined
  let cache = ''
  let image = ''
  before(async () => {
    cache = mkdtempSync(join(tmpdir(), 'fleetsie-test-booted-'))
    scratch = await debianCheckout()
    image = await buildDebian(scratch)
  })
  after(async () => {
    rmSync(cache, { recursive: true, force: true })
    await scratch?.remove()
  })

  it('starts the image, leads a port to its sshd, and leaves image and machine clean', async () => {
    const machine = new Booting(scratch!, cache, ['debian', '--emulate', '--keep', '--forward', '2222:22'])
    const [, port] = await machine.says(/127\.0\.0\.1:(\d+) → 22 forwarded/)
    await machine.says(/debian login:/)
    assert.match(await banner(Number(port)), /^SSH-2\.0-OpenSSH/)
    assert.equal(await machine.interrupt(), 130, machine.said.slice(-2000))
    assert.equal(listening(Number(port)), false, 'qemu goes on')

    const folder = join(cache, 'fleetsie', 'boot')
    const [disk] = readdirSync(folder).filter((name) => name.endsWith('.img'))
    const same = 'xz -dc -T0 -- "$1" | cmp - "$2"'
    execFileSync('bash', ['-o', 'pipefail', '-c', same, 'bash', image, join(folder, disk!)])
  })

  it('finds again with --keep what the machine wrote, and brings its disk up to date by what differs', async () => {
    const before = kept()
    assert.equal(before.length, 1)
    const machine = new Booting(scratch!, cache, ['debian', '--emulate', '--keep'])
    // The first boot wrote this to the disk: machine-id was empty in the image.
    await machine.says(/debian login:/)
    assert.doesNotMatch(machine.said, /Initializing machine ID/)
    assert.equal(await machine.interrupt(), 130)
    assert.deepEqual(kept(), before)
  })

  it('says why an image without boot code cannot be started', async () => {
    const ended = await scratch!.run(['boot', 'sample'], { env: { XDG_CACHE_HOME: cache } })
    assert.equal(ended.code, 4)
    assert.match(ended.stderr, /no boot code in its first sector/)
  })

  function kept(): string[] {
    return readdirSync(join(cache, 'fleetsie', 'boot')).filter((name) => name.endsWith('.qcow2'))
  }
})
