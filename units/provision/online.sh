# shellcheck shell=sh
# Whether there is a way to the server, whether the clock is right, who this device is.

has_route() {
	# A fixed address keeps its route when the cable is out.
	{ ip -4 route show default; ip -6 route show default; } | grep -qv linkdown && return
	# A server in a network without a way out of it.
	matches "$host" '[0-9.]+|.*:.*' && ip route get "$host" >/dev/null 2>&1
}

bring_online() {
	begin network 'waits for a network'
	why_not='no cable'
	wait_for 20 has_route && return
	join_wifi && return
	wait_for 60 has_route || fail "there is no network: $why_not"
}

# ssh takes any time; what checks certificates later does not. So it is waited for, and not for long.
wait_clock() {
	command -v timedatectl >/dev/null || return 0
	begin clock 'waits for the time'
	wait_for 30 is_clock_set ||
		say "the clock has not been set by the network; it says $(now), and that is gone on with"
}

is_clock_set() {
	[ "$(timedatectl show --property=NTPSynchronized --value)" = yes ]
}

# One line for each network adapter, the best to tell this device by first: RANK NAME ADDRESS.
adapters() {
	for net in /sys/class/net/*; do
		name=${net##*/}
		[ -e "$net/device" ] || [ "$name" = eth0 ] || continue
		rank=1
		[ "$name" != eth0 ] || rank=0
		address=$net/address
		if [ -e "$net/phy80211" ]; then
			rank=2
			# The adapter's own: NetworkManager gives it others while it looks around.
			[ -e "$net/phy80211/macaddress" ] && address=$net/phy80211/macaddress
		elif [ "$(cat "$net/addr_assign_type")" = 1 ]; then
			# Made up at this boot.
			rank=3
		fi
		address=$(tr '[:upper:]' '[:lower:]' <"$address")
		[ "$address" != 00:00:00:00:00:00 ] && matches "$address" '([0-9a-f]{2}:){5}[0-9a-f]{2}' &&
			printf '%s %s %s\n' "$rank" "$name" "$address"
	done 2>/dev/null | sort
}

# Sets `found` to those of `adapters`, once there is one.
find_adapters() {
	found=$(adapters) && [ -n "$found" ]
}

# Sets `hwid`, and forgets what another device has begun with this card.
know_hardware() {
	hwid=$(cat "$kept/hwid" 2>/dev/null)
	[ ! -f "$kept/answer" ] || return 0
	wait_for 30 find_adapters || fail 'there is no network adapter with an address to tell this device by'
	best=${found%%"$nl"*}
	case $nl$found$nl in *" ${hwid:--}$nl"*) return ;; esac
	# An address that is made up at each boot stays the one that it was at the first try.
	case $best in 3*) [ -z "$hwid" ] || return 0 ;; esac
	hwid=${best##* }
	rm -f "$kept/attempt" "$kept/key" "$kept/key.pub"
	printf '%s\n' "$hwid" | put "$kept/hwid" 600 || fail "$kept cannot be written"
}
