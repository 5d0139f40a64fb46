# shellcheck shell=sh
# Runs what the disk brings: `setup`, and the user's own folder.

# Runs ./setup of the working directory; its status is that of setup.
run_setup() {
	line=$(head -n 1 setup | tr -d '\000')
	text=${line%"$cr"}
	if [ -x setup ] && [ "$text" = "$line" ]; then
		./setup
		return
	fi
	case $text in
	"$(printf '\177')"ELF*)
		say 'setup is a program, but not executable here: give it the mode 0755, on a filesystem that keeps modes'
		return 126
		;;
	'#!'*) text=${text#??} ;;
	*) text=/bin/sh ;;
	esac
	# As words: the interpreter and what is to be said to it.
	set -f
	# shellcheck disable=SC2086
	set -- $text
	set +f
	if [ "$line" != "${line%"$cr"}" ]; then
		for word in "$@"; do
			case ${word##*/} in
			sh | ash | bash | dash | ksh | zsh)
				# A shell takes the CR as a part of each command. Not a copy of the file: $0 has to stay ./setup.
				"$@" -c "$(sed "s/$cr\$//" setup)" ./setup
				return
				;;
			esac
		done
	fi
	"$@" ./setup
}

# setup_in STEP FOLDER NAME: what it leaves running must not keep the lock.
setup_in() {
	begin "$1" "runs $3 of $disk"
	(cd "$2" && run_setup) 9>&-
	code=$?
	[ "$code" -eq 0 ] || fail "$3 has failed with status $code"
}

# The user's own folder, by the document's name or by one of the older ones.
customize() {
	for own in "$top/fleetsie/customize" "$top/fleetsie/custom" "$top/fleetsie/custom_post" "$top/custom_post"; do
		[ -d "$own" ] || continue
		[ -f "$own/setup" ] && setup_in customize "$own" "${own#"$top"/}/setup"
		case $own in */customize) ;; *) older_custom "$own" ;; esac
		return 0
	done
}

# What the older names promise besides `setup`. As there, a failure of these is told and no more.
older_custom() {
	for package in "$1"/packages/*.deb; do
		[ -f "$package" ] || continue
		dpkg -i "$package" 9>&- || say "${package#"$top"/} could not be installed"
	done
	if [ -f "$1/overlay.tar.xz" ]; then
		tar -xJf "$1/overlay.tar.xz" -C / 9>&- || say 'overlay.tar.xz could not be unpacked whole'
	fi
	if [ -f "$1/cleanup" ]; then
		(cd "$1" && sh ./cleanup) 9>&- || say 'cleanup has failed'
	fi
}
