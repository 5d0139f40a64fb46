# shellcheck shell=sh
# The devices of the disk that nobody has claimed: `$work/otps`, lines `ID OTP`, ascending.

read_otps() {
	if [ -f "$from/devices.txt" ]; then
		text "$from/devices.txt" 16777216 >"$work/listed"
	else
		database=
		for name in devices.sqlite provisioning.sqlite; do
			[ -f "$from/$name" ] && database=$from/$name && break
		done
		[ -n "$database" ] || fail 'the disk has no list of devices: devices.txt, devices.sqlite or provisioning.sqlite'
		command -v sqlite3 >/dev/null ||
			fail "the disk has ${database##*/} but no devices.txt, and this system has no sqlite3 to read it"
		sqlite3 -readonly -batch -noheader -separator ' ' "$database" 'SELECT id_in_fleet, otp FROM devices' \
			>"$work/listed" 2>"$work/said" || fail "${database##*/} cannot be read: $(plain <"$work/said")"
	fi
	claimed_ids >"$work/claimed"
	# mawk of older systems knows no {256}.
	awk 'NR == FNR { gone[$1]; next }
		$1 !~ /[^0-9]/ && length($1) > 0 && length($1) < 10 && !($1 in gone) && length($2) == 256 && $2 !~ /[^0-9a-f]/ {
			print $1 + 0, $2
		}' "$work/claimed" "$work/listed" | sort -n >"$work/otps"
	rm -f "$work/listed"
}

# The ids in claimed.txt. The first line is none, for awk tells the files apart by there being one.
claimed_ids() {
	echo none
	[ ! -f "$from/claimed.txt" ] || text "$from/claimed.txt" 1048576
}

# choose FROM: sets `id` and `otp`: the lowest for 0, else some device at or above it, for the others ask for FROM too.
choose() {
	chosen=$(awk -v from="$1" -v seed="$(random 30000)" '$1 >= from { line[n++] = $0 }
		END { if (from == 0) seed = 0; if (n > 0) print line[seed % n] }' "$work/otps")
	[ -n "$chosen" ] || return 1
	id=${chosen%% *}
	otp=${chosen#* }
}

# forget N: the devices below N and the chosen one are others'.
forget() {
	awk -v from="$1" -v id="$id" '$1 >= from && $1 != id' "$work/otps" >"$work/left" && mv "$work/left" "$work/otps"
}

# random N: 0 to N - 1.
random() {
	printf '%s\n' "$(($(od -An -N4 -tu4 /dev/urandom) % $1))"
}

# Takes the claimed device from the disk. The server knows by itself; this spares the next device a question.
take_from_disk() {
	begin disk "takes device $id from the disk"
	if [ ! -d "$from" ]; then
		fail 'the disk is gone; put it in again, and the next boot goes on from here'
	fi
	claimed_ids >"$work/claimed"
	if ! grep -qx "$id" "$work/claimed"; then
		# A line that a power cut has left without its end does not swallow this one.
		[ -z "$(tail -c 1 "$from/claimed.txt" 2>/dev/null)" ] || echo >>"$from/claimed.txt"
		if ! { printf '%s\n' "$id" >>"$from/claimed.txt"; } 2>/dev/null; then
			say 'the disk cannot be written; its next device asks the server for another number'
			return 0
		fi
		flush "$from/claimed.txt"
	fi
	if [ -f "$from/devices.txt" ]; then
		text "$from/devices.txt" 16777216 | awk -v id="$id" 'NF > 0 && $1 != id' | put_on_disk "$from/devices.txt" ||
			say 'devices.txt cannot be written: full? claimed.txt has the number'
	fi
	command -v sqlite3 >/dev/null || return 0
	for database in "$from/devices.sqlite" "$from/provisioning.sqlite"; do
		[ -f "$database" ] || continue
		sqlite3 -batch "$database" "PRAGMA secure_delete=ON; DELETE FROM devices WHERE id_in_fleet = $id" \
			>/dev/null 2>"$work/said" || say "${database##*/} cannot be written: $(plain <"$work/said")"
		flush "$database"
	done
}
