#!/bin/sh
# Keeps one ssh connection to the fleet's server open. There, the port that is this device's leads to the ssh server here;
# here, port 10051 leads to the zabbix server there. Run by ssh-tunnel.service as the user with uid 1000, again and again.
#
# Exit status: 100 there is no port: this device has not been provisioned; else that of ssh.
set -u

port=$(readlink "$HOME/.ssh/fleetsie_tunnel_port") || exit 100
case $port in '' | *[!0-9]*) exit 100 ;; esac

# ssh ends when its stdin does. This one is open for writing, too, so it never does.
stdin=$RUNTIME_DIRECTORY/stdin
rm -f "$stdin"
mkfifo -m 600 "$stdin" || exit

# ssh would end where it cannot have this port: something else here, such as a zabbix proxy, has it and keeps it.
set -- -L 10051:localhost:10051
if grep -qs '^ *[0-9]*: [0-9A-F]*:2743 [0-9A-F]*:0000 0A ' /proc/self/net/tcp /proc/self/net/tcp6; then
	echo 'port 10051 is in use here, so that it does not lead to the server' >&2
	set --
fi

ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none -o ControlPath=none \
	-o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -o ExitOnForwardFailure=yes \
	-o UpdateHostKeys=no -R "localhost:$port:localhost:22" "$@" \
	fleetsie "user $(id -un)" 0<>"$stdin"
status=$?

# When the server comes back, not all of its devices shall knock at once.
sleep "$(($(od -An -N2 -tu2 /dev/urandom) % 10))"
exit "$status"
