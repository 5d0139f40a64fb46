# The commands that fleetsie_provision asks about disks, over a folder $FAKE instead of the machine: functions, because
# a busybox shell prefers its own applets to programs in PATH, but nothing to functions.
#   $FAKE/lsblk  NAME TYPE PKNAME lines    $FAKE/types/NAME  what blkid finds    $FAKE/disks/NAME/  what is on it
#   $FAKE/mounts  NAME TARGET lines        $FAKE/calls  what was called          $FAKE/after-N  run at the N-th sleep
called() { printf '%s\n' "$*" >>"$FAKE/calls"; }
id() { echo "${FAKE_UID:-0}"; }
sync() { :; }
sleep() {
	called sleep
	slept=$((${slept:-0} + 1))
	if [ -f "$FAKE/after-$slept" ]; then . "$FAKE/after-$slept"; fi
}
lsblk() {
	case "$*" in
	*--inverse*)
		for last in "$@"; do :; done
		echo "$last"
		while read -r name type parent; do [ "$name" = "$last" ] && echo "$parent"; done <"$FAKE/lsblk"
		;;
	*) cat "$FAKE/lsblk" ;;
	esac
}
findmnt() {
	for last in "$@"; do :; done
	case "$*" in
	*--mountpoint*) [ "$last" = / ] && echo '/dev/fake-root2[/@root]' ;;
	*--source*)
		while read -r name target; do [ "$name" = "$last" ] && echo "$target" && return 0; done <"$FAKE/mounts"
		return 1
		;;
	esac
}
blkid() {
	for last in "$@"; do :; done
	[ -f "$FAKE/types/${last##*/}" ] && cat "$FAKE/types/${last##*/}"
}
mount() {
	called mount "$*"
	case "$*" in
	*remount*) [ ! -f "$FAKE/write-protected" ] ;;
	*)
		for target in "$@"; do :; done
		name=${3##*/}
		if [ -f "$FAKE/unmountable-$name" ]; then
			echo 'wrong fs type' >&2
			return 32
		fi
		rmdir "$target" && ln -s "$FAKE/disks/$name" "$target"
		;;
	esac
}
umount() {
	called umount "$*"
	if [ -f "$FAKE/busy" ] && [ "$1" != -l ]; then return 32; fi
	for target in "$@"; do :; done
	rm "$target" && mkdir "$target"
}
systemctl() {
	called systemctl "$*"
	[ ! -f "$FAKE/read-only-etc" ]
}
