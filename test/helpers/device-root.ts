/**
 * A device without a kernel of its own: a root folder with users, /etc and /sys, in which fleetsie_provision runs in mount and
 * pid namespaces; ssh, disks and units are fakes (fake-device.sh, fake-fleet-ssh.sh, test/units/fake-system.sh). Needs root.
 */
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const project = join(import.meta.dirname, '../..')
/** On a machine with other work to do. */
const patienceMs = 120_000
const hwid = 'aa:bb:cc:dd:ee:01'

/** Keys made once for a test file. */
export interface Keys {
  host: string
  auth: string
  login: string
}

export function makeKeys(): Keys {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-test-keys-'))
  try {
    const make = (name: string): string => {
      spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', join(folder, name)])
      return readFileSync(join(folder, `${name}.pub`), 'utf8').trim()
    }
    const [host, login] = [make('host'), make('login')]
    make('auth')
    return { host, login, auth: readFileSync(join(folder, 'auth'), 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** 256 hex digits that tell `id`. */
export function otpOf(id: number): string {
  return id.toString(16).padStart(4, '0').repeat(64)
}

const enter = `mount --make-rprivate / && mount --rbind /usr "$1/usr" && mount --bind /dev "$1/dev" &&
mount -t proc proc "$1/proc" || exit 99
root=$1
shift
chroot "$root" "$@"
exit $?`

export interface Ended {
  status: number | null
  said: string
}

export class DeviceRoot {
  readonly root: string = mkdtempSync(join(tmpdir(), 'fleetsie-test-device-'))
  readonly keys: Keys

  constructor(keys: Keys) {
    this.keys = keys
    for (const name of [
      'usr',
      'dev',
      'proc',
      'run',
      'tmp',
      'home',
      'root',
      'opt',
      'var/lib',
      'fake/server',
    ]) {
      mkdirSync(join(this.root, name), { recursive: true })
    }
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(this.root, name))
    for (const name of [
      'pam.d',
      'security',
      'login.defs',
      'nsswitch.conf',
      'alternatives',
      'ld.so.cache',
      'skel',
    ]) {
      const from = join('/etc', name)
      if (existsSync(from))
        cpSync(from, join(this.root, 'etc', name), { recursive: true, verbatimSymlinks: true })
    }
    this.write('etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n')
    this.write('etc/shadow', 'root:*:19000:0:99999:7:::\n', 0o640)
    this.write('etc/group', 'root:x:0:\nsudo:x:27:\n')
    this.write('etc/hosts', '127.0.0.1\tlocalhost\n127.0.1.1\tdebian\n')
    this.write('etc/hostname', 'debian\n')
    mkdirSync(join(this.root, 'etc/systemd/system'), { recursive: true })
    this.write('sys/class/net/eth0/address', `${hwid.toUpperCase()}\n`)
    this.write('sys/class/net/eth0/addr_assign_type', '0\n')
    this.write('device/ssh', readFileSync(join(project, 'test/helpers/fake-fleet-ssh.sh'), 'utf8'), 0o755)
    for (const [name, from] of [
      ['fake-system.sh', 'test/units/fake-system.sh'],
      ['fake-device.sh', 'test/helpers/fake-device.sh'],
    ] as const) {
      this.write(`device/${name}`, readFileSync(join(project, from), 'utf8'))
    }
    const program = readFileSync(join(project, 'units/fleetsie_provision'), 'utf8')
    this.write('device/program', program.replace(/^parts=.*$/m, 'parts=/device/parts'))
    cpSync(join(project, 'units/provision'), join(this.root, 'device/parts'), { recursive: true })
    for (const name of ['ssh-tunnel.service', 'ssh_tunnel.sh']) {
      cpSync(join(project, 'units', name), join(this.root, 'device/parts', name))
    }
    this.write('fake/lsblk', '/dev/fake-sda1 part /dev/fake-sda\n')
    this.write('fake/types/fake-sda1', 'vfat\n')
    this.write('fake/mounts', '/dev/fake-sda1 /fake/disks/fake-sda1\n')
    this.write('fake/server/login-key', `cert-authority,principals="fleetsie" ${keys.login}\n`)
    this.disk('fleet.txt', `fleet.example.org\r\nfield\r\nfleet.example.org ${keys.host}\r\n`)
    this.disk('fleetsieauth', keys.auth)
    this.devices([1, 2, 3])
  }

  /** The devices that server and disk know. */
  devices(ids: readonly number[]): void {
    const lines = ids.map((id) => `${id} ${otpOf(id)}\n`).join('')
    this.write('fake/server/otps', lines)
    this.disk('devices.txt', lines)
  }

  disk(name: string, content: string | Buffer, mode?: number): void {
    this.write(`fake/disks/fake-sda1/fleetsie/${name}`, content, mode)
  }

  onDisk(name: string): string | undefined {
    return this.read(`fake/disks/fake-sda1/fleetsie/${name}`)
  }

  write(path: string, content: string | Buffer, mode = 0o644): void {
    const file = join(this.root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    chmodSync(file, mode)
  }

  read(path: string): string | undefined {
    const file = join(this.root, path)
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined
  }

  link(path: string): string {
    return readlinkSync(join(this.root, path))
  }

  /** Mode and owner, `100600 1000:1000`. */
  owned(path: string): string {
    const { mode, uid, gid } = lstatSync(join(this.root, path))
    return `${mode.toString(8)} ${uid}:${gid}`
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true, force: true })
  }

  /** Runs the program by a shell to its end, however it ends; `by` runs the shell. */
  run(
    shell: readonly string[],
    environment: Record<string, string> = {},
    by: readonly string[] = [],
  ): Promise<Ended> {
    const load = '. /device/fake-system.sh\n. /device/fake-device.sh\n. /device/program'
    const values = { PATH: '/device:/usr/sbin:/usr/bin', FAKE: '/fake', HOME: '/root', ...environment }
    const env = Object.entries(values).map(([name, value]) => `${name}=${value}`)
    const command = ['/usr/bin/env', '-i', ...env, ...by, ...shell, '-c', load]
    const args = [...'--mount --pid --fork --kill-child sh -c'.split(' '), enter, 'sh', this.root, ...command]
    return new Promise((resolve, reject) => {
      const child = spawn('unshare', args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: patienceMs,
        killSignal: 'SIGKILL',
      })
      let said = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          said += text
        })
      }
      child.once('error', reject).once('close', (status) => resolve({ status, said }))
    })
  }

  /** After a power cut /run is empty. */
  reboot(): void {
    this.remove('run')
    mkdirSync(join(this.root, 'run'))
  }

  /** The status file of the last run, by name. */
  get status(): Record<string, string> {
    const lines = (this.read('run/fleetsie-provision/status') ?? '').split('\n')
    return Object.fromEntries(lines.flatMap((line) => (line ? [line.split(/=(.*)/s).slice(0, 2)] : [])))
  }

  destroy(): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}
