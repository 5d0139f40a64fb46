# shellcheck shell=sh
# Makes this device the one that it was claimed as. Every step can be done again, and is when a boot did not get to the end.

# Sets `user`, `group` and `home` of uid 1000; makes the user where there is none.
know_user() {
	if ! getent passwd 1000 >/dev/null; then
		# No password, and not locked: sshd without PAM would keep out a locked user's keys too.
		useradd --create-home --uid 1000 --user-group --password '*' --shell /bin/bash fleetsie ||
			fail 'there is no user with uid 1000, and none can be made (useradd)'
		if getent group sudo >/dev/null; then usermod --append --groups sudo fleetsie; fi
	fi
	entry=$(getent passwd 1000)
	user=${entry%%:*}
	group=$(printf '%s\n' "$entry" | cut -d : -f 4)
	home=$(printf '%s\n' "$entry" | cut -d : -f 6)
	[ -d "$home" ] || fail "the user $user has no home $home"
}

# set_password USER PASSWORD
set_password() {
	[ -n "$2" ] || return 0
	printf '%s:%s\n' "$1" "$2" | chpasswd 2>"$work/said" || fail "the password of $1 cannot be set: $(plain <"$work/said")"
	say "set the password of $1"
}

# password.txt: the user's on line 1, root's on line 2, or the same.
set_own_passwords() {
	[ -f "$from/password.txt" ] || return 0
	first=$(text "$from/password.txt" | sed -n 1p)
	second=$(text "$from/password.txt" | sed -n 2p)
	[ "$first" != change-this-password ] && [ -n "$first" ] || return 0
	begin passwords 'sets the passwords of password.txt'
	{ matches "$first" "$password_pattern" && matches "$second" "$password_pattern|"; } ||
		fail 'password.txt has a password with a control character, or longer than 256 bytes'
	set_password "$user" "$first"
	set_password root "${second:-$first}"
}

become() {
	begin identity "becomes $hostname"
	# Somebody may have renamed that user meanwhile.
	know_user
	name_system
	write_ssh_files
	set_password "$user" "$user_pwd"
	set_password root "$root_pwd"
	write_monitoring
	mkdir -p /opt/fleetsie
	# The server has made commas of its line breaks.
	printf '%s\n' "$fleet_extra" | tr , '\n' | put /opt/fleetsie/fleet_extra 640 "0:$group" ||
		fail '/opt/fleetsie/fleet_extra cannot be written'
}

# A host name has no underscores (RFC 952), and does not begin with a hyphen.
name_system() {
	system_name=$(printf '%s\n' "$hostname" | tr _ - | sed 's/^-*//')
	printf '%s\n' "$system_name" | put /etc/hostname 644 || fail '/etc/hostname cannot be written'
	{
		grep -v '^127\.0\.1\.1[[:blank:]]' /etc/hosts
		printf '127.0.1.1\t%s\n' "$system_name"
	} | put /etc/hosts 644 || fail '/etc/hosts cannot be written'
	if [ -d /etc/cloud/cloud.cfg.d ]; then
		printf 'preserve_hostname: true\nmanage_etc_hosts: false\n' | put /etc/cloud/cloud.cfg.d/99-fleetsie.cfg 644
	fi
	hostname "$system_name"
}

write_ssh_files() {
	ssh=$home/.ssh
	[ ! -L "$ssh" ] || fail "$ssh is a link"
	{ mkdir -p "$ssh" && chmod 700 "$ssh" && chown "1000:$group" "$ssh"; } || fail "$ssh cannot be made"
	put "$ssh/fleetsie" 600 "1000:$group" <"$kept/key" || fail "$ssh/fleetsie cannot be written"
	put "$ssh/fleetsie.pub" 644 "1000:$group" <"$kept/key.pub" || fail "$ssh/fleetsie.pub cannot be written"
	# The server's tools and ssh_tunnel.sh read the port from a link that leads nowhere.
	{
		ln -sf "$tunnel_port" "$ssh/fleetsie_tunnel_port.new" && chown -h "1000:$group" "$ssh/fleetsie_tunnel_port.new" &&
			mv -f "$ssh/fleetsie_tunnel_port.new" "$ssh/fleetsie_tunnel_port"
	} || fail "$ssh cannot be written"
	[ -z "$login_key" ] || add_line "$ssh/authorized_keys" "$login_key" 600
	add_line "$ssh/known_hosts" "$known" 600
	{
		if [ -f "$ssh/config" ]; then sed '/^# fleetsie: begin/,/^# fleetsie: end/d' "$ssh/config"; fi
		cat <<-END
			# fleetsie: begin
			Host fleetsie
			   Hostname $host
			   Port $port
			   User $fleetuser
			   StrictHostKeyChecking yes
			   HostKeyAlgorithms $key_types
			   IdentityFile ~/.ssh/fleetsie
			   IdentitiesOnly yes
			# fleetsie: end
		END
	} | put "$ssh/config" 600 "1000:$group" || fail "$ssh/config cannot be written"
}

# add_line FILE LINE MODE: once.
add_line() {
	{
		if [ -f "$1" ]; then awk -v new="$2" '$0 != new' "$1"; fi
		printf '%s\n' "$2"
	} | put "$1" "$3" "1000:$group" || fail "$1 cannot be written"
}

# For an image that has zabbix's agent or sender.
write_monitoring() {
	[ -n "$zabbix_psk" ] && [ -d /etc/zabbix ] || return 0
	owner=0:0
	if getent group zabbix >/dev/null; then owner=0:zabbix; fi
	printf '%s\n' "$zabbix_psk" | put /etc/zabbix/psk.txt 640 "$owner" || fail '/etc/zabbix/psk.txt cannot be written'
	for file in /etc/zabbix/zabbix_agentd.conf /etc/zabbix/zabbix_agent2.conf /etc/zabbix/zabbix_sender.conf; do
		[ -f "$file" ] || continue
		{
			grep -v '^TLSPSKIdentity=' "$file"
			printf 'TLSPSKIdentity=%s\n' "$fleet"
		} | put "$file" 640 "$owner" || fail "$file cannot be written"
	done
}
