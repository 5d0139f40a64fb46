# shellcheck shell=sh
# The ten lines of `Ok`: each has to have its form, for what they say is written to where root and sshd believe it.

# Checks `$work/lines` and keeps them, with whom it is from, until everything is done: the server is not asked again.
keep_answer() {
	hostname=$(sed -n 4p "$work/lines")
	fleetuser=$(sed -n 5p "$work/lines")
	expect user_pwd 2 "$password_pattern|"
	expect root_pwd 3 "$password_pattern|"
	expect hostname 4 '[A-Za-z0-9_][A-Za-z0-9_-]{0,61}[A-Za-z0-9]'
	expect fleetuser 5 '[A-Za-z_][A-Za-z0-9_-]{0,31}'
	expect tunnel_port 6 '[1-9][0-9]{0,4}'
	is_port "$(sed -n 6p "$work/lines")" || fail "the server's answer has no tunnel_port that is a port"
	[ "$(sed -n 7p "$work/lines" | cut -d ' ' -f 1,2)" = "$public" ] ||
		fail "the server's answer is for another key than this device's"
	expect device_public_key 9 "((cert-authority|restrict|pty|principals=\"[A-Za-z0-9_.,-]+\")(,(cert-authority|restrict|pty|principals=\"[A-Za-z0-9_.,-]+\"))* )?$key_pattern|"
	expect zabbix_psk 10 '([0-9A-Fa-f]{2}){16,256}|'
	{
		printf '%s\n' "$host" "$port" "$fleet" "$known" "$key_types" "$id"
		# Without the keys: a device that has made its own gets no private one.
		sed -n -e '2,6p' -e '9,11p' "$work/lines"
	} | put "$kept/answer" 600 || fail "$kept cannot be written"
	load_answer
}

# expect NAME N PATTERN
expect() {
	matches "$(sed -n "$2p" "$work/lines")" "$3" || fail "the server's answer has no $1 as it should be"
}

# Fails when there is none.
load_answer() {
	[ -f "$kept/answer" ] || return 1
	{
		for name in host port fleet known key_types id user_pwd root_pwd hostname fleetuser tunnel_port login_key \
			zabbix_psk fleet_extra; do
			IFS= read -r "${name?}" || return 1
		done
	} <"$kept/answer"
	printf '%s\n' "$known" >"$work/known_hosts"
}
