# Beside fake-system.sh: what else of a device fleetsie_provision asks, in a root of its own. Every call that leaves
# something behind is a step; when there is $FAKE/power-cut, everything is killed at the step whose number it holds.
step_taken() {
	steps=$(($(cat "$FAKE/steps" 2>/dev/null) + 1))
	echo "$steps" >|"$FAKE/steps"
	if [ "$(cat "$FAKE/power-cut" 2>/dev/null)" = "$steps" ]; then
		rm "$FAKE/power-cut"
		# All but the first process of the namespace, which hears nothing.
		/usr/bin/env kill -9 -1
	fi
}
id() { if [ $# -eq 1 ] && [ "$1" = -u ]; then echo 0; else command id "$@"; fi; }
sync() { step_taken; }
hostname() {
	step_taken
	printf '%s\n' "$1" >"$FAKE/hostname"
	if [ -f "$FAKE/pull-at-hostname" ]; then mv "$FAKE/disks/fake-sda1/fleetsie" "$FAKE/pulled"; fi
}
systemctl() {
	step_taken
	called systemctl "$*"
	case $1 in
	cat) case $2 in ssh.service) ;; *) return 1 ;; esac ;;
	restart)
		# The network that lets this device in is one line of wpa_supplicant's file.
		case $2 in
		wpa_supplicant@* | dhcpcd.*)
			grep -qxf "$FAKE/network" /etc/wpa_supplicant/wpa_supplicant-wlan0.conf && rm -f "$FAKE/no-route"
			;;
		esac
		;;
	is-active) for last in "$@"; do :; done; grep -qx "$last" "$FAKE/active" 2>/dev/null ;;
	*) [ ! -f "$FAKE/refuses-${1}" ] ;;
	esac
}
timedatectl() { cat "$FAKE/clock" 2>/dev/null || echo yes; }
ip() {
	case $* in
	*default*)
		if [ "$1" = -4 ] && [ -f "$FAKE/unplugged" ]; then echo 'default via 192.0.2.254 dev eth0 linkdown'; fi
		if [ "$1" = -4 ] && [ ! -f "$FAKE/no-route" ]; then echo 'default via 192.0.2.254 dev eth0'; fi
		;;
	esac
	return 0
}
networkctl() { called networkctl "$*"; }
ifdown() { called ifdown "$*"; }
nmcli() {
	called nmcli "$*"
	case $* in
	*RUNNING*) cat "$FAKE/networkmanager" 2>/dev/null ;;
	*'connection up'*)
		# The network that lets this device in is one line of its keyfile.
		grep -qxf "$FAKE/network" /etc/NetworkManager/system-connections/*.nmconnection || return 4
		rm -f "$FAKE/no-route"
		;;
	esac
}
