/**
 * A real sshd on loopback with users of its own, in a mount namespace, and the home folder of someone who may log in.
 * Needs root. The users: `root`; `admin`, who may use sudo with a password; `free`, who needs none; `plain`, who may not.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tool } from './disks.ts'

/** Of `admin`, and of `plain`. */
export const password = 'corr3ct horse'

/** `$1` holds what stands in the place of the machine's own. */
const setup = `mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd
for file in passwd group shadow sudoers; do mount --bind "$1/$file" "/etc/$file"; done
shift; exec "$@"`

const users = { root: 0, admin: 2001, free: 2002, plain: 2003 }

export class TestSshd {
  readonly folder = mkdtempSync(join(tmpdir(), 'fleetsie-sshd-'))
  /** HOME of the client. Its ssh_config holds nothing until `configure`. */
  readonly home = join(this.folder, 'home')
  /** Who is logged in as. */
  user = 'root'
  readonly port: number
  readonly env: Record<string, string>
  /** What sshd has logged. */
  log = ''
  private child: ChildProcess | undefined

  private constructor(port: number) {
    this.port = port
    this.env = { HOME: this.home, PATH: process.env['PATH'] ?? '' }
    mkdirSync(join(this.home, '.ssh'), { recursive: true, mode: 0o700 })
    this.key(this.at('id_ed25519'), 'ed25519')
    writeFileSync(join(this.folder, 'authorized'), readFileSync(`${this.at('id_ed25519')}.pub`))
    chmodSync(this.folder, 0o711)
    this.populate()
  }

  /** `more` are lines of sshd_config. */
  static async start(
    more: readonly string[] = [],
    hostKeys: readonly string[] = ['ed25519'],
  ): Promise<TestSshd> {
    const sshd = new TestSshd(await freePort())
    for (const type of hostKeys) sshd.key(sshd.hostKey(type), type)
    await sshd.run(more, hostKeys)
    sshd.know('ed25519')
    return sshd
  }

  get destination(): string {
    return `${this.user}@127.0.0.1:${this.port}`
  }

  /** A file in the client's ~/.ssh. */
  at(name: string): string {
    return join(this.home, '.ssh', name)
  }

  hostKey(type: string): string {
    return join(this.folder, `host_${type}`)
  }

  publicKey(type: string): string {
    return readFileSync(`${this.hostKey(type)}.pub`, 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ')
  }

  fingerprint(type = 'ed25519'): string {
    return tool('ssh-keygen', ['-lf', `${this.hostKey(type)}.pub`]).split(' ')[1]!
  }

  /** Makes the client know the machine by the key of this type; nothing else is known then. */
  know(type: string, name = `[127.0.0.1]:${this.port}`): void {
    writeFileSync(this.at('known_hosts'), `${name} ${this.publicKey(type)}\n`)
  }

  configure(lines: readonly string[]): void {
    writeFileSync(this.at('config'), `${lines.join('\n')}\n`)
  }

  key(file: string, type = 'ed25519', passphrase = ''): void {
    const bits = type === 'rsa' ? ['-b', '2048'] : []
    tool('ssh-keygen', ['-q', '-t', type, ...bits, '-N', passphrase, '-C', 'test', '-f', file])
  }

  authorize(file: string): void {
    appendFileSync(join(this.folder, 'authorized'), readFileSync(`${file}.pub`))
  }

  async run(more: readonly string[] = [], hostKeys: readonly string[] = ['ed25519']): Promise<void> {
    const config = join(this.folder, 'sshd_config')
    writeFileSync(
      config,
      [
        ...[`Port ${this.port}`, 'ListenAddress 127.0.0.1', 'PidFile none', 'UsePAM no', 'StrictModes no'],
        ...hostKeys.map((type) => `HostKey ${this.hostKey(type)}`),
        ...[`AuthorizedKeysFile ${join(this.folder, 'authorized')}`, 'PermitRootLogin yes'],
        ...['PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'LogLevel VERBOSE'],
        ...more,
        '',
      ].join('\n'),
    )
    const inside = ['sh', '-ec', setup, 'sh', join(this.folder, 'etc')]
    const args = ['-m', ...inside, '/usr/sbin/sshd', '-D', '-e', '-f', config]
    const child = spawn('unshare', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.child = child
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        this.log += text
        if (/listening on/.test(text)) resolve()
      })
      child.once('close', () => reject(new Error(`sshd ended: ${this.log}`)))
    })
  }

  /** The far side's user database. */
  private populate(): void {
    const etc = join(this.folder, 'etc')
    mkdirSync(etc)
    const own = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('root:'))
    const passwd: string[] = []
    const shadow: string[] = own.map((line) => `${line.split(':')[0]}:*:1::::::`)
    for (const [name, id] of Object.entries(users)) {
      const home = join(this.folder, `home-of-${name}`)
      mkdirSync(home)
      chownSync(home, id, id)
      passwd.push(`${name}:x:${id}:${id}::${home}:/bin/sh`)
      shadow.push(`${name}:${tool('openssl', ['passwd', '-6', password]).trim()}:19000::::::`)
    }
    writeFileSync(join(etc, 'passwd'), [...passwd, ...own, ''].join('\n'))
    writeFileSync(join(etc, 'shadow'), [...shadow, ''].join('\n'), { mode: 0o600 })
    writeFileSync(join(etc, 'group'), readFileSync('/etc/group'))
    const rules = ['root ALL=(ALL) ALL', 'admin ALL=(ALL) ALL', 'free ALL=(ALL) NOPASSWD: ALL', '']
    writeFileSync(join(etc, 'sudoers'), rules.join('\n'), { mode: 0o440 })
  }

  /** Sessions that run go on. */
  async stop(): Promise<void> {
    const child = this.child
    this.child = undefined
    if (!child) return
    child.kill('SIGTERM')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }

  async remove(): Promise<void> {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
