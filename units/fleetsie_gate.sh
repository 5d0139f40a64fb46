# shellcheck shell=sh disable=SC3045 # Debian's sh has these limits.
# Sourced by the starter of fleetsie_auth with its arguments FLEET and LOT, before Node begins. Whoever has a disk can log
# in as often as he likes; here he waits until there is a place, and what waits is a shell, not a Node. First the whole
# request is read, so that nobody holds a place who says nothing; then one of the lot's places is waited for, which is
# held until this process ends, however it ends. Leaves the request on stdin. Without the folder of locks nobody waits:
# a claim is worth more than its turn.
#
# A lot that guesses passwords (LOT.guessing, see lib/fleet/claim/guesses.ts) has one place, waits for a short time, so
# that few of its logins are there at once, and runs when nobody else wants to: its honest devices still get in.
LC_ALL=C

# Whom the log names, as lib/fleet/claim/audit-line.ts does.
from=${SSH_CONNECTION:--}
asks="fleet=$1 lot=${2:--} hwid=- ip=${from%% *}"

refuse_claim() {
	printf 'Error\n%s\n' "$1"
	printf '%s answer=Error %s\n' "$asks" "$1" | logger -t fleetsie_auth -p auth.info 2>/dev/null || :
	exit 0
}

# Prints what came, up to the end of the request, and a word, for the newlines' sake. The end of the clock ends `read`, too;
# of a line that never ends no more is taken than there is memory for, in KiB, and of one of zeros, which a shell throws
# away, than a second of a processor is enough for.
read_claim() {
	ended=
	sleep 20 >/dev/null 2>&1 &
	clock=$!
	trap 'ended=yes' CHLD
	ulimit -d 1024
	ulimit -t 1
	request=
	form=
	while [ -z "$ended" ]; do
		# A lost last newline is forgiven.
		IFS= read -r line || form=all
		request="$request$line
"
		[ ${#request} -lt 16384 ] || break
		case $form:$line in
		:'fleetsie 2' | :'fleetsie 2'[!0-9]*) form=ours ;;
		:*) form=lines ;;
		all:* | lines:* | ours: | ours:[[:cntrl:]]) break ;;
		esac
	done
	[ -z "$ended" ] || return 0
	kill "$clock"
	printf '%swhole' "$request"
}

# Who crashes leaves no image with a password in it. A claim takes 0.2 s of a processor.
ulimit -c 0
ulimit -t 20
{ claim=$(read_claim) || refuse_claim 'a request has at most 16384 bytes'; } 2>/dev/null
[ -n "$claim" ] || refuse_claim 'no request within 20 seconds'

places=4
patience=60
if [ -e "/home/fleetsie/fleets/$1/${2:-none}.guessing" ]; then
	places=1
	patience=10
	renice -n 19 -p $$ >/dev/null 2>&1 || :
fi
# Numbers of processes that come together differ by the same step: this spreads them.
place=$((($$ * 2654435761 >> 16) % places))
if command exec 9>>"/run/fleetsie/dev/$1/.claims-${2:-none}-$place"; then
	flock -w $patience 9 || refuse_claim 'try again later: too many devices of this disk ask at once'
fi 2>/dev/null
exec <<EOF
${claim%?whole}
EOF
