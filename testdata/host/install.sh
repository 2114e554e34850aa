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
	need chromium-headless-shell chromium chromium-browser google-chrome
	need gcc
	readers="graphviz systemd gcc"
	browser=yes
fi
if [ -z "$missing" ]; then exit 0; fi

sudo=
if [ "$(id -u)" != 0 ]; then sudo="sudo -n"; fi
common="podman runc conmon netavark aardvark-dns catatonit slirp4netns fuse-overlayfs $readers"

# quietly runs a command and shows what it said only if it failed.
quietly() {
	if out=$("$@" 2>&1); then return; fi
	printf '%s\n' "$out" >&2
	return 1
}

install() { # MANAGER PACKAGE…
	echo "installing with $1:$missing"
	case $1 in
	apt-get)
		shift
		apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y"
		# The list of packages is fetched only where it is absent or too old.
		# shellcheck disable=SC2086
		$apt install --no-install-recommends "$@" >/dev/null 2>&1 ||
			{ quietly $apt update && quietly $apt install --no-install-recommends "$@"; }
		;;
	dnf) shift && quietly $sudo dnf -q -y --setopt=install_weak_deps=False install "$@" ;;
	apk) shift && quietly $sudo apk add --quiet --update-cache "$@" ;;
	pacman) shift && quietly $sudo pacman -Sy --noconfirm --needed --quiet "$@" ;;
	zypper) shift && quietly $sudo zypper --quiet --non-interactive install --no-recommends "$@" ;;
	esac
}

# shellcheck disable=SC2086
if command -v apt-get >/dev/null; then
	install apt-get $common iptables uidmap ${browser:+chromium-headless-shell libc6-dev}
elif command -v dnf >/dev/null; then
	install dnf $common iptables-nft shadow-utils ${browser:+chromium}
elif command -v apk >/dev/null; then
	install apk $common iptables shadow shadow-subids ${browser:+chromium musl-dev}
elif command -v pacman >/dev/null; then
	install pacman $common iptables shadow ${browser:+chromium}
elif command -v zypper >/dev/null; then
	install zypper $common iptables shadow ${browser:+chromium}
else
	echo "cannot install$missing: no apt-get, dnf, apk, pacman or zypper: install these yourself" >&2
	exit 1
fi
