
# inspect FORMAT NAME
inspect() { $podman container inspect --format "$1" "$2" 2>/dev/null; }

# Is there a container of exactly this name? (To podman a name that nobody has
# is the beginning of an ID.)
named() { [ "$(inspect '{{.Name}}' "$1")" = "$1" ]; }

# Is it one of bootgraph's, of this configuration?
ours() { [ "$(inspect '{{.Name}} {{index .Config.Labels "LABEL_NAME"}}' "$1")" = "$1 $name" ]; }

# made NAME HASH: and made from this description?
made() { ours "$1" && [ "$(inspect '{{index .Config.Labels "LABEL_HASH"}}' "$1")" = "$2" ]; }

# The same of secrets.
secret_label() { $podman secret inspect --format "{{.Spec.Name}} {{index .Spec.Labels \"$2\"}}" "$1" 2>/dev/null; }
secret_ours() { [ "$(secret_label "$1" LABEL_NAME)" = "$1 $name" ]; }
secret() { secret_ours "$1" && [ "$(secret_label "$1" LABEL_HASH)" = "$1 $2" ]; }

running() { [ "$(inspect '{{.State.Status}}' "$1")" = running ]; }
succeeded() { [ "$(inspect '{{.State.Status}} {{.State.ExitCode}}' "$1")" = 'exited 0' ]; }

# A job has no time limit here: podman wait has none.
finished() { $podman wait "$1" >/dev/null && succeeded "$1"; }

# listening NAME PORT: does the container itself listen on this TCP port, in
# four hexadecimal digits? The kernel tells, and no port forwarder can deceive.
listening() {
	pid=$(inspect '{{.State.Pid}}' "$1") && [ "$pid" != 0 ] &&
		grep -q "^ *[0-9]*: [0-9A-F]*:$2 [0-9A-F:]* 0A " "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6"
}

# await SECONDS COMMAND…: tries once a second.
await() {
	left=$1
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$left" -gt 0 ] || return 1
		left=$((left - 1))
		sleep 1
	done
}

warn() { echo "$0: $1" >&2; }
stop() {
	warn "$1"
	exit 1
}
