# shellcheck shell=sh
# The tunnel to the server, and the proof that the server knows this device's key.

start_tunnel() {
	begin tunnel 'installs the tunnel'
	mkdir -p /opt/fleetsie
	install_from_disk ssh_tunnel.sh /opt/fleetsie/ssh_tunnel.sh 755
	install_from_disk ssh-tunnel.service /etc/systemd/system/ssh-tunnel.service 644
	systemctl daemon-reload
	start_sshd
	{ systemctl enable ssh-tunnel.service 2>&1 && systemctl restart ssh-tunnel.service 2>&1; } ||
		fail 'ssh-tunnel.service cannot be started'
}

# install_from_disk NAME PATH MODE. A disk of the older kind has none; the image brings its own.
install_from_disk() {
	source=$work/$1
	[ -s "$source" ] || source=$parts/$1
	text "$source" | put "$2" "$3" || fail "$2 cannot be written"
}

# What the tunnel leads to. Raspberry Pi OS has it switched off.
start_sshd() {
	for sshd in ssh sshd; do
		systemctl cat "$sshd.service" >/dev/null 2>&1 || continue
		systemctl is-active --quiet "$sshd.service" && return
		systemctl is-active --quiet "$sshd.socket" && return
		say "switches $sshd.service on, which the tunnel leads to"
		ssh-keygen -A >/dev/null
		systemctl enable --now "$sshd.service" && return
	done
	say 'there is no ssh server that runs here, so the tunnel leads nowhere'
}

prove_key() {
	begin check 'logs in at the server with the new key'
	failures=0
	: >"$work/nothing"
	while :; do
		to_server "$kept/key" "$fleetuser" "$work/nothing" check
		[ "$(sed -n 1p "$work/reply")" != "ok $hostname" ] || return 0
		refused_for_good "$hostname"
		wait_again || fail "the server does not answer to the new key: $(plain <"$work/said")"
	done
}
