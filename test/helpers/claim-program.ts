/** fleetsie_auth as a server runs it, by the closure's Node, where /home is a folder of the test's. Needs root. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../../lib/engine/store/remove.ts'
import type { Architecture } from '../../lib/fleet/bundle/listing.ts'
import { ClaimFleet } from './claims.ts'
import { tool } from './disks.ts'
import { withServerClosure } from './server-closure.ts'

export interface Answered {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export class ClaimProgram {
  readonly folder: string
  private readonly holder: ChildProcess

  static async start(): Promise<ClaimProgram> {
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-claims-'))
    const closure = join(folder, 'closure')
    mkdirSync(closure)
    mkdirSync(join(folder, 'home', 'fleetsie_birds', '.ssh'), { recursive: true })
    await withServerClosure(process.arch as Architecture, async (from) => {
      tool('tar', ['-xpf', join(from, 'closure.tar'), '-C', closure])
    })
    // Namespace and mount end with this process, however it ends.
    const logger = join(folder, 'logger')
    writeFileSync(logger, `#!/bin/sh\necho "$* $(cat)" >>${join(folder, 'log')}\n`, { mode: 0o755 })
    const script = `mount --bind "$0" /home && mount --bind "$1" "$(command -v logger)" && echo && exec cat`
    const holder = spawn('unshare', ['--mount', 'sh', '-c', script, join(folder, 'home'), logger], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    return new ClaimProgram(folder, holder)
  }

  private constructor(folder: string, holder: ChildProcess) {
    this.folder = folder
    this.holder = holder
  }

  /** The fleet `birds` of this server; there is one. */
  fleet(size: number, given: { serverKeys?: boolean } = {}): ClaimFleet {
    const fleet = new ClaimFleet(join(this.folder, 'home', 'fleetsie'), size, given)
    fleet.now = Date.now() / 1000
    fleet.places.authorizedKeys = join(this.folder, 'home/fleetsie_birds/.ssh/authorized_keys')
    return fleet
  }

  /** Starts it; `by` runs it. */
  start(by: readonly string[] = [], lot: readonly string[] = []): ChildProcess {
    const program = [join(this.folder, 'closure/fleetsie_auth'), 'birds', ...lot]
    return spawn('nsenter', [`--mount=/proc/${this.holder.pid}/ns/mnt`, ...by, ...program], {
      env: {
        PATH: process.env['PATH'],
        HOME: '/home/fleetsie_birds',
        SSH_CONNECTION: '192.0.2.7 50000 192.0.2.1 22',
      },
    })
  }

  /** Says `said`, then nothing more. */
  async answer(said: string | Buffer, by: readonly string[] = []): Promise<Answered> {
    const child = this.start(by)
    child.stdin!.on('error', () => {}).end(said)
    return answered(child)
  }

  /** What went to the system's log: what logger was called with, and what it read. */
  log(): string[] {
    return readFileSync(join(this.folder, 'log'), 'utf8').trimEnd().split('\n')
  }

  async stop(): Promise<void> {
    const closed = once(this.holder, 'close')
    this.holder.stdin!.end()
    await closed
    await removeTree(this.folder)
  }
}

export async function answered(child: ChildProcess): Promise<Answered> {
  const result = { stdout: '', stderr: '' }
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    result.stdout += text
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    result.stderr += text
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { ...result, code, signal }
}
