/** A real server of fleets, set up and used by this program's own verbs. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { newKey, ourForm } from '../../test/helpers/claims.ts'
import { FleetServer } from '../../test/helpers/fleet-server.ts'
import { measure, type Subject } from '../measure.ts'
import type { Workplace } from '../workplace.ts'
import { fleetsie } from '../workplace.ts'
import type { Done, Order } from './clients.ts'

export const fleet = 'bench'
const host = '192.0.2.1'

/** A disk that `gen` has written. */
export interface Disk {
  knownHosts: string
  /** The file of its private key, and its public key. */
  key: string
  publicKey: string
  /** OTPs, by id. */
  otps: Map<number, string>
}

export class BenchServer {
  readonly server: FleetServer
  private readonly workplace: Workplace

  static async start(workplace: Workplace): Promise<BenchServer> {
    await buildClosure(workplace)
    const server = await FleetServer.start()
    const made = new BenchServer(server, workplace)
    try {
      // srv would ask for a password, and there is no terminal.
      await server.does('useradd', '--create-home', '--shell', '/bin/bash', '--user-group', 'fleetsie')
      await server.run(['chpasswd'], { input: `fleetsie:${server.password}` })
      await measure(made.verb('srv', `root@${host}`))
      return made
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  private constructor(server: FleetServer, workplace: Workplace) {
    this.server = server
    this.workplace = workplace
  }

  /** One verb, as the manager types it. */
  verb(...args: string[]): Subject {
    const plain = fleetsie(this.workplace, this.workplace.root, ...args)
    const [command, rest] = this.server.enter([plain.command, ...plain.args])
    return { ...plain, command, args: rest }
  }

  /** A new disk with this many new devices. */
  async gen(devices: number): Promise<Disk> {
    const folder = await mkdtemp(join(this.workplace.root, 'disk-'))
    await measure(this.verb('gen', fleet, host, `${devices}`, folder))
    const disk = join(folder, 'fleetsie')
    const [, , known] = (await readFile(join(disk, 'fleet.txt'), 'utf8')).split('\r\n')
    const knownHosts = join(folder, 'known_hosts')
    await writeFile(knownHosts, `${known}\n`)
    // What FAT has no modes for.
    const key = join(folder, 'key')
    await writeFile(key, await readFile(join(disk, 'fleetsieauth')), { mode: 0o600 })
    const lines = (await readFile(join(disk, 'devices.txt'), 'utf8')).trim().split('\n')
    const otps = lines.map((line) => line.trim().split(' ')).map(([id, otp]) => [Number(id), otp!] as const)
    return {
      knownHosts,
      key,
      publicKey: (await readFile(join(disk, 'fleetsieauth.pub'), 'utf8')).split(' ').slice(0, 2).join(' '),
      otps: new Map(otps),
    }
  }

  /** Runs clients in the server's network until all have their answer. */
  async clients(order: Order): Promise<Done> {
    const script = join(import.meta.dirname, 'clients.ts')
    const [command, args] = this.server.enter([process.execPath, '--import', 'tsx', script])
    const child = spawn(command, args, { cwd: import.meta.dirname, stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.end(JSON.stringify(order))
    return JSON.parse(await text(child.stdout)) as Done
  }

  stop(): Promise<void> {
    return this.server.stop()
  }
}

/** In the server's network there is no way to npm's registry. */
async function buildClosure(workplace: Workplace): Promise<void> {
  const folder = join(workplace.root, 'closure')
  await mkdir(folder, { recursive: true })
  await writeFile(
    join(folder, 'pipeline.mjs'),
    `import { pipeline, serverBundle } from '${workplace.checkout}/dist/lib/index.js'
await pipeline({ closure: () => serverBundle({ architecture: '${process.arch}' }) })
`,
  )
  await measure(fleetsie(workplace, folder, 'build', 'closure'))
}

/** How a device calls ssh: units/provision/claim.sh. */
export function sshArguments({ knownHosts }: Disk, key: string, user = `fleetsie_${fleet}`): string[] {
  const options = [
    ...[
      'BatchMode=yes',
      'StrictHostKeyChecking=yes',
      `UserKnownHostsFile=${knownHosts}`,
      'UpdateHostKeys=no',
    ],
    ...['GlobalKnownHostsFile=/dev/null', 'HostKeyAlgorithms=ssh-ed25519', 'IdentitiesOnly=yes'],
    ...['IdentityAgent=none', `IdentityFile=${key}`, 'ConnectTimeout=20', 'ServerAliveInterval=15'],
  ]
  return [
    '-F',
    '/dev/null',
    '-T',
    '-x',
    '-a',
    ...options.flatMap((option) => ['-o', option]),
    '-l',
    user,
    host,
  ]
}

/** What each device of a disk says. */
export function claims({ otps }: Disk): string[] {
  return [...otps].map(([id, otp]) => ourForm(id, otp, newKey()))
}
