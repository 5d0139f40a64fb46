/** What a server of fleets has to have, as a list of resources in the order in which they are made. */
import { readFile } from 'node:fs/promises'
import { command } from '../hosts/resources/command.ts'
import { file } from '../hosts/resources/file.ts'
import { folder } from '../hosts/resources/folder.ts'
import { group } from '../hosts/resources/group.ts'
import { key } from '../hosts/resources/key.ts'
import { link } from '../hosts/resources/link.ts'
import { packageOf } from '../hosts/resources/package.ts'
import type { Resource } from '../hosts/resources/resource.ts'
import { service } from '../hosts/resources/service.ts'
import { sshdDropIn } from '../hosts/resources/sshd.ts'
import { sshdAccess } from '../hosts/resources/sshd-access.ts'
import { sshdSocket } from '../hosts/resources/sshd-socket.ts'
import { user } from '../hosts/resources/user.ts'
import { unitFile } from '../images/os/units.ts'
import { type BundleFor, closure } from './closure-resource.ts'
import { mainFile, serverFolder } from './registry/paths.ts'
import { rootHelperPath } from './server/root-helper.ts'
import { currentClosure } from './server-paths.ts'

/** The supplementary group of every fleet's user. */
const fleetsGroup = 'fleetsie-fleets'

const sudoers = `# Of fleetsie: its server program needs these few verbs as root; for all else sudo asks for the password.
fleetsie ALL=(root) NOPASSWD: ${rootHelperPath}
`

// What a hardened server forbids everybody has to be said for devices: their keys' own lines say which port is whose.
// Figures: the default MaxStartups loses devices that are switched on together; see docs/srv.md.
const sshdConfig = `# Of fleetsie.
MaxStartups 1000:30:2000
LoginGraceTime 30
ClientAliveInterval 15
ClientAliveCountMax 3

# The users of fleets: devices, by keys with forced commands.
Match Group ${fleetsGroup}
	PubkeyAuthentication yes
	AuthenticationMethods publickey
	AuthorizedKeysFile .ssh/authorized_keys
	PasswordAuthentication no
	KbdInteractiveAuthentication no
	PermitTTY no
	PermitUserRC no
	MaxSessions 1
	AllowAgentForwarding no
	X11Forwarding no
	DisableForwarding no
	AllowTcpForwarding yes
	PermitListen any
	PermitOpen any
	AllowStreamLocalForwarding no
	GatewayPorts no
`

const tmpfiles = `# Of fleetsie: which devices are connected.
d /run/fleetsie 0755 root root -
d /run/fleetsie/dev 0755 root root -
`

/**
 * By default 15% of the tasks that a machine can have: with 1 GB, those of some 200 devices, where PAM makes no sessions.
 * Where it makes some, those who are still logging in count.
 */
const tasks = {
  guard: {
    text: `[ -d /run/systemd/system ] || exit 0
for unit in ssh.service sshd.service; do
	! systemctl --quiet is-active "$unit" || [ "$(systemctl show --property=TasksMax --value "$unit")" = infinity ] || exit 1
done`,
  },
  does: {
    text: `set -eu
for unit in ssh.service sshd.service; do
	if systemctl --quiet is-active "$unit"; then exec systemctl set-property "$unit" TasksMax=infinity >&2; fi
done`,
  },
  because: 'systemd lets sshd have only so many processes',
}

// Of most settings sshd takes the first, of this one the last.
const startups = `sshd -T 2>/dev/null | awk -F '[ :]' '$1 == "maxstartups" { most = $2 } END { exit !(most >= 1000) }'`

/** An administrator's own setting is told, and left. */
const maxStartups = {
  guard: { text: startups },
  does: {
    text: `set -eu
if ! ${startups}; then
	echo "$(sshd -T | grep ^maxstartups) comes from another file and counts more than ours: remove it there, and reload sshd" >&2
	exit 1
fi`,
  },
  because: 'sshd drops connections when many devices are switched on together',
}

/** Made by the program that uses it, which brings one of the older tool up to date as well, with the first `gen`. */
const database = {
  guard: {
    text: `[ -f "$1" ] && [ ! -L "$1" ] && [ -s "$1" ] && [ "$(stat -c '%U %a' -- "$1")" = 'fleetsie 600' ]`,
    args: [mainFile(serverFolder)],
  },
  does: {
    text: `set -eu
if [ -L "$1" ]; then
	echo "$1 is a link" >&2
	exit 1
fi
if [ -e "$1" ]; then
	chown -h -- fleetsie:fleetsie "$1"
	runuser -u fleetsie -- chmod 600 -- "$1"
fi
cd /
printf '%s\\n' '{"do":"setup"}' | runuser -u fleetsie -- env HOME=/home/fleetsie "$2/fleetsie_gen_srv" >&2`,
    args: [mainFile(serverFolder), currentClosure],
  },
  because: 'it is missing, or open to others',
}

export interface ServerOptions {
  /** Lines of public keys; one of them has to be let in as fleetsie, and the first will be. */
  keys: readonly [string, ...string[]]
  bundleFor: BundleFor
  /** Of the user fleetsie, asked for when it has none. */
  password(): Promise<string>
}

/** The programs by their documented paths. */
const programs = ['fleetsie_auth', 'fleetsie_login', 'fleetsie_gen_srv'] as const

/** Each resource may need those before it. */
export async function serverState(options: ServerOptions): Promise<Resource[]> {
  const { keys, bundleFor, password } = options
  const helper = await readFile(unitFile('fleetsie_root'), 'utf8')
  return [
    sshdAccess([
      { user: 'fleetsie', groups: ['fleetsie', 'sudo'], byKey: true },
      { user: 'fleetsie_*', groups: [fleetsGroup] },
    ]),
    packageOf('sudo'),
    packageOf('sqlite3'),
    group(fleetsGroup),
    user('fleetsie', { groups: ['sudo'], password }),
    folder(serverFolder, { owner: 'fleetsie:fleetsie', mode: '0711' }),
    folder(`${serverFolder}/fleets`, { owner: 'fleetsie:fleetsie', mode: '0711' }),
    key('fleetsie', keys),
    file('/etc/tmpfiles.d/fleetsie.conf', { content: tmpfiles, mode: '0644' }),
    folder('/run/fleetsie', { mode: '0755' }),
    folder('/run/fleetsie/dev', { mode: '0755' }),
    file(rootHelperPath, { content: helper, mode: '0755', judge: ['sh', '-n'] }),
    file('/etc/sudoers.d/fleetsie', { content: sudoers, mode: '0440', judge: ['visudo', '-c', '-f'] }),
    closure(bundleFor),
    command(mainFile(serverFolder), database),
    ...programs.map((name) => link(`${serverFolder}/${name}`, `${currentClosure}/${name}`)),
    sshdDropIn('/etc/ssh/sshd_config.d/50-fleetsie.conf', sshdConfig),
    command('MaxStartups of sshd', maxStartups),
    sshdSocket(),
    command('tasks of sshd', tasks),
    service('ssh', ['ssh.service', 'sshd.service', 'ssh.socket']),
  ]
}
