#!/bin/sh
# An image changed without fleetsie: all of it decompressed, mounted, copied into, compressed.
#   seed.sh STOCK.img.xz OVERLAYS OUTPUT.img.xz
# OVERLAYS holds part_1, part_2, ... Without root, or where the kernel cannot mount it, debugfs and mtools do the copying.
set -eu
stock=$1 overlays=$2 output=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
disk=$tmp/disk.img

xz -dc -T0 "$stock" > "$disk"

mounted() { # OFFSET SIZE
    mkdir -p "$tmp/mnt"
    [ "$(id -u)" = 0 ] && mount -o "loop,offset=$1,sizelimit=$2" "$disk" "$tmp/mnt" 2> "$tmp/why"
}

by_debugfs() { # FOLDER OFFSET
    (cd "$1" && find . -mindepth 1 -type d) | sed 's/^\.\(.*\)/mkdir "\1"/' > "$tmp/commands"
    (cd "$1" && find . -type f) | sed "s|^\.\(.*\)|rm \"\1\"\nwrite \"$1\1\" \"\1\"|" >> "$tmp/commands"
    debugfs -w -f "$tmp/commands" "$disk?offset=$2" > "$tmp/log" 2>&1
}

sfdisk --dump "$disk" | sed -n 's/.*start= *\([0-9]*\), size= *\([0-9]*\).*/\1 \2/p' > "$tmp/parts"
n=0
while read -r start size; do
    n=$((n + 1))
    folder=$overlays/part_$n
    [ -d "$folder" ] || continue
    if mounted $((start * 512)) $((size * 512)); then
        cp -R "$folder/." "$tmp/mnt/"
        umount "$tmp/mnt"
    elif [ "$(blkid -p -O $((start * 512)) -o value -s TYPE "$disk")" = vfat ]; then
        mcopy -s -Q -o -i "$disk@@$((start * 512))" "$folder"/* ::/
    else
        by_debugfs "$folder" $((start * 512))
    fi
done < "$tmp/parts"

xz -6 -T0 -c "$disk" > "$output"
