#!/bin/sh
# Stands for ssh and the fleet's server behind it: claims of $FAKE/server/otps (lines `ID OTP`), by the answers of the
# documented protocol. $FAKE/fails: what it says instead, one line of stderr a call. $FAKE/cuts: so many bytes of the
# next answers arrive, one number a line. With $FAKE/power-cut-at-ok
# everything is killed when the server has given a place away. $FAKE/reply: the next answer, whatever was asked, with the
# device's own key for `ssh-ed25519 KEY`. Arguments go to $FAKE/ssh-calls.
printf '%s\n' "$*" >>"$FAKE/ssh-calls"
if [ -s "$FAKE/fails" ]; then
	head -n 1 "$FAKE/fails" >&2
	sed -i 1d "$FAKE/fails"
	exit 255
fi
cat >"$FAKE/asked"
answer() {
	for last in "$@"; do :; done
	if [ -f "$FAKE/reply" ]; then
		sed "s#ssh-ed25519 KEY#$(sed -n 's/^key: //p' "$FAKE/asked")#" "$FAKE/reply"
		rm "$FAKE/reply"
		return
	fi
	if [ "$last" = check ]; then
		key=$(ssh-keygen -y -f "$(printf '%s\n' "$*" | sed 's/.*IdentityFile=\([^ ]*\).*/\1/')" | cut -d ' ' -f 1,2)
		for file in "$FAKE"/server/claim-*; do
			[ "$(sed -n 3p "$file")" = "$key" ] && echo "ok ${FLEET-field}-${file##*-}"
		done
		return
	fi
	[ "$(sed -n 1p "$FAKE/asked")" = 'fleetsie 2' ] && [ -z "$(sed -n 5p "$FAKE/asked")" ] || exit 1
	hwid=$(sed -n 's/^hwid: //p' "$FAKE/asked")
	otp=$(sed -n 's/^otp: //p' "$FAKE/asked")
	key=$(sed -n 's/^key: //p' "$FAKE/asked")
	id=$(sed -n "s/ $otp\$//p" "$FAKE/server/otps")
	[ -n "$id" ] || { echo Bad && return; }
	claim=$FAKE/server/claim-$id
	wanted=$(printf '%s\n%s\n%s' "$hwid" "$otp" "$key")
	if [ ! -f "$claim" ]; then
		if grep -lqx "$hwid" "$FAKE"/server/claim-* 2>/dev/null; then
			printf 'Error\nhardware id %s already registered\n' "$hwid"
			return
		fi
		printf '%s\n' "$wanted" >"$claim"
	elif [ "$(cat "$claim")" != "$wanted" ]; then
		while read -r free otp; do
			[ -f "$FAKE/server/claim-$free" ] || { printf 'Try\n%s\n' "$free" && return; }
		done <"$FAKE/server/otps"
		echo Full
		return
	fi
	printf 'Ok\n%s\n%s\n%s\n%s\n%s\n%s\n\n%s\n%s\n%s\n' "${USER_PWD-}" "${ROOT_PWD-}" "${FLEET-field}-$id" \
		"fleetsie_${FLEET-field}" "$((20000 + id))" "$key" "$(cat "$FAKE/server/login-key")" "${PSK-}" "${EXTRA-}"
}
answer "$@" >"$FAKE/answer"
if [ -f "$FAKE/power-cut-at-ok" ] && grep -qx Ok "$FAKE/answer"; then
	rm "$FAKE/power-cut-at-ok"
	/usr/bin/env kill -9 -1
fi
if [ -s "$FAKE/cuts" ]; then
	head -c "$(head -n 1 "$FAKE/cuts")" "$FAKE/answer"
	sed -i 1d "$FAKE/cuts"
	exit 255
fi
cat "$FAKE/answer"
