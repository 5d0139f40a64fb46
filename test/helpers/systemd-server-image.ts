/** The disk of systemd-server.ts: the stock Debian image of this project with what a rented server has besides. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mirrorOf } from '../../lib/images/debian/lock.ts'
import { debianStock } from './debian-target.ts'
import { indexPackages, password } from './fleet-server-root.ts'
import { succeeds } from './npm-project.ts'

const mirror = mirrorOf({ mirror: 'http://deb.debian.org/debian' })

/**
 * Runs what the lines on the virtual serial port `agent` say, in base64, and answers with exit code and output: so a test
 * sees the server when sshd lets nobody in, and is no session of it.
 */
const agent = `#!/bin/bash
exec 3<>/dev/virtio-ports/agent
echo ready >&3
while read -r line <&3; do
	base64 -d <<<"$line" >/run/agent.sh
	bash /run/agent.sh </dev/null >/run/agent.out 2>&1 3>&-
	echo "$? $(base64 -w0 /run/agent.out)" >&3
done
`

const agentUnit = `[Unit]
BindsTo=dev-virtio\\x2dports-agent.device
After=dev-virtio\\x2dports-agent.device
[Service]
ExecStart=/usr/local/sbin/agent
Environment=LC_ALL=C.UTF-8 HOME=/root
[Install]
WantedBy=multi-user.target
`

/**
 * $1 the image, $2 a folder, $3 the mirror, $4 agent, $5 its unit, $6 the key that root and admin accept, $7 a password.
 * Nobody else sees what is mounted. Host keys are made here, for a first login has to know them.
 */
const build = `set -eu
umask 022
start=$(sfdisk -l -o Start -q -- "$1" | tail -n 1)
root=$2/root
mkdir "$root"
mount -o "loop,offset=$((start * 512))" "$1" "$root"
for name in proc sys dev; do mount --rbind "/$name" "$root/$name"; done
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/systemd/resolve"
cp /etc/resolv.conf "$root/run/systemd/resolve/stub-resolv.conf"
printf '#!/bin/sh\\nexit 101\\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$root/etc/apt/sources.list" "$2/sources.list"
echo "deb $3 bookworm main" >"$root/etc/apt/sources.list"
export DEBIAN_FRONTEND=noninteractive
get() { chroot "$root" apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@"; }
get update
get install sudo libpam-systemd
get --download-only install sqlite3
mkdir "$root/srv/repository"
mv "$root"/var/cache/apt/archives/*.deb "$root/srv/repository/"
cd "$root/srv/repository"
${indexPackages}
cd /
get clean
rm -rf "$root"/var/lib/apt/lists/* "$root/usr/sbin/policy-rc.d"
echo 'deb [trusted=yes] file:/srv/repository ./' >"$root/etc/apt/sources.list"
printf '%s' "$4" >"$root/usr/local/sbin/agent"
chmod 755 "$root/usr/local/sbin/agent"
printf '%s' "$5" >"$root/etc/systemd/system/agent.service"
chroot "$root" systemctl -q enable agent.service
mkdir -p "$root/etc/systemd/logind.conf.d"
printf '[Login]\\nKillUserProcesses=yes\\n' >"$root/etc/systemd/logind.conf.d/kill.conf"
# qemu's DHCP tells a machine without a way out of no gateway, and who comes in by 192.0.2.3 has that address.
mkdir -p "$root/etc/systemd/network/80-dhcp.network.d"
printf '[Route]\\nGateway=10.0.2.2\\nGatewayOnLink=yes\\n' >"$root/etc/systemd/network/80-dhcp.network.d/gateway.conf"
echo fleet >"$root/etc/hostname"
sed -i 's/debian$/fleet/' "$root/etc/hosts"
chroot "$root" useradd --create-home --shell /bin/bash --groups sudo admin
printf 'admin:%s\\n' "$7" | chroot "$root" chpasswd
for home in "$root/root" "$root/home/admin"; do
	install -d -m 700 -o "$(stat -c %u "$home")" "$home/.ssh"
	echo "$6" >"$home/.ssh/authorized_keys"
done
chroot "$root" ssh-keygen -A
cat "$root"/etc/ssh/ssh_host_*_key.pub >"$2/host-keys"
umount -R "$root"
rmdir "$root"
`

/** Makes the raw image `file`. `key` is a line for authorized_keys; answers the server's host keys, without host. */
export async function makeServerImage(file: string, key: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-server-image-'))
  const stock = await debianStock()
  try {
    const cwd = tmpdir()
    await succeeds('sh', ['-c', 'xz -dc -T0 -- "$1" >"$2"', 'sh', stock.file, file], { cwd })
    const script = ['sh', '-c', build, 'sh', file, folder, mirror, agent, agentUnit, key, password]
    await succeeds('unshare', ['--mount', ...script], { cwd })
    const keys = readFileSync(join(folder, 'host-keys'), 'utf8').trim().split('\n')
    return keys.map((line) => line.split(' ').slice(0, 2).join(' '))
  } finally {
    await stock.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}
