/**
 * How a change of sshd's configuration is tried: put in place and loaded while a process of its own waits to put back
 * what was there, whatever becomes of us; kept only when a new login has worked. After a boot in between, it is put back
 * before sshd starts.
 *
 * /var/lib/fleetsie/sshd.pending holds what was before, for as long as nothing is proven. Who renames it away decides:
 * `keep`, or the waiting process. sshd.loaded is the sha256 of the drop-in that was proven last.
 */

import { careful } from './careful.ts'

const functions = `${careful}
main=/etc/ssh/sshd_config
state=/var/lib/fleetsie
pending=$state/sshd.pending
rollback=$state/sshd.rollback
boot=fleetsie-sshd.service

fail() {
	printf '%s\\n' "$1" >&2
	exit 1
}

replace() {
	sync -- "$1"
	mv -fT -- "$1" "$2"
	sync -- "\${2%/*}"
}

# What was before is in the folder $1.
restore() {
	[ -e "$1/path" ] || return 0
	dropin=$(cat -- "$1/path")
	if [ -e "$1/drop-in" ]; then
		cp -p -- "$1/drop-in" "$dropin.fleetsie-new"
		replace "$dropin.fleetsie-new" "$dropin"
	else
		rm -f -- "$dropin"
	fi
	if [ -e "$1/main" ]; then
		cp -p -- "$1/main" "$main.fleetsie-new"
		replace "$main.fleetsie-new" "$main"
	fi
}

# A try that was never proven, or not put back to its end.
finish() {
	for left in "$state/sshd.taken" "$state"/sshd.reverting.*; do
		[ ! -d "$left" ] || finish_one "$left"
	done
	if mv -T -- "$pending" "$state/sshd.taken" 2>/dev/null; then finish_one "$state/sshd.taken"; fi
}

finish_one() {
	restore "$1"
	rm -f -- "$1/path"
	rm -rf -- "$1"
}

# Nothing is left to be put back.
forget() {
	rm -f -- "/etc/systemd/system/multi-user.target.wants/$boot" "/etc/systemd/system/$boot" "$rollback"
}

# Sets \`unit\` to the one of these that runs.
runs() {
	[ -d /run/systemd/system ] || return 1
	for unit in "$@"; do
		if systemctl --quiet is-active "$unit"; then return 0; fi
	done
	return 1
}

# Comes back when the new configuration is the one that counts: sshd writes its pid again when it listens again.
reload() {
	if runs ssh.socket sshd.socket; then
		# An sshd that was given its socket loses that at a reload, and ends. Sessions outlive a restart, and whoever comes
		# meanwhile waits. Where none runs, or one for each connection, the next one reads what is there.
		if runs ssh.service sshd.service; then systemctl restart "$unit" >&2; fi
		return 0
	fi
	file=$(sshd -T 2>/dev/null | sed -n 's/^pidfile //p')
	[ -n "$file" ] || file=/run/sshd.pid
	written=$(stat -c '%i %y' -- "$file" 2>/dev/null || :)
	if runs ssh.service sshd.service; then
		systemctl reload "$unit" >&2
	else
		pid=$(cat -- "$file")
		[ "$(cat "/proc/$pid/comm")" = sshd ] || fail "$file does not name sshd"
		kill -HUP "$pid"
	fi
	tries=0
	while [ "$tries" -lt 50 ] && { [ ! -s "$file" ] || [ "$(stat -c '%i %y' -- "$file")" = "$written" ]; }; do
		sleep 0.1
		tries=$((tries + 1))
	done
}
`

/** Written to the machine; $1 token and $2 seconds, or `boot`. */
const rollback = `${functions}
if [ "$1" = boot ]; then
	finish
	forget
	exit 0
fi
echo $$ >"$pending/pid"
sleep "$2"
[ "$(cat -- "$pending/token")" = "$1" ] || exit 0
reverting=$state/sshd.reverting.$$
mv -T -- "$pending" "$reverting" || exit 0
restore "$reverting"
reload
rm -f -- "$reverting/path"
rm -rf -- "$reverting"
forget
`

const bootUnit = `[Unit]
Description=Put back what sshd had before a change that no login has proven
DefaultDependencies=no
After=local-fs.target
Before=ssh.service sshd.service ssh.socket sshd.socket
RequiresMountsFor=/var/lib/fleetsie

[Service]
Type=oneshot
ExecStart=/bin/sh /var/lib/fleetsie/sshd.rollback boot
`

/**
 * $1 path of the drop-in, $2 sha256 of stdin, $3 `yes` when the main file has to include drop-ins, $4 token, $5 seconds
 * until it is put back; stdin is the drop-in.
 */
export const tryScript = `${functions}
dropin=$1 sum=$2 include=$3 token=$4 seconds=$5
mkdir -p -- "$state" "\${dropin%/*}" /run/sshd

# Another manager's try uses the same names.
exec 9<"$state"
flock -w 60 9 || fail 'somebody else has been changing it for 60 s'
finish

next=$state/sshd.next
rm -rf -- "$next"
mkdir -m 700 -- "$next"
new=$dropin.fleetsie-new
cat >"$new"
[ "$(sha256sum <"$new" | cut -d ' ' -f 1)" = "$sum" ] || fail 'the drop-in did not arrive whole'
mainfile=$main
if [ "$include" = yes ]; then
	mainfile=$main.fleetsie-new
	cp -p -- "$main" "$next/main"
	cp -p -- "$main" "$mainfile"
	# Not its whole folder: what else lies there has not counted until now.
	{ printf 'Include %s\\n\\n' "$dropin" && cat -- "$main"; } >"$mainfile"
fi
printf 'Include %s\\nInclude %s\\n' "$new" "$mainfile" >"$next/test"
if ! said=$(sshd -t -f "$next/test" 2>&1); then
	rm -rf -- "$next" "$new" "$main.fleetsie-new"
	fail "sshd does not take it: $said"
fi
[ ! -e "$dropin" ] || cp -p -- "$dropin" "$next/drop-in"
printf '%s\\n' "$dropin" >"$next/path"
printf '%s\\n' "$token" >"$next/token"
cat >"$rollback.new" <<'END_OF_ROLLBACK'
${rollback}END_OF_ROLLBACK
replace "$rollback.new" "$rollback"
sync -- "$next"/*
mv -T -- "$next" "$pending"
sync -- "$state"
if [ -d /run/systemd/system ]; then
	units=/etc/systemd/system
	mkdir -p -- "$units/multi-user.target.wants"
	cat >"$units/$boot" <<'END_OF_UNIT'
${bootUnit}END_OF_UNIT
	sync -- "$units/$boot"
	ln -sf "../$boot" "$units/multi-user.target.wants/$boot"
	sync -- "$units" "$units/multi-user.target.wants"
	# Not in the session's scope: logind may end all that is in it.
	if ! systemd-run --quiet --collect --unit="fleetsie-sshd-$token" --property=Type=exec \\
		sh "$rollback" "$token" "$seconds" </dev/null >&2; then
		# The next boot would put back what somebody has changed by then.
		finish
		forget
		rm -f -- "$new" "$main.fleetsie-new"
		fail 'systemd starts nothing that could put it back, so nothing was changed'
	fi
else
	setsid sh "$rollback" "$token" "$seconds" </dev/null >/dev/null 2>&1 9<&- &
fi

if [ "$include" = yes ]; then
	cp -p -- "$main" "$main.saved_$(date +%s)"
	replace "$mainfile" "$main"
fi
replace "$new" "$dropin"
if ! said=$(sshd -t 2>&1); then
	sh "$rollback" "$token" 0 || :
	fail "sshd does not take it: $said"
fi
reload`

/** A new login has worked: $1 token, $2 sha256 of the drop-in. */
export const keepScript = `${functions}
late='it took too long, and what was before has been put back'
[ "$(cat -- "$pending/token" 2>/dev/null)" = "$1" ] || fail "$late"
mv -T -- "$pending" "$state/sshd.kept.$$" || fail "$late"
printf '%s\\n' "$2" >"$state/sshd.loaded.new"
replace "$state/sshd.loaded.new" "$state/sshd.loaded"
pid=$(cat -- "$state/sshd.kept.$$/pid" 2>/dev/null || :)
[ -z "$pid" ] || kill -- "-$pid" 2>/dev/null || :
rm -rf -- "$state"/sshd.kept.*
forget`

/** No new login works: $1 token. */
export const revertScript = `${functions}
[ "$(cat -- "$pending/token" 2>/dev/null)" = "$1" ] || exit 0
pid=$(cat -- "$pending/pid" 2>/dev/null || :)
sh "$rollback" "$1" 0
[ -z "$pid" ] || kill -- "-$pid" 2>/dev/null || :`

/** $1 path of the drop-in. */
export const checkScript = `if [ -f "$1" ]; then
	fact mode "$(stat -c '%U:%G %a' -- "$1")"
	encoded content <"$1"
fi
[ ! -f /etc/ssh/sshd_config ] || head -c 262144 /etc/ssh/sshd_config | encoded main
[ ! -f /var/lib/fleetsie/sshd.loaded ] || fact loaded "$(cat /var/lib/fleetsie/sshd.loaded)"
for left in /var/lib/fleetsie/sshd.pending /var/lib/fleetsie/sshd.reverting.*; do
	[ ! -d "$left" ] || fact pending yes
done
# Written when sshd read its configuration last. A file's own time may be older than its being there.
if [ -s /run/sshd.pid ] && [ ! -d /var/lib/fleetsie/sshd.pending ]; then
	find /etc/ssh/sshd_config /etc/ssh/sshd_config.d ! -type d ! -path "$1" -cnewer /run/sshd.pid 2>/dev/null | encoded unread
fi`
