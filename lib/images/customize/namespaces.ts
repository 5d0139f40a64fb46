/**
 * The programs, in POSIX sh, that build the namespaces around a script of an image. They are constants: what varies
 * comes as arguments and environment, so that no name can become a command.
 *
 *   attach (root only, own mount namespace)   loop devices, freed with the namespace
 *   enter  (outside)                          a user namespace, and the end of everything when our process ends
 *   stage  (user, mount, pid)                 emulator, overlays, and after the script their upper folders as tar files
 *   inside (mount, pid, ipc, uts, net)        /proc, /dev, and the steps in a chroot
 *
 * Each writes into the file `steps` what it is about to do: after a failure, its last line is where it happened.
 */

/** $1: how many file systems; for each: image, offset, size, target. Then the command. A mount that fails is left to FUSE. */
export const attachScript = `
set -u
count=$1
shift
while [ "$count" -gt 0 ]; do
  mount -n -t ext4 -o "ro,noload,nodev,loop,offset=$2,sizelimit=$3" -- "$1" "$4" ||
    echo "no loop device for $4: FUSE is tried instead" >&2
  shift 4
  count=$((count - 1))
done
exec "$@"
`

/**
 * $1: 'root' maps every user to itself; 'user' maps us to root and the ranges $2 $3 (users) and $4 $5 (groups) after it.
 * $6: a folder to remove when our process is gone, or nothing. Then the command, which runs in that user namespace.
 * stdin stays open as long as our process lives.
 */
export const enterScript = `
set -u
exec 3<&0 </dev/null
how=$1 uids=$2 uidcount=$3 gids=$4 gidcount=$5 leftover=$6
shift 6
step() { echo "$1" >>steps; }
holder=
child=

# A process that does nothing but keep a user namespace.
make_namespace() {
  "$@" <&3 >/dev/null &
  holder=$!
  own=$(readlink /proc/self/ns/user)
  while [ "$(readlink "/proc/$holder/ns/user")" = "$own" ]; do
    kill -0 "$holder" 2>/dev/null || break
  done
  [ -n "$(readlink "/proc/$holder/ns/user")" ] || exit 125
  step map
  if [ "$how" = root ]; then
    # All that we have ourselves: in a container that is not everything.
    for kind in gid uid; do
      map=$(while read -r first _ count; do echo "$first $first $count"; done <"/proc/self/\${kind}_map")
      printf '%s\\n' "$map" >"/proc/$holder/\${kind}_map" || exit 125
    done
  else
    newuidmap "$holder" 0 "$(id -u)" 1 1 "$uids" "$uidcount" || exit 125
    newgidmap "$holder" 0 "$(id -g)" 1 1 "$gids" "$gidcount" || exit 125
  fi
}

# The first process of the pid namespace takes all others with it.
end() {
  kill -KILL "$(cat pid 2>/dev/null || echo "$child")" 2>/dev/null
}

step namespace
make_namespace unshare --user -- cat
nsenter --user="/proc/$holder/ns/user" -- "$@" 3<&- &
child=$!
trap 'end' TERM INT HUP
{
  cat <&3 >/dev/null
  end
} &
watcher=$!
wait "$child"
code=$?
# A trap ends the first wait.
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
if kill -0 "$watcher" 2>/dev/null; then
  kill "$watcher" "$holder" 2>/dev/null
elif [ -n "$leftover" ] && [ "$how" = user ]; then
  # Nobody else could remove what belongs to other users of the range.
  make_namespace unshare --user -- sleep 600
  nsenter --user="/proc/$holder/ns/user" -- rm -rf -- "$leftover"
  kill "$holder"
fi
exit "$code"
`

/**
 * In the folder of the run. For each partition six arguments: kind (ext, fat), number, mount point, mode and owner
 * of the top folder, offset on the disk; then '--' and the arguments of `inside`. Environment: `inside` as CUSTOMIZE_INSIDE,
 * CUSTOMIZE_NETWORK (yes, no), CUSTOMIZE_EMULATOR (a registration, or nothing) and CUSTOMIZE_ARCHITECTURE.
 */
export const stageScript = `
set -eu
umask 022
# Read through the outer /proc: the number by which the outside knows us.
read -r pid rest </proc/self/stat
echo "$pid" >pid
step() { echo "$1" >>steps; }

overlay() {
  mkdir -p "$1/up/upper" "$1/up/work" &&
    chown "$3" "$1/up/upper" &&
    chmod "$2" "$1/up/upper" &&
    tar --extract --file="$1/seed.tar" --directory="$1/up/upper" \\
      --same-owner --same-permissions --numeric-owner --xattrs --xattrs-include='*' &&
    mount -n -t overlay -o "userxattr,nodev,lowerdir=$1/lower,upperdir=$1/up/upper,workdir=$1/up/work" overlay "$4"
}

numbers=
while [ "$1" != -- ]; do
  kind=$1 number=$2 at=$3 mode=$4 owner=$5 offset=$6
  shift 6
  numbers="$numbers $number"
  if [ "$kind" = ext ]; then
    step lower
    mountpoint -q "$number/lower" ||
      fuse2fs -o "ro,norecovery,allow_other,nodev,offset=$offset" disk "$number/lower" >&2
    step overlay
    # The folder may lie on an overlay itself, or where no user attributes can be kept.
    overlay "$number" "$mode" "$owner" "root/$at" || {
      mount -n -t tmpfs -o mode=755 tmpfs "$number/up"
      overlay "$number" "$mode" "$owner" "root/$at"
    }
  else
    step overlay
    mkdir -p "$number/up/upper"
    tar --extract --file="$number/seed.tar" --directory="$number/up/upper" --no-same-owner
    mount -n --bind "$number/up/upper" "root/$at"
    mount -n -o remount,bind,nosuid,nodev "root/$at"
  fi
done
shift

if [ -n "$CUSTOMIZE_EMULATOR" ]; then
  step emulator
  mkdir binfmt
  if mount -n -t binfmt_misc binfmt_misc binfmt; then
    printf '%s' "$CUSTOMIZE_EMULATOR" >binfmt/register
  else
    # Before Linux 6.7 only the host can have a registration; one that it has already is as good.
    grep -q '^flags:.*F' "/proc/sys/fs/binfmt_misc/qemu-$CUSTOMIZE_ARCHITECTURE"
  fi
fi

step setup
net=--net
[ "$CUSTOMIZE_NETWORK" = yes ] && net=--ipc
code=0
unshare --mount --propagation private --pid --ipc --uts "$net" --fork --kill-child -- \\
  sh -c "$CUSTOMIZE_INSIDE" sh "$@" || code=$?
[ "$code" = 0 ] || exit "$code"

step capture
for number in $numbers; do
  tar --create --file="$number/changes.tar" --format=posix --numeric-owner --xattrs --xattrs-include='*' \\
    --directory="$number/up/upper" .
done
step end
`

/**
 * $1 to $4: where proc, dev, run and tmp are in the tree. $5: where resolv.conf is. $6: SOURCE_DATE_EPOCH. $7: what
 * runs the script, `shell` or `itself`. The folder `in` becomes /run/fleetsie; its `packages` and `script` are run.
 */
export const insideScript = `
set -eu
umask 022
exec 4>>steps
step() { echo "$1" >&4; }
proc=$1 dev=$2 run=$3 tmp=$4 resolv=$5 epoch=$6 how=$7

hostname fleetsie
[ "$CUSTOMIZE_NETWORK" = yes ] || ip link set lo up
script=
[ ! -e in/script ] || script=/run/fleetsie/script
set --
for deb in in/packages/*; do
  [ ! -e "$deb" ] || set -- "$@" "/run/fleetsie/packages/\${deb##*/}"
done

cd root
mount -n -t proc -o nosuid,nodev,noexec proc "$proc"
# The host's settings are not the image's.
for path in sys sysrq-trigger irq bus; do
  [ -e "$proc/$path" ] || continue
  mount -n --bind "$proc/$path" "$proc/$path"
  mount -n -o remount,bind,ro,nosuid,nodev,noexec "$proc/$path"
done
mount -n -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$dev"
for name in null zero full random urandom tty; do
  : >"$dev/$name"
  mount -n --bind "/dev/$name" "$dev/$name"
done
mkdir "$dev/pts" "$dev/shm"
mount -n -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$dev/pts"
mount -n -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$dev/shm"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
ln -s fd/0 "$dev/stdin"
ln -s fd/1 "$dev/stdout"
ln -s fd/2 "$dev/stderr"
mount -n -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$run"
mkdir "$run/lock" "$run/fleetsie"
chmod 1777 "$run/lock"
mount -n --bind ../in "$run/fleetsie"
mount -n -o remount,bind,ro,nosuid,nodev "$run/fleetsie"
mount -n -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$tmp"
if [ "$CUSTOMIZE_NETWORK" = yes ]; then
  case $resolv in
    "$run"/*)
      mkdir -p "\${resolv%/*}"
      cp ../in/resolv.conf "$resolv"
      ;;
    *) mount -n --bind ../in/resolv.conf "$resolv" ;;
  esac
fi
# Over the root of this namespace: whoever leaves the chroot is in it again.
mount -n --move . /

# Rights over this namespace only, and none to mount: neither the host's files nor its disks can be reached. The first
# process stays outside of the chroot, where without sys_ptrace nobody can follow it.
rights=-all
for right in chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot \\
  mknod audit_write setfcap sys_nice ipc_lock ipc_owner; do
  rights="$rights,+$right"
done
chrooted() {
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TZ=UTC \\
    "SOURCE_DATE_EPOCH=$epoch" DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true \\
    DPKG_FORCE=confdef,confold,unsafe-io SYSTEMD_OFFLINE=1 \\
    setsid --wait setpriv --inh-caps=-all --bounding-set="$rights" chroot . "$@" </dev/null >&2 4>&-
}

if [ $# -gt 0 ]; then
  step packages
  if [ "$CUSTOMIZE_NETWORK" = yes ]; then
    chrooted apt-get update
    chrooted apt-get install --yes --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
  else
    chrooted dpkg -i "$@"
  fi
fi
if [ -n "$script" ]; then
  step script
  if [ "$how" = shell ]; then chrooted /bin/sh "$script"; else chrooted "$script"; fi
fi
`
