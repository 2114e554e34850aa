#!/bin/sh
# Installs what the tests and the demo need to run containers, if it is not
# there yet: Podman (4 or newer, with netavark) and what it needs rootless.
#
#   install.sh           for the demo
#   install.sh --test    also graphviz, systemd-analyze and a headless Chromium,
#                        which read the DOT output, the unit of the agent and
#                        its page in tests, and gcc for the race detector
#
# It is run by `make test` and `make demo`, asks nothing, and says what it
# installs in one line. The line of apt is the one that is tested.
set -eu

# Helpers of podman are not in PATH, and sbin is not in that of every user.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/libexec/podman:/usr/lib/podman:/usr/lib/bin
missing=
need() { # PROGRAM…: one of them
	for program; do
		if command -v "$program" >/dev/null; then return; fi
	done
	missing="$missing $1"
}
# need_browser passes over Ubuntu's chromium-browser, a script that asks for a
# snap; a browser in a snap doesn't see what a test writes for it.
need_browser() {
	for program in chromium-headless-shell chromium chromium-browser google-chrome; do
		if path=$(command -v "$program") && ! head -c 4096 "$path" | grep -aq /snap/; then return; fi
	done
	browser=chromium
}
need podman
need runc crun
need conmon
need netavark
need aardvark-dns
need catatonit
need iptables nft
need newuidmap
need slirp4netns pasta
need fuse-overlayfs
readers=
browser=
if [ "${1-}" = --test ]; then
	need dot
	need systemd-analyze
	need_browser
	need gcc
	readers="graphviz systemd gcc"
fi
if [ -z "$missing$browser" ]; then exit 0; fi

sudo=
if [ "$(id -u)" != 0 ]; then sudo="sudo -n"; fi
common="podman runc conmon netavark aardvark-dns catatonit slirp4netns fuse-overlayfs $readers"

# quietly runs a command and shows what it said only if it failed.
quietly() {
	if out=$("$@" 2>&1); then return; fi
	printf '%s\n' "$out" >&2
	return 1
}

# shellcheck disable=SC2086
install() { # MANAGER PACKAGE…
	echo "installing with $1:$missing${browser:+ $browser}"
	case $1 in
	apt-get)
		shift
		apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y"
		# The list of packages is fetched only where it is absent or too old.
		$apt install --no-install-recommends "$@" >/dev/null 2>&1 ||
			{ quietly $apt update && quietly $apt install --no-install-recommends "$@"; }
		;;
	dnf) shift && quietly $sudo dnf -q -y --setopt=install_weak_deps=False install "$@" ;;
	apk) shift && quietly $sudo apk add --quiet --update-cache "$@" ;;
	pacman) shift && quietly $sudo pacman -Sy --noconfirm --needed --quiet "$@" ;;
	zypper) shift && quietly $sudo zypper --quiet --non-interactive install --no-recommends "$@" ;;
	esac
}

# apt_browser is the package of a Chromium: Debian has both, Ubuntu none, but one
# that installs a snap.
apt_browser() {
	for package in chromium-headless-shell chromium; do
		if apt-cache show "$package" 2>/dev/null | grep -q ^Version && ! apt-cache depends "$package" | grep -q snap; then
			echo "$package"
			return
		fi
	done
}

# no_browser lets all else be installed and tested.
no_browser() {
	echo "apt has no Chromium but in a snap: install one yourself, as chromium or google-chrome; until then the tests of the page fail" >&2
	if [ -z "$missing" ]; then exit 0; fi
}

# shellcheck disable=SC2086
if command -v apt-get >/dev/null; then
	if [ -n "$browser" ]; then
		browser=$(apt_browser)
		if [ -z "$browser" ]; then
			quietly $sudo apt-get -q update
			browser=$(apt_browser)
		fi
		if [ -z "$browser" ]; then no_browser; fi
	fi
	install apt-get $common iptables uidmap ${readers:+libc6-dev} $browser
elif command -v dnf >/dev/null; then
	install dnf $common iptables-nft shadow-utils $browser
elif command -v apk >/dev/null; then
	install apk $common iptables shadow shadow-subids ${readers:+musl-dev} $browser
elif command -v pacman >/dev/null; then
	install pacman $common iptables shadow $browser
elif command -v zypper >/dev/null; then
	install zypper $common iptables shadow $browser
else
	echo "cannot install$missing${browser:+ $browser}: no apt-get, dnf, apk, pacman or zypper: install these yourself" >&2
	exit 1
fi
