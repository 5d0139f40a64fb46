/** How fleet-server.ts makes a server of a folder: overlayfs, devices and a network of its own, then its first process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Becomes the server: $1 root, $2 work folder, $3 address, $4 what its first process runs, $5 the manager's public key. */
const boot = `set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount -t proc proc proc
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in null zero full random urandom tty; do
	: >"dev/$node"
	mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mkdir run/sshd run/lock
hostname fleet
printf '127.0.0.1 localhost\\n%s fleet.example fleet\\n' "$3" >etc/hosts
ip link set lo up
[ "$3" != 192.0.2.1 ] || ip address add 192.0.2.1/32 dev lo
exec chroot . /bin/bash -c "$4" init "$5"
`

/** The server's first process. bash buries the orphans. It ends, and with it all others, when the test does: at the end of stdin. */
const init = `set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
for home in /root /home/admin; do
	install -d -m 700 -o "$(stat -c %U "$home")" "$home/.ssh"
	echo "$1" >"$home/.ssh/authorized_keys"
done
ssh-keygen -A >/dev/null
syslogd
/usr/sbin/sshd
until [ -s /run/sshd.pid ]; do sleep 0.02; done
echo ready
while read -r _; do :; done
`

/** For `run`: all sessions end, as by a reboot; one that begins meanwhile, too. */
export const restart = `while pkill -KILL -x sshd; do sleep 0.02; done
rm -f /run/sshd.pid
/usr/sbin/sshd
until [ -s /run/sshd.pid ]; do sleep 0.02; done
`

export interface Booted {
  /** Its end is the server's end. */
  readonly unshare: ChildProcess
  /** The first process, as this machine counts. */
  readonly pid: number
}

/** `folder` is the server's own; `root` is only read. `key` is the line that root and admin accept. */
export async function bootServer(
  root: string,
  folder: string,
  address: string,
  key: string,
): Promise<Booted> {
  for (const name of ['upper', 'work', 'root']) mkdirSync(join(folder, name), { mode: 0o755 })
  const unshare = spawn(
    'unshare',
    [
      ...['--net', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child'],
      ...['sh', '-c', boot, 'sh', root, folder, address, init, key],
    ],
    { cwd: folder, env: { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let said = ''
  await new Promise<void>((resolve, reject) => {
    const hear = (text: string): void => {
      said += text
      if (/^ready$/m.test(said)) resolve()
    }
    unshare.stdout.setEncoding('utf8').on('data', hear)
    unshare.stderr.setEncoding('utf8').on('data', hear)
    unshare.once('error', reject)
    unshare.once('close', () => reject(new Error(`the server does not boot: ${said}`)))
  })
  const children = readFileSync(`/proc/${unshare.pid}/task/${unshare.pid}/children`, 'utf8')
  return { unshare, pid: Number(children) }
}
