# shellcheck shell=sh
# Finds the disk and mounts it.

# The names of the disks that hold the system: of what / and /boot are mounted from, with all that lies beneath.
system_disks() {
	for target in / /boot /boot/firmware; do
		source=$(findmnt --noheadings --first-only --output SOURCE --mountpoint "$target") || continue
		# A subvolume is shown as /dev/sda2[/root].
		source=${source%%\[*}
		case $source in /dev/*) lsblk --noheadings --list --inverse --paths --output NAME "$source" ;; esac
	done
}

# Every disk and partition with a filesystem, one name a line; none of the system's disks.
candidates() {
	system=$(system_disks)
	lsblk --noheadings --list --paths --output NAME,TYPE,PKNAME | sort | while read -r name type parent; do
		case $type in disk | part) ;; *) continue ;; esac
		for used in $system; do
			if [ "$name" = "$used" ] || [ "$parent" = "$used" ]; then continue 2; fi
		done
		# Asks the disk, not udev, which may not have got to it yet.
		kind=$(blkid --probe --match-tag TYPE --output value "$name") || continue
		case $kind in '' | swap | crypto_LUKS | *_member) continue ;; esac
		printf '%s\n' "$name"
	done
}

unmount() {
	[ -n "$mounted" ] || return 0
	sync
	if ! umount "$mounted"; then
		say "$mounted is still in use; it goes away when that ends"
		umount -l "$mounted"
	fi
	rmdir "$mounted"
	mounted=
}

# Sets `top` to where the disk $1 is mounted. Mounts it if need be, for reading only: most disks are none of ours.
attach() {
	top=$(findmnt --noheadings --list --first-only --output TARGET --source "$1") && [ -n "$top" ] && return 0
	top=$(mktemp -d "$folder/disk.XXXXXX") || return 1
	if mount -o ro,nosuid,nodev "$1" "$top" 2>"$folder/complaint"; then
		mounted=$top
		return 0
	fi
	rmdir "$top"
	case " $complained " in
	*" $1 "*) ;;
	*)
		say "$1 cannot be mounted: $(cat "$folder/complaint")"
		complained="$complained $1"
		;;
	esac
	return 1
}

# Waits for a disk with fleetsie/setup or fleetsie/fleet.txt and leaves it mounted at `top`.
find_disk() {
	seen=
	wait_for "$seconds" look_for_disk
}

look_for_disk() {
	still=
	for disk in $(candidates); do
		case " $seen " in
		*" $disk "*)
			still="$still $disk"
			continue
			;;
		esac
		# One that could not be mounted is tried again: somebody else may have been about to mount it.
		attach "$disk" || continue
		if [ -f "$top/fleetsie/setup" ] || [ -f "$top/fleetsie/fleet.txt" ]; then return 0; fi
		[ -d "$top/fleetsie" ] && say "$disk has a folder fleetsie, but neither setup nor fleet.txt in it"
		unmount
		still="$still $disk"
	done
	# A name that is gone may come back as another disk.
	seen=$still
	return 1
}
