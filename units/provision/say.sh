# shellcheck shell=sh
# What fleetsie_provision says, and where: the journal, the log on the disk, the status files, the LEDs. And how it
# writes files. No secret is ever handed to what is in here, but for `put`, on stdin.

say() {
	printf 'fleetsie_provision: %s\n' "$*"
	[ -n "$log" ] || return 0
	# Several devices write there, one after the other: their addresses tell them apart.
	if ! { printf '%s %s %s\r\n' "$(now)" "${hwid:--}" "$*" >>"$log"; } 2>/dev/null; then
		log=
		printf 'fleetsie_provision: the log on the disk cannot be written: full, or gone\n'
	fi
}

now() {
	date -u +%Y-%m-%dT%H:%M:%SZ
}

# status STATE STEP WHY: `running`, `no-disk`, `failed` or `done`, in /run and, across boots, in /var/lib/fleetsie.
status() {
	state=$1
	for file in "$folder/status" "$kept/status"; do
		printf 'state=%s\nstep=%s\nwhy=%s\ntime=%s\n' "$1" "$2" "$3" "$(now)" | put "$file" 644
	done
	case $1 in
	running) light heartbeat ;;
	done) light default-on ;;
	failed) light timer ;;
	esac
}

# begin STEP TEXT
begin() {
	step=$1
	say "$2"
	status running "$1" "$2"
}

# Ends the program; the unit stays enabled.
fail() {
	say "$*; $unit stays enabled and tries again at the next boot"
	status failed "$step" "$*"
	exit 1
}

# The board's activity LED, where there is one that can be told.
light() {
	for led in /sys/class/leds/ACT /sys/class/leds/led0; do
		if [ -w "$led/trigger" ]; then { echo "$1" >"$led/trigger"; } 2>/dev/null; fi
	done
	return 0
}

# put PATH MODE [OWNER]: the file's content is what comes on stdin, after a power cut either all of it or what was there.
put() (
	umask 077
	new=$1.fleetsie-new
	rm -f "$new"
	# A link that somebody has put there meanwhile is not followed.
	set -C
	if cat >"$new" && chmod "$2" "$new" && { [ -z "${3-}" ] || chown "$3" "$new"; } && flush "$new" &&
		mv -f "$new" "$1"; then
		flush "${1%/*}"
		exit 0
	fi
	rm -f "$new"
	exit 1
) 2>/dev/null

# As put, onto the disk: FAT has no modes and owners.
put_on_disk() (
	cat >"$1.new" && flush "$1.new" && mv -f "$1.new" "$1" && flush "${1%/*}" && exit 0
	rm -f "$1.new"
	exit 1
) 2>/dev/null

flush() {
	sync "$1" || sync
}
