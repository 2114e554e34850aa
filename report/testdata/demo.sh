#!/bin/sh
# Boots demo with podman alone, for the day on which bootgraph is broken: what
# bootgraph apply would do, as podman commands.
#
# written by  bootgraph 1.2.3, plan --format sh
# boot file   /srv/boot .hcl
# made from   what was found on podman 4.3.1
#
# THE VALUES OF ENVIRONMENT VARIABLES ARE IN HERE, those that are marked as
# sensitive excepted. Keep it from who may not read them. Those that are marked
# stand on the command line of podman create while that runs.
#
# It may be run again after it has stopped. It is less than bootgraph: services
# are started one at a time, once, and never again. What is not ready in time
# stops the script where its stage blocks or aborts, and where something
# depends on it; bootgraph would try for ever in the one case, and leave out
# only what depends on it in the other.
set -eu

# Not in quotes when used, so that it can be a command with arguments:
# PODMAN='podman --root /srv/containers' sh boot.sh
podman=${PODMAN:-podman}
: "${ORDERS_API__DB_PASSWORD:?set it to the value of env.DB_PASSWORD of container orders-api}"

name=demo

# inspect FORMAT NAME
inspect() { $podman container inspect --format "$1" "$2" 2>/dev/null; }

# Is there a container of exactly this name? (To podman a name that nobody has
# is the beginning of an ID.)
named() { [ "$(inspect '{{.Name}}' "$1")" = "$1" ]; }

# Is it one of bootgraph's, of this configuration?
ours() { [ "$(inspect '{{.Name}} {{index .Config.Labels "bootgraph.name"}}' "$1")" = "$1 $name" ]; }

# made NAME HASH: and made from this description?
made() { ours "$1" && [ "$(inspect '{{index .Config.Labels "bootgraph.hash"}}' "$1")" = "$2" ]; }

# The same of secrets.
secret_label() { $podman secret inspect --format "{{.Spec.Name}} {{index .Spec.Labels \"$2\"}}" "$1" 2>/dev/null; }
secret_ours() { [ "$(secret_label "$1" bootgraph.name)" = "$1 $name" ]; }
secret() { secret_ours "$1" && [ "$(secret_label "$1" bootgraph.hash)" = "$1 $2" ]; }

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

# networks and volumes
$podman network exists shop || $podman network create --label=bootgraph.name=demo shop

# stage foundation: blocks until all of it is ready; says so every 30s

# = keep  identity: it runs as described

# > start  names: exited with code 137
ours names && $podman start names || stop 'cannot start names'

# until names is ready
await 30 listening names 1F75 || stop 'names is not ready'

# stage data: goes on if not ready; at most 2m

# + create  database: no container named database
{ made database hash-of-database || $podman create \
	--name=database \
	localhost/bootgraph/server:1; } &&
	$podman start database || stop 'cannot start database'

# + create  queue: no container named queue
{ made queue hash-of-queue || $podman create \
	--name=queue \
	localhost/bootgraph/server:1; } &&
	$podman start queue || stop 'cannot start queue'

# until database is ready
await 60 listening database 1538 || stop 'database is not ready'

# + create  migrate: no container named migrate
{ made migrate hash-of-migrate || $podman create \
	--name=migrate \
	localhost/bootgraph/server:1; } &&
	{ succeeded migrate || $podman start migrate; } || stop 'cannot start migrate'

# + create  cache: no container named cache
{ made cache hash-of-cache || $podman create \
	--name=cache \
	localhost/bootgraph/server:1; } &&
	$podman start cache || warn 'cannot start cache'

# until queue is ready
await 60 listening queue 1628 || stop 'queue is not ready'

# until migrate is ready
finished migrate || stop 'migrate is not ready'

# until cache is ready
# (not looked at: whether a line of the log matches ready to serve)
await 60 running cache || warn 'cache is not ready'

# stage shop: goes on if not ready; at most 1m

# + create  orders-api: no container named orders-api
{ made orders-api 1 || $podman create \
	--env=DB_PASSWORD="$ORDERS_API__DB_PASSWORD" \
	'it'\''s'; } &&
	$podman start orders-api || stop 'cannot start orders-api'

# ~ replace  orders-web: it was created from another description
{ ! ours orders-web || $podman rm --force orders-web; } &&
	$podman create \
	--name=orders-web \
	localhost/bootgraph/server:1 &&
	$podman start orders-web || stop 'cannot start orders-web'

# + create  catalog: no container named catalog
{ made catalog hash-of-catalog || $podman create \
	--name=catalog \
	localhost/bootgraph/server:1; } &&
	$podman start catalog || stop 'cannot start catalog'

# + create  mailer: no container named mailer
{ made mailer hash-of-mailer || $podman create \
	--name=mailer \
	localhost/bootgraph/server:1; } &&
	$podman start mailer || warn 'cannot start mailer'

# until orders is ready
# (not looked at: what http 8080 answers)
await 20 listening orders-api 1F90 &&
	await 20 listening orders-web 1F90 || stop 'orders is not ready'

# until catalog is ready
# (not looked at: what http 8080 answers)
await 20 listening catalog 1F90 || stop 'catalog is not ready'

# until mailer is ready
await 20 $podman exec mailer /server check file /mailer.ready || warn 'mailer is not ready'

# + create  frontend: no container named frontend
{ made frontend hash-of-frontend || $podman create \
	--name=frontend \
	localhost/bootgraph/server:1; } &&
	$podman start frontend || warn 'cannot start frontend'

# until frontend is ready
# (not looked at: what http 8080 answers)
await 20 listening frontend 1F90 || warn 'frontend is not ready'
