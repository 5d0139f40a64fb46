/**
 * How many connections a socket of systemd takes that starts an sshd for each of them (Accept=yes, as up to Debian 11):
 * there MaxStartups of sshd does not count, and by default systemd takes 64 at once, and refuses all after 200 within 2 s.
 */
import type { Resource } from './resource.ts'

/** More than a fleet server has ports for tunnels. */
const connections = 20_000

const check = `[ -d /run/systemd/system ] || exit 0
for unit in ssh.socket sshd.socket; do
	systemctl --quiet is-active "$unit" || continue
	[ "$(systemctl show --property=Accept --value "$unit")" = yes ] || continue
	fact limits "$(systemctl show --property=MaxConnections --value "$unit") $(systemctl show --property=TriggerLimitIntervalUSec --value "$unit")"
done`

// What is connected stays so.
const put = `set -eu
umask 022
for unit in ssh.socket sshd.socket; do
	systemctl --quiet is-active "$unit" || continue
	folder=/etc/systemd/system/$unit.d
	mkdir -p -- "$folder"
	printf '# Of fleetsie.\\n[Socket]\\nMaxConnections=%s\\nTriggerLimitIntervalSec=0\\n' "$1" >"$folder/50-fleetsie.new"
	sync -- "$folder/50-fleetsie.new"
	mv -fT -- "$folder/50-fleetsie.new" "$folder/50-fleetsie.conf"
done
systemctl daemon-reload`

export function sshdSocket(): Resource {
  return {
    name: 'sshd socket',
    check: { text: check },
    diff: (facts) => {
      const limits = facts.get('limits')
      if (limits === undefined) return undefined
      const [most, interval] = limits.split(' ')
      if (Number(most) >= connections && interval === '0') return undefined
      return { because: `systemd takes ${most} connections of ssh at most` }
    },
    apply: async (place) => {
      await place.asRoot({ text: put, args: [String(connections)] })
    },
  }
}
