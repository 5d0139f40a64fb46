# shellcheck shell=sh
# Waiting for what nothing tells of.

# wait_for SECONDS COMMAND…: tried at once and then each second. Whether it succeeded.
wait_for() {
	left=$1
	shift
	until "$@"; do
		[ "$left" -gt 0 ] || return 1
		left=$((left - 1))
		sleep 1
	done
}
