/**
 * A fleet server for tests: Debian with a real sshd on port 22, in namespaces of its own (network, mounts, processes,
 * hostname), which end with the test, however that ends. Needs root (`needsRoot` of needs.ts).
 *
 *     const server = await FleetServer.start()              // 192.0.2.1, also fleet.example; nothing of fleetsie is there
 *     await server.run(['id', 'admin'])                     // a program of the server, as its root
 *     await server.run(['sh', '-s'], { input: 'echo hi' })
 *     const [command, args] = server.enter(['ssh', 'admin@192.0.2.1', 'true'])   // a program of this machine, in the
 *     spawnSync(command, args)                              // server's network, as a manager whose key root@ and admin@ accept
 *     server.file('/etc/passwd')                            // a path here, while it runs; absolute links in it lead astray
 *     await server.restartSshd()                            // ends all sessions, as a reboot would
 *     await server.stop()
 *
 * `admin` may use sudo with `server.password`. There is no Node and no sqlite3, but `apt-get install sqlite3` works after
 * `apt-get update`, without a network. Nothing runs but sshd and syslogd: no systemd; `service ssh reload` works.
 * A second server that the first one's manager reaches: FleetServer.start({ beside: server, address: '192.0.2.2' }).
 */

import { spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { type Booted, bootServer, restart } from './fleet-server-boot.ts'
import { password, serverRoot } from './fleet-server-root.ts'
import { type Ended, succeeds } from './npm-project.ts'

/** The person in front of this machine: paths here. */
interface Manager {
  readonly home: string
  readonly key: string
  readonly knownHosts: string
  /** Of ssh; empty. */
  readonly config: string
}

/** A program to be run on this machine, as `spawn` takes it. */
export type Command = [command: string, args: string[]]

/** ssh asks the user database for its home, not HOME. $0 is the manager's folder. */
const asManager = `set -e
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/hosts" /etc/hosts
exec "$@"
`

export class FleetServer {
  readonly address: string
  /** Stands in the manager's hosts. */
  readonly name: string
  /** What sudo asks `admin` for. */
  readonly password = password
  readonly manager: Manager
  private readonly folder: string
  private readonly booted: Booted

  /** Boots: less than a second when the root is built. */
  static async start(given: { beside?: FleetServer; address?: string } = {}): Promise<FleetServer> {
    const { address = '192.0.2.1', beside } = given
    const root = await serverRoot()
    const folder = mkdtempSync(join(tmpdir(), 'fleetsie-server-'))
    try {
      const manager = beside?.manager ?? (await makeManager(join(folder, 'manager')))
      const booted = await bootServer(
        root,
        folder,
        address,
        readFileSync(`${manager.key}.pub`, 'utf8').trim(),
      )
      const server = new FleetServer(address, manager, folder, booted)
      server.introduce()
      if (beside) await server.connectTo(beside)
      return server
    } catch (error) {
      await removeTree(folder)
      throw error
    }
  }

  private constructor(address: string, manager: Manager, folder: string, booted: Booted) {
    this.address = address
    this.name = address === '192.0.2.1' ? 'fleet.example' : `fleet${address.split('.').at(-1)}.example`
    this.manager = manager
    this.folder = folder
    this.booted = booted
  }

  /** Runs a program of the server as its root, whatever its exit code is. */
  run(argv: readonly string[], { input = '' }: { input?: string | Uint8Array } = {}): Promise<Ended> {
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const into = [
      `--target=${this.booted.pid}`,
      ...'--mount --net --pid --uts --ipc --root --wd=/'.split(' '),
    ]
    return ended('nsenter', [...into, 'env', '-i', path, 'HOME=/root', 'LC_ALL=C.UTF-8', ...argv], input)
  }

  /** The same, and the test fails when the program does. Answers its stdout. */
  async does(...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(argv)
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code} on the server: ${stdout}${stderr}`)
    return stdout
  }

  /** A program of this machine in the server's network, as the manager. Of the environment, `env` is added to this process's. */
  enter(argv: readonly string[], { env = {} }: { env?: Record<string, string> } = {}): Command {
    const own = { HOME: this.manager.home, XDG_CONFIG_HOME: join(this.manager.home, '.config'), ...env }
    const dropped = ['SSH_AUTH_SOCK', 'XDG_CACHE_HOME', 'XDG_DATA_HOME', 'XDG_RUNTIME_DIR', 'XDG_STATE_HOME']
    const environment = [
      ...dropped.filter((name) => !(name in own)).flatMap((name) => ['-u', name]),
      ...Object.entries(own).map(([name, value]) => `${name}=${value}`),
    ]
    const into = [`--net=/proc/${this.booted.pid}/ns/net`, 'unshare', '--mount']
    const shell = ['sh', '-c', asManager, join(this.manager.home, '..'), 'env', ...environment]
    return ['nsenter', [...into, ...shell, ...argv]]
  }

  /** A path on this machine, for as long as the server runs. Absolute links in it lead astray. */
  file(path: string): string {
    return join(`/proc/${this.booted.pid}/root`, path)
  }

  /** What sshd has logged. */
  sshdLog(): string {
    return readFileSync(this.file('/var/log/auth.log'), 'utf8')
  }

  /** Lines of known_hosts without the host. */
  hostKeys(): string[] {
    const types = ['ed25519', 'ecdsa', 'rsa']
    const files = types.map((type) => this.file(`/etc/ssh/ssh_host_${type}_key.pub`))
    return files.map((file) => readFileSync(file, 'utf8').split(' ').slice(0, 2).join(' '))
  }

  /** Ends sshd with all its sessions, as a reboot does, and starts it again. */
  async restartSshd(): Promise<void> {
    await this.does('sh', '-c', restart)
  }

  /** Ends every process of the server and removes its files. */
  async stop(): Promise<void> {
    const { unshare, pid } = this.booted
    if (unshare.exitCode === null && unshare.signalCode === null) {
      const closed = new Promise((resolve) => unshare.once('close', resolve))
      process.kill(pid, 'SIGKILL')
      await closed
    }
    await removeTree(this.folder)
  }

  private introduce(): void {
    const { address, name, manager } = this
    appendFileSync(join(manager.home, '../hosts'), `${address} ${name}\n`)
    appendFileSync(
      manager.knownHosts,
      this.hostKeys()
        .map((key) => `${name},${address} ${key}\n`)
        .join(''),
    )
  }

  /** A cable between the two. */
  private async connectTo({ address, booted }: FleetServer): Promise<void> {
    const cable = `cable${this.booted.pid}`
    const ip = (pid: number, ...args: string[]): Promise<Ended> =>
      succeeds('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', ...args], { cwd: tmpdir() })
    const peer = ['peer', 'name', 'eth0', 'netns', `${this.booted.pid}`]
    await ip(booted.pid, 'link', 'add', cable, 'type', 'veth', ...peer)
    for (const [pid, device, own, other] of [
      [booted.pid, cable, address, this.address],
      [this.booted.pid, 'eth0', this.address, address],
    ] as const) {
      await ip(pid, 'address', 'add', own, 'peer', other, 'dev', device)
      await ip(pid, 'link', 'set', device, 'up')
    }
  }
}

async function makeManager(folder: string): Promise<Manager> {
  const home = join(folder, 'home')
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 })
  const [key, knownHosts, config] = ['id_ed25519', 'known_hosts', 'config'].map((name) =>
    join(home, '.ssh', name),
  )
  await succeeds('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'manager', '-f', key!], { cwd: home })
  writeFileSync(knownHosts!, '')
  writeFileSync(config!, '')
  writeFileSync(join(folder, 'hosts'), '127.0.0.1 localhost\n')
  const { homedir } = userInfo()
  const users = readFileSync('/etc/passwd', 'utf8')
  writeFileSync(join(folder, 'passwd'), users.replaceAll(`:${homedir}:`, `:${home}:`))
  return { home, key: key!, knownHosts: knownHosts!, config: config! }
}

function ended(command: string, args: string[], input: string | Uint8Array): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: '/' })
    const result: Ended = { code: null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      result.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      result.stderr += text
    })
    // Who ends without reading says why by its exit code.
    child.stdin.on('error', () => {}).end(input)
    child.once('error', reject)
    child.once('close', (code) => resolve({ ...result, code }))
  })
}
