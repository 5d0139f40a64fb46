/**
 * The Debian root that fleet-server.ts starts servers of: what a small server has, without Node and without sqlite3, which
 * an apt source below /srv/repository holds. Built once for a run of the tests, in FLEETSIE_TEST_SHARED.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mirrorOf } from '../../lib/images/debian/lock.ts'
import { succeeds } from './npm-project.ts'

const packages = [
  ...[
    'adduser',
    'ca-certificates',
    'inetutils-syslogd',
    'iproute2',
    'login',
    'openssh-client',
    'openssh-server',
  ],
  ...['passwd', 'procps', 'sudo', 'util-linux'],
]
const mirror = mirrorOf({ mirror: 'http://deb.debian.org/debian' })

/** The password that sudo asks `admin` for. */
export const password = 'correct horse'

/** Makes the folder of packages that it runs in a repository of apt's. */
export const indexPackages = `for file in *.deb; do
	dpkg-deb -f "$file"
	printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$file" "$(stat -c %s "$file")" "$(sha256sum "$file" | cut -c 1-64)"
done >Packages`

/** Runs on this machine when all packages are installed; $1 is the root. mmdebstrap removes apt's caches afterwards. */
const customize = `#!/bin/sh
set -eu
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --download-only install sqlite3
mkdir "$1/srv/repository"
cp "$1"/var/cache/apt/archives/*.deb "$1/srv/repository/"
cd "$1/srv/repository"
${indexPackages}
rm -rf "$1"/etc/apt/sources.list.d/* "$1"/etc/ssh/ssh_host_*
echo 'deb [trusted=yes] file:/srv/repository ./' >"$1/etc/apt/sources.list"
echo 'auth,authpriv.* -/var/log/auth.log
*.*;auth,authpriv.none -/var/log/syslog' >"$1/etc/syslog.conf"
rm -f "$1/etc/resolv.conf"
: >"$1/etc/resolv.conf"
chroot "$1" useradd --create-home --shell /bin/bash --groups sudo admin
echo 'admin:${password}' | chroot "$1" chpasswd
`

/** Under a lock, so that others wait and find it there: $0 the folder of the hook, $1 what to make, $2 the mirror, $3 packages. */
const build = `set -eu
umask 022
[ ! -d "$1" ] || exit 0
rm -rf "$1.new"
mmdebstrap --quiet --mode=root --variant=minbase --include="$3" --format=directory \\
	'--aptopt=APT::Sandbox::User "root"' --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \\
	--customize-hook="$0/customize" bookworm "$1.new" "$2"
mv "$1.new" "$1"
`

let made: Promise<string> | undefined

/** The folder of the root, which nobody may change. Without FLEETSIE_TEST_SHARED it is this process's own. */
export function serverRoot(): Promise<string> {
  made ??= make(process.env['FLEETSIE_TEST_SHARED'])
  return made
}

async function make(shared: string | undefined): Promise<string> {
  const folder = shared ?? mkdtempSync(join(tmpdir(), 'fleetsie-server-root-'))
  if (shared === undefined) process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(folder, { recursive: true })
  const root = join(folder, 'server-root')
  if (existsSync(root)) return root
  const scripts = mkdtempSync(join(tmpdir(), 'fleetsie-server-hook-'))
  try {
    writeFileSync(join(scripts, 'customize'), customize, { mode: 0o755 })
    const script = ['sh', '-c', build, scripts, root, mirror, packages.join(',')]
    // What a package leaves running must not keep the lock.
    await succeeds('flock', ['--close', `${root}.lock`, ...script], { cwd: folder })
  } finally {
    rmSync(scripts, { recursive: true })
  }
  return root
}
