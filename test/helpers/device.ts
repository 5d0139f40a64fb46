/**
 * A device for tests of `--sync`: a real sshd on loopback, in namespaces of its own, chrooted into a small root tree of
 * which the stock image was made. Programs are this machine's by a bind mount of /usr, or busybox alone for the user `box`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readPartitionTable, writeTable } from '../../lib/images/partitions.ts'
import type { SyncRequest } from '../../lib/images/sync/sync.ts'
import { MiB, TestDisk, tool } from './disks.ts'
import { type Member, pack } from './layers.ts'
import { freePort } from './sshd.ts'

/** Layers by partition. */
export type LayerSet = Record<number, Member[]>

const partitionStart = { 1: 1, 2: 17 }
const image = `label: dos
label-id: 0x12345678
1: start=2048, size=${16 * 2048}, type=c
2: start=${partitionStart[2] * 2048}, size=${46 * 2048}, type=83
`

export class Device {
  readonly folder = mkdtempSync(join(tmpdir(), 'fleetsie-sync-'))
  /** What sessions see as '/'. */
  readonly root = join(this.folder, 'root')
  /** What is mounted on /boot/firmware there, in place of a FAT partition. */
  readonly boot = join(this.folder, 'boot')
  private readonly disk = new TestDisk(64 * MiB, image)
  private readonly path = process.env['PATH']
  private sshd: ChildProcess | undefined
  private sets = 0
  private port = 0

  /** `stock` fills the root tree; what it leaves there is the stock image. */
  static async make(stock: (root: string) => void): Promise<Device> {
    const device = new Device()
    const { root, boot, folder, disk } = device
    for (const name of ['root/etc', 'root/boot/firmware', 'boot', 'image', 'table', 'bin']) {
      mkdirSync(join(folder, name), { recursive: true })
    }
    writeFileSync(join(root, 'etc/os-release'), 'ID=debian\n')
    writeFileSync(join(root, 'etc/fstab'), 'PARTUUID=12345678-01 /boot/firmware vfat defaults 0 2\n')
    stock(root)
    writeFileSync(join(boot, 'config.txt'), 'stock\n')
    tool('mke2fs', [
      ...['-q', '-t', 'ext4', '-d', root, '-E', `offset=${partitionStart[2] * MiB}`, disk.path, '46M'],
    ])
    tool('mkfs.fat', ['--offset', '2048', '-F', '16', disk.path, `${16 * 1024}`])
    tool('mcopy', ['-i', `${disk.path}@@1M`, join(boot, 'config.txt'), '::config.txt'])
    symlinkSync(disk.path, join(folder, 'image/disk.img'))
    await writeTable(join(folder, 'table'), await readPartitionTable(disk.path))
    device.port = await freePort()
    device.configure()
    await device.start()
    return device
  }

  /** What `push` takes, with layer sets made of these. */
  async request(...sets: LayerSet[]): Promise<SyncRequest> {
    const layers = []
    for (const set of sets) {
      const path = join(this.folder, `set-${this.sets++}`)
      mkdirSync(path)
      for (const [number, members] of Object.entries(set)) {
        writeFileSync(join(path, `part_${number}.tar`), await pack(members))
      }
      layers.push({ path, digest: path })
    }
    const image = { path: join(this.folder, 'image'), digest: 'image' }
    return { image, table: { path: join(this.folder, 'table'), digest: 'table' }, layers }
  }

  /** What pushes left behind beside their files. */
  leftovers(): string[] {
    const left = [this.root, this.boot].flatMap((folder) => readdirSync(folder))
    return left.filter((name) => name.startsWith('.fleetsie-sync'))
  }

  async start(): Promise<void> {
    const setup = [
      'mount --bind "$1" "$1"',
      'mount --bind /usr "$1/usr"',
      'mount --bind "$2" "$1/boot/firmware"',
      'mount -t proc proc "$1/proc"',
      'mount --bind /dev "$1/dev"',
      'exec chroot "$1" /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config',
    ].join(' && ')
    const args = ['-m', '-p', '-f', '--kill-child', 'sh', '-c', setup, 'sh', this.root, this.boot]
    const sshd = spawn('unshare', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.sshd = sshd
    let said = ''
    await new Promise<void>((resolve, reject) => {
      sshd.stderr!.setEncoding('utf8').on('data', (text: string) => {
        said += text
        if (/listening on/.test(said)) resolve()
      })
      sshd.once('close', () => reject(new Error(`sshd ended: ${said}`)))
    })
  }

  /** Pulls the plug. */
  async stop(): Promise<void> {
    const { sshd } = this
    this.sshd = undefined
    if (sshd === undefined || sshd.exitCode !== null) return
    // When all that could write its log has ended, sshd itself, too: the next one takes its port.
    const closed = once(sshd, 'close')
    sshd.kill('SIGKILL')
    await closed
  }

  async remove(): Promise<void> {
    await this.stop()
    process.env['PATH'] = this.path
    this.disk.remove()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Users and keys, on both sides. */
  private configure(): void {
    const { root, folder, port } = this
    for (const name of ['usr', 'proc', 'dev', 'run/sshd', 'etc/ssh', 'etc/pam.d', 'tmp', 'busybox', 'home']) {
      mkdirSync(join(root, name), { recursive: true })
    }
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name))
    cpSync('/bin/busybox', join(root, 'busybox/busybox'))
    for (const name of tool(join(root, 'busybox/busybox'), ['--list']).trim().split('\n')) {
      if (name !== 'busybox') symlinkSync('busybox', join(root, 'busybox', name))
    }
    const users = [
      'root:x:0:0::/:/bin/sh',
      'box:x:0:0::/:/busybox/sh',
      'sshd:x:100:65534::/run/sshd:/bin/false',
    ]
    const plain = ['plain:x:1000:1000::/home:/bin/sh', 'sudoer:x:1001:1001::/home:/bin/sh']
    const write = (name: string, text: string, mode = 0o644): void => {
      writeFileSync(join(root, 'etc', name), text)
      chmodSync(join(root, 'etc', name), mode)
    }
    write('passwd', [...users, ...plain, ''].join('\n'))
    write('group', 'root:x:0:\nnogroup:x:65534:\nplain:x:1000:\nsudoer:x:1001:\n')
    write('shadow', 'root:*:1::::::\nbox:*:1::::::\nplain:*:1::::::\nsudoer:*:1::::::\n', 0o600)
    write('sudoers', 'root ALL=(ALL) ALL\nsudoer ALL=(ALL) NOPASSWD: ALL\n', 0o440)
    for (const kind of ['auth', 'account', 'session']) {
      execFileSync('sh', [
        '-c',
        'echo "$1 required pam_permit.so" >>"$2"',
        'sh',
        kind,
        join(root, 'etc/pam.d/sudo'),
      ])
    }
    const key = (file: string): void => {
      tool('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file])
    }
    key(join(root, 'etc/ssh/host'))
    key(join(folder, 'user'))
    key(join(folder, 'other'))
    cpSync(join(folder, 'user.pub'), join(root, 'etc/ssh/keys'))
    const known = (file: string, host: string): void => {
      writeFileSync(join(folder, file), `[127.0.0.1]:${port} ${tool('cat', [host])}`)
    }
    known('known', join(root, 'etc/ssh/host.pub'))
    known('wrong', join(folder, 'other.pub'))
    writeFileSync(join(folder, 'none'), '')
    write(
      'ssh/sshd_config',
      `Port ${port}
ListenAddress 127.0.0.1
HostKey /etc/ssh/host
AuthorizedKeysFile /etc/ssh/keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PidFile none
Match User box
  SetEnv PATH=/busybox
`,
    )
    const host = (name: string, user: string, more: string): string =>
      `Host ${name}\n  User ${user}\n  ${more}\n`
    const knownHosts = (name: string): string => `UserKnownHostsFile ${join(folder, name)}`
    writeFileSync(
      join(folder, 'config'),
      [
        ...['root', 'box', 'plain', 'sudoer'].map((user) => host(user, user, knownHosts('known'))),
        host('stranger', 'root', knownHosts('wrong')),
        host('unknown', 'root', knownHosts('none')),
        host('nobody', 'nobody', knownHosts('known')),
        `Host *\n  HostName 127.0.0.1\n  Port ${port}\n  IdentityFile ${join(folder, 'user')}`,
        '  IdentitiesOnly yes\n  GlobalKnownHostsFile none\n  ForwardAgent yes\n',
      ].join('\n'),
    )
    // ssh takes the home folder from the user database: the tests' own configuration comes by a program in front of it.
    const ssh = tool('which', ['ssh']).trim()
    writeFileSync(join(folder, 'bin/ssh'), `#!/bin/sh\nexec ${ssh} -F '${join(folder, 'config')}' "$@"\n`)
    chmodSync(join(folder, 'bin/ssh'), 0o755)
    process.env['PATH'] = `${join(folder, 'bin')}:${this.path}`
  }
}
