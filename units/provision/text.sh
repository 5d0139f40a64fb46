# shellcheck shell=sh
# Reads what people and servers have written. Nothing of it is used before a pattern has taken it.

# The text of the file $1, as lines that end in LF, whatever an editor has made of it: CR LF, CR, a byte order mark, UTF-16
# of plain letters, NULs, no line break at the end. At most 64 KiB, or $2 bytes.
text() {
	head -c "${2-65536}" "$1" | tr -d '\000' | sed -e "1s/^$utf8_mark//" -e "1s/^$utf16_mark//" -e "s/$cr\$//" | tr '\r' '\n' |
		awk 1
}

# line N FILE: without blanks around it.
line() {
	text "$2" | sed -n -e "$1{s/^[[:blank:]]*//;s/[[:blank:]]*\$//;p;}"
}

# matches TEXT PATTERN: the whole text is one line that the extended regular expression takes.
matches() {
	case $1 in *"$nl"*) return 1 ;; esac
	printf '%s\n' "$1" | grep -Eqx -e "$2"
}

# Something to show of what others have said on stdin: the last line, printable characters, not many.
plain() {
	sed -e '/^[[:space:]]*$/d' | tail -n 1 | tr -cd ' -~' | cut -c 1-200
}

# Reads fleet.txt into `host`, `port`, `fleet`, `known` (the known_hosts line) and `key_types`.
read_fleet() {
	given=$(line 1 "$1")
	fleet=$(line 2 "$1")
	known=$(line 3 "$1")
	[ -n "$given" ] || fail 'fleet.txt has no line 1: the name of the server'
	[ -n "$fleet" ] || fail 'fleet.txt has no line 2: the name of the fleet'
	[ -n "$known" ] || fail "fleet.txt has no line 3: the server's host key, as a line of known_hosts"
	port=22
	case $given in
	\[*\]:*)
		host=${given#\[}
		host=${host%%\]*}
		port=${given##*\]:}
		;;
	\[*\])
		host=${given#\[}
		host=${host%\]}
		;;
	*:*:*) host=$given ;;
	*:*)
		host=${given%:*}
		port=${given##*:}
		;;
	*) host=$given ;;
	esac
	# As ssh does before it looks the name up.
	host=$(printf '%s\n' "$host" | tr '[:upper:]' '[:lower:]')
	{ matches "$host" '[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?|[0-9a-f:.]{2,45}' && is_port "$port"; } ||
		fail 'line 1 of fleet.txt is no server: a host name or an address, and :PORT if it is not 22'
	matches "$fleet" '[A-Za-z0-9_]{1,23}' ||
		fail 'line 2 of fleet.txt is no fleet: 1 to 23 letters, digits and underscores'
	matches "$known" "[]A-Za-z0-9|+/=.:,*?[-]+ +$key_pattern" ||
		fail "line 3 of fleet.txt is no line of known_hosts: HOST TYPE KEY"
	printf '%s\n' "$known" >"$work/known_hosts"
	name=$host
	[ "$port" = 22 ] || name="[$host]:$port"
	{ ssh-keygen -F "$name" -f "$work/known_hosts" >"$work/found" 2>&1 && [ -s "$work/found" ]; } ||
		fail "line 3 of fleet.txt is not the host key of $name, which line 1 names"
	key_types=$(printf '%s\n' "$known" | sed -e 's/^[^ ]* *//' -e 's/ .*//')
	[ "$key_types" != ssh-rsa ] || key_types=rsa-sha2-512,rsa-sha2-256
}

is_port() {
	matches "$1" '[1-9][0-9]{0,4}' && [ "$1" -le 65535 ]
}
