package main

import (
	"fmt"
	"strings"

	"bootgraph/config"
)

// unitMark begins the units that are ours to replace and to remove.
const unitMark = "# written by bootgraph enable"

// unit is the text of the unit. It is not made of a template: text/template
// calls methods by name, so the linker keeps every method there is, and the
// binary, most of which is in memory, is larger by a sixth.
func (m *systemd) unit(file *config.File, command []string) (string, error) {
	words := make([]string, len(command))
	for i, word := range command {
		if strings.ContainsAny(word, "\n\r") {
			return "", fmt.Errorf("cannot write a unit: %q has a line break in it", word)
		}
		words[i] = quoteForUnit(word, i == 0)
	}
	var b strings.Builder
	fmt.Fprintf(&b, unitHead, unitMark, file.Name, file.Name)
	target := "default.target"
	if !m.user {
		target = "multi-user.target"
		b.WriteString(unitNetwork)
	}
	fmt.Fprintf(&b, unitService, strings.Join(words, " "))
	remote := strings.ReplaceAll(m.app.connectionOf(file), "%", "%%")
	switch {
	case remote == "":
		b.WriteString(unitOwnPodman)
	case m.user:
		fmt.Fprintf(&b, unitRemote, remote)
	default:
		fmt.Fprintf(&b, unitRemote+unitRemoteSystem, remote)
	}
	fmt.Fprintf(&b, unitInstall, target)
	return b.String(), nil
}

// quoteForUnit writes a word as systemd.service(5) reads it.
func quoteForUnit(word string, executable bool) string {
	word = strings.ReplaceAll(word, "%", "%%")
	if !executable { // variables are expanded in arguments only
		word = strings.ReplaceAll(word, "$", "$$")
	}
	if word != "" && !strings.ContainsAny(word, " \t\"'\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

const unitHead = `%s for %s; bootgraph disable removes it.
[Unit]
Description=bootgraph agent of %s
`

const unitNetwork = `Wants=network-online.target
After=network-online.target
`

const unitService = `# Whoever starts it again after a failure boots what is not up yet, and leaves the rest.
StartLimitIntervalSec=0

[Service]
# READY=1 comes when the boot is through. A foundation may wait for longer than any limit: the
# agent asks for more time (EXTEND_TIMEOUT_USEC) as long as it boots.
Type=notify
NotifyAccess=main
ExecStart=%s
TimeoutStartSec=90s
TimeoutStopSec=90s
WatchdogSec=60s
Restart=on-failure
RestartSec=10s
SuccessExitStatus=129 130 143
# The signal is for the agent alone. Containers, and the conmon of each, outlive it.
KillMode=process
# One container out of memory is no reason to end the agent.
OOMPolicy=continue
UMask=0077
StandardInput=null
`

// unitRemote is where the agent is not what starts containers.
const unitRemote = `# Podman is a service of its own (%s): nothing that is closed here is closed to containers.
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
`

const unitRemoteSystem = `CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE
ProtectSystem=full
ProtectHome=read-only
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
`

// unitOwnPodman is where the agent may run Podman itself.
const unitOwnPodman = `# Where no Podman service listens, the agent runs one itself, and containers inherit from it. So
# none of these can be set here: what makes a mount namespace (ProtectSystem=, PrivateTmp= …: the
# mounts of containers would be seen by nobody else), system call filters and
# NoNewPrivileges= (which rootless Podman's newuidmap, and containers, would be under), a bounding
# set of capabilities. With --connection unix://…, bootgraph enable sets them.
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
`

const unitInstall = `
[Install]
WantedBy=%s
`
