# shellcheck shell=sh
# Joins a Wi-Fi network of wifi.txt, by NetworkManager or wpa_supplicant. Names and passwords go through files that only
# root can read, and into no log. Which country this is stays as the image has it.

# Tries the pairs of lines one after the other; leaves what has worked. Says why not in `why_not`.
join_wifi() {
	why_not='no cable, and the disk has no wifi.txt'
	[ -f "$work/wifi" ] || return 1
	why_not='no cable, and wifi.txt names no network'
	number=0
	while IFS= read -r essid <&3; do
		case $essid in '' | *[[:cntrl:]]*) continue ;; esac
		number=$((number + 1))
		if ! IFS= read -r password <&3; then
			say "network $number of wifi.txt has no line for its password, so it is left out"
			break
		fi
		[ "$essid" != replace_with_wifi_network_name ] || continue
		is_network || continue
		step=wifi
		say "tries network $number of wifi.txt"
		status running wifi "tries network $number of wifi.txt"
		if join_network; then
			say "joined network $number of wifi.txt"
			return 0
		fi
		why_not='no cable, and no network of wifi.txt lets this device in'
	done 3<"$work/wifi"
	[ -z "$(radio_off)" ] || why_not="$why_not; Wi-Fi is switched off (rfkill), as an image is that knows no country"
	return 1
}

# IEEE 802.11 and WPA: 1 to 32 bytes; none for an open network, 8 to 63, or 64 hex digits.
is_network() {
	bytes=$(($(printf '%s' "$password" | wc -c)))
	if [ "$(($(printf '%s' "$essid" | wc -c)))" -gt 32 ]; then
		say "network $number of wifi.txt is left out: its name is longer than 32 bytes"
		return 1
	fi
	case $password in *[[:cntrl:]]*) bytes=1 ;; esac
	[ "$bytes" -ne 64 ] || matches "$password" '[0-9A-Fa-f]{64}' || bytes=1
	[ "$bytes" -eq 0 ] || { [ "$bytes" -ge 8 ] && [ "$bytes" -le 64 ]; } || {
		say "network $number of wifi.txt is left out: a password has 8 to 63 bytes, or 64 hex digits"
		return 1
	}
}

join_network() {
	if [ "$(nmcli -t -f RUNNING general 2>/dev/null)" = running ]; then
		by_network_manager
	else
		adapter=$(wifi_adapter)
		if [ -z "$adapter" ]; then
			say 'there is no Wi-Fi adapter'
			return 1
		fi
		by_wpa_supplicant
	fi
}

wifi_adapter() {
	for net in /sys/class/net/*; do
		if [ -e "$net/phy80211" ]; then
			printf '%s\n' "${net##*/}"
			return
		fi
	done
}

radio_off() {
	for switch in /sys/class/rfkill/*; do
		[ "$(cat "$switch/type" 2>/dev/null)" = wlan ] && [ "$(cat "$switch/soft")" = 1 ] && echo off
	done
}

# nm-settings-keyfile(5). The name as a list of bytes and every blank as \s, for GKeyFile takes much for syntax.
by_network_manager() {
	file=/etc/NetworkManager/system-connections/fleetsie-usb.nmconnection
	uuid=$(cat /proc/sys/kernel/random/uuid)
	{
		printf '[connection]\nid=fleetsie-usb\nuuid=%s\ntype=wifi\n\n[wifi]\nmode=infrastructure\nssid=' "$uuid"
		printf '%s' "$essid" | od -An -v -tu1 | tr -s ' \n' ';;' | sed -e 's/^;//' -e 's/;*$/;/'
		if [ -n "$password" ]; then
			printf '\n[wifi-security]\nkey-mgmt=wpa-psk\npsk='
			printf '%s\n' "$password" | sed -e 's/\\/\\\\/g' -e 's/ /\\s/g'
		fi
		printf '\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n'
	} | put "$file" 600 || return 1
	nmcli connection load "$file"
	if nmcli --wait 60 connection up uuid "$uuid" && wait_for 20 has_route; then return 0; fi
	rm -f "$file"
	nmcli connection reload
	return 1
} >/dev/null 2>&1

# wpa_supplicant.conf(5); what gives the adapter an address is what the image does that with.
by_wpa_supplicant() {
	conf=/etc/wpa_supplicant/wpa_supplicant-$adapter.conf
	country=$(sed -n 's/^[[:blank:]]*\(country=[A-Z][A-Z]\).*/\1/p' "$conf" /etc/wpa_supplicant/wpa_supplicant.conf | head -n 1)
	[ ! -f "$conf" ] || [ -f "$conf.before-fleetsie" ] || cp -p "$conf" "$conf.before-fleetsie"
	mkdir -p /etc/wpa_supplicant
	{
		printf 'ctrl_interface=DIR=/run/wpa_supplicant\n%s\n' "$country"
		printf 'network={\n\tscan_ssid=1\n\tssid='
		printf '%s' "$essid" | od -An -v -tx1 | tr -d ' \n'
		case $password in
		'') printf '\n\tkey_mgmt=NONE\n}\n' ;;
		# Behind a quote within the quotes, a # would begin a comment.
		*\"*) printf '\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256\n\tpsk=%s\n}\n' "$(raw_key)" ;;
		*)
			if [ "$bytes" -eq 64 ]; then
				printf '\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256\n\tpsk=%s\n}\n' "$password"
			else
				printf '\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk="%s"\n}\n' "$password"
			fi
			;;
		esac
	} | put "$conf" 600 || return 1
	start_adapter
	if wait_for 60 has_route; then return 0; fi
	if [ -f "$conf.before-fleetsie" ]; then mv -f "$conf.before-fleetsie" "$conf"; else rm -f "$conf"; fi
	return 1
} >/dev/null 2>&1

raw_key() {
	printf '%s\n' "$password" | wpa_passphrase "$essid" | sed -n 's/^[[:space:]]*psk=\([0-9a-f]\{64\}\)$/\1/p'
}

start_adapter() {
	if systemctl is-active --quiet dhcpcd.service; then
		# Starts wpa_supplicant itself, for the adapters that have such a file.
		systemctl restart dhcpcd.service
	elif systemctl is-active --quiet systemd-networkd.service; then
		network=/etc/systemd/network/25-fleetsie-wifi.network
		printf '[Match]\nName=%s\n\n[Network]\nDHCP=yes\n' "$adapter" | put "$network" 644
		networkctl reload
		systemctl enable "wpa_supplicant@$adapter.service"
		systemctl restart "wpa_supplicant@$adapter.service"
	else
		mkdir -p /etc/network/interfaces.d
		printf 'auto %s\niface %s inet dhcp\n\twpa-conf %s\n' "$adapter" "$adapter" "$conf" |
			put /etc/network/interfaces.d/fleetsie-wifi 644
		ifdown "$adapter"
		# Its programs run on, and systemd ends what a unit has left when the unit ends: so they get a scope of their own.
		systemd-run --quiet --scope ifup "$adapter" 9>&-
	fi
}
