# shellcheck shell=sh
# Claims a device of the fleet at the server: `fleetsie 2`, and what the server answers. The same key and the same OTP until
# there is an answer, also after a power cut: the server gives the same device the same answer again.

claim() {
	prepare_key
	failures=0
	unknown=0
	again=0
	begin claim "asks $host for a place in the fleet $fleet"
	if ! resume_attempt; then
		choose 0 || fail 'the disk has no unclaimed device left'
	fi
	while :; do
		# Before it is sent: an answer may get lost.
		printf '%s\n%s\n%s\n%s\n' "$host $port $fleet" "$hwid" "$id" "$otp" | put "$kept/attempt" 600 ||
			fail "$kept cannot be written"
		send_claim
		text "$work/reply" >"$work/lines"
		answer=$(sed -n 1p "$work/lines")
		# An answer is whole when its last line is.
		ends=$(($(wc -l <"$work/reply")))
		case $answer:$ends in
		Ok:1[1-9])
			keep_answer
			rm -f "$kept/attempt"
			say "the server has taken this device in as $hostname"
			return 0
			;;
		Try:2)
			again=$(sed -n 2p "$work/lines")
			matches "$again" '[0-9]{1,9}' || fail "the server's answer is none: Try without a number"
			say "device $id is somebody else's; the server proposes one from $again on"
			forget "$again"
			;;
		Bad:1)
			say "the server does not know the password of device $id"
			forget 0
			unknown=$((unknown + 1))
			[ "$unknown" -lt 20 ] || fail 'the server knows none of 20 passwords of the disk: has it been revoked?'
			;;
		Full:1) fail "the fleet $fleet has no unclaimed device left" ;;
		Error:[2-9])
			said=$(sed -n 2p "$work/lines" | plain)
			case $said in 'try again later: '*) ;; *) fail "the server says: $said" ;; esac
			printf '%s\n' "$said" >"$work/said"
			wait_again || fail "the server says: $said"
			continue
			;;
		*)
			refused_for_good "the disk has expired or was revoked"
			wait_again || fail "the server has not answered: $(plain <"$work/said")"
			continue
			;;
		esac
		rm -f "$kept/attempt"
		choose "$again" || choose 0 || fail 'the disk has no unclaimed device left'
	done
}

# The key that this device will have, made once.
prepare_key() {
	umask 077
	if ! ssh-keygen -l -f "$kept/key.pub" >/dev/null 2>&1 || ! ssh-keygen -y -P '' -f "$kept/key" >/dev/null 2>&1; then
		rm -f "$kept/key" "$kept/key.pub" "$kept/new" "$kept/new.pub"
		ssh-keygen -q -t ed25519 -N '' -C fleetsie -f "$kept/new" || fail 'no key can be made (ssh-keygen)'
		flush "$kept/new"
		flush "$kept/new.pub"
		{ mv "$kept/new" "$kept/key" && mv "$kept/new.pub" "$kept/key.pub"; } || fail "$kept cannot be written"
		flush "$kept"
	fi
	umask 022
	public=$(cut -d ' ' -f 1,2 "$kept/key.pub")
}

# Sets `id` and `otp` to what was asked for last, if that was the same server, fleet and device.
resume_attempt() {
	[ -f "$kept/attempt" ] || return 1
	{
		IFS= read -r whom && IFS= read -r who && IFS= read -r id && IFS= read -r otp
	} <"$kept/attempt" || return 1
	[ "$whom" = "$host $port $fleet" ] && [ "$who" = "$hwid" ] && matches "$id" '[0-9]{1,9}' || return 1
	say "goes on with the claim of device $id"
}

# Leaves the answer in `$work/reply` and what ssh said in `$work/said`.
send_claim() {
	printf 'fleetsie 2\nhwid: %s\notp: %s\nkey: %s\n\n' "$hwid" "$otp" "$public" >"$work/request"
	to_server "$work/auth" "fleetsie_$fleet" "$work/request"
	rm -f "$work/request"
}

# to_server KEY USER STDIN [COMMAND]
to_server() {
	# A server that says too much, or nothing for too long, is cut off.
	timeout 150 ssh -F /dev/null -T -x -a -o BatchMode=yes -o StrictHostKeyChecking=yes \
		-o UserKnownHostsFile="$work/known_hosts" -o GlobalKnownHostsFile=/dev/null -o HostKeyAlgorithms="$key_types" \
		-o IdentitiesOnly=yes -o IdentityAgent=none -o IdentityFile="$1" -o ConnectTimeout=20 \
		-o ServerAliveInterval=15 -o ServerAliveCountMax=3 -o UpdateHostKeys=no \
		-p "$port" -l "$2" "$host" ${4+"$4"} <"$3" 2>"$work/said" | head -c 65536 >"$work/reply"
}

# What another try does not change.
refused_for_good() {
	if grep -q -e 'Host key verification failed' -e 'IDENTIFICATION HAS CHANGED' -e 'no matching host key' "$work/said"; then
		fail "the server at $host has another host key than line 3 of fleet.txt says; nothing was sent to it"
	fi
	if grep -q 'Permission denied' "$work/said"; then
		fail "the server does not let in who has this key: $1"
	fi
}

# Waits longer each time, each device its own while; fails when it has been often enough for this boot.
wait_again() {
	failures=$((failures + 1))
	[ "$failures" -lt 20 ] || return 1
	longest=60
	[ "$failures" -gt 5 ] || longest=$((1 << failures))
	say "no answer: $(plain <"$work/said"); tries again"
	sleep "$((longest / 2 + $(random "$((longest / 2 + 1))")))"
}
