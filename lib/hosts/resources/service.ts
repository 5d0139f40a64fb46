/** A service that systemd starts at boot. Where no systemd runs, whoever set that up starts services. */
import type { Resource } from './resource.ts'

const check = `[ -d /run/systemd/system ] || exit 0
fact systemd yes
for unit in "$@"; do
	systemctl is-enabled --quiet "$unit" 2>/dev/null && systemctl is-active --quiet "$unit" && fact on yes
done`

const enable = `set -eu
exec >&2
for unit in "$@"; do
	if systemctl --quiet is-active "$unit"; then exec systemctl enable "$unit"; fi
done
for unit in "$@"; do
	if systemctl cat "$unit" >/dev/null 2>&1; then exec systemctl enable --now "$unit"; fi
done
echo "there is no unit $*"
exit 1`

/** One of `units` has to be enabled and active; where none is, the first that is active or else
 * installed becomes so: to start one may end another.  */
export function service(name: string, units: readonly string[]): Resource {
  return {
    name: `service ${name}`,
    check: { text: check, args: units },
    diff: (facts) =>
      !facts.has('systemd') || facts.has('on') ? undefined : { because: 'it is not started at boot' },
    apply: async (place) => {
      await place.asRoot({ text: enable, args: units })
    },
  }
}
