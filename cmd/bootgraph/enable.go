package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bootgraph/agent"
	"bootgraph/config"
)

// systemd is the manager of the system, or that of a user.
type systemd struct {
	app  *app
	user bool
	dir  string // where units go; "": where the manager looks for them
}

func unitFlags(cmd *cobra.Command, m *systemd) {
	cmd.Flags().BoolVar(&m.user, "user", false, "of this user's manager, not of the system's")
	cmd.Flags().StringVar(&m.dir, "unit-dir", "", "the `directory` of the unit, for packages and images; the manager is not told then")
}

func (a *app) enableCommand() *cobra.Command {
	m := systemd{app: a}
	cmd := bootFileArgs(&cobra.Command{
		Use:   "enable [FILE|DIR]",
		Short: "Have systemd run the agent at power-on",
		Long: `enable writes a systemd unit for the agent of a boot file and enables it; it does not
start it. It touches nothing else. Where systemd does not run, it says what to run
once it does.

The unit does not have your environment: what the boot file needs of it (env("X"))
has to be in a file of variables (--var-file), which only its user should be able
to read.`,
	})
	unitFlags(cmd, &m)
	http := cmd.Flags().String("http", "", "passed on to the agent")
	listen := cmd.Flags().StringArray("listen", nil, "passed on to the agent, as are --tls-cert, --tls-key, --tls-client-ca (repeatable)")
	cert := cmd.Flags().String("tls-cert", "", "see bootgraph agent")
	key := cmd.Flags().String("tls-key", "", "see bootgraph agent")
	ca := cmd.Flags().String("tls-client-ca", "", "see bootgraph agent")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(a.vars) > 0 {
			return errors.New("cannot put --var into a unit, which everybody can read: write it into a file, and give that with --var-file")
		}
		path, file, err := a.bootFileToEnable(cmd.Context(), args)
		if err != nil {
			return err
		}
		command, err := a.agentCommandLine(path, file, []option{{"--tls-cert", *cert}, {"--tls-key", *key}, {"--tls-client-ca", *ca}}, *listen)
		if err != nil {
			return err
		}
		if *http != "" {
			if _, err := agent.NewLocalEndpoint(*http); err != nil {
				return fmt.Errorf("--http: %w", err)
			}
			command = append(command, "--http", agent.Absolute(*http))
		}
		text, err := m.unit(file, command)
		if err != nil {
			return err
		}
		return m.enable(cmd.Context(), unitName(file.Name), text)
	}
	return cmd
}

// bootFileToEnable is the boot file of the unit: one that is in order, or that
// of the only configuration in the registry.
func (a *app) bootFileToEnable(ctx context.Context, args []string) (path string, file *config.File, err error) {
	if _, none := bootFile(args); none != nil {
		dir, err := registeredDir(nil)
		if err != nil {
			return "", nil, fmt.Errorf("%w; %w", none, err)
		}
		r, err := dir.Registered()
		if err != nil {
			return "", nil, err
		}
		return r.BootFile, r.File, nil
	}
	if path, err = absoluteBootFile(args); err != nil {
		return "", nil, err
	}
	file, _, err = a.load(ctx, args, false)
	return path, file, err
}

type option struct{ flag, path string }

// agentCommandLine is what the unit runs. Paths become absolute: it runs
// somewhere else.
func (a *app) agentCommandLine(path string, file *config.File, files []option, listen []string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := []string{self, "agent", path}
	if uri := a.connectionOf(file); uri != "" && uri != file.Connection {
		command = append(command, "--connection", uri)
	}
	for _, path := range a.varFiles {
		files = append(files, option{"--var-file", path})
	}
	for _, o := range files {
		if o.path == "" {
			continue
		}
		abs, err := filepath.Abs(o.path)
		if err != nil {
			return nil, err
		}
		command = append(command, o.flag, abs)
	}
	for _, address := range listen {
		command = append(command, "--listen", agent.Absolute(address))
	}
	return command, nil
}

// connectionOf is the Podman that is named by anybody, the environment too,
// which the unit will not have.
func (a *app) connectionOf(file *config.File) string {
	for _, uri := range []string{a.connection, file.Connection, os.Getenv("CONTAINER_HOST")} {
		if uri != "" {
			return uri
		}
	}
	return ""
}

func unitName(configuration string) string { return "bootgraph-" + configuration + ".service" }

// path is where the unit of that name is.
func (m *systemd) path(name string) (string, error) {
	switch {
	case m.dir != "":
		return filepath.Join(m.dir, name), nil
	case !m.user:
		return filepath.Join("/etc/systemd/system", name), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("cannot tell where units of this user are: %w", err)
	}
	return filepath.Join(dir, "systemd", "user", name), nil
}

// ours tells whether there is a unit of that path, and makes sure that it is
// one of ours.
func ours(path string) (there bool, err error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.HasPrefix(text, []byte(unitMark)):
		return false, fmt.Errorf("%s was not written by bootgraph enable: it stays as it is", path)
	}
	return true, nil
}

func (m *systemd) enable(ctx context.Context, name string, text string) error {
	path, err := m.path(name)
	if err != nil {
		return err
	}
	if _, err := ours(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := writeWhole(path, []byte(text), nil); err != nil {
		return fmt.Errorf("cannot write the unit: %w", err)
	}
	if err := os.Chmod(path, 0o644); err != nil { // there are no secrets in it
		return err
	}
	m.app.say("info", "wrote "+path, "unit")
	if err := m.systemctl(ctx, []string{"daemon-reload"}, []string{"enable", name}); err != nil {
		return err
	}
	if m.dir == "" {
		m.app.say("info", "it starts at power-on; to start it now: "+strings.Join(m.command("start", name), " "), "unit")
	}
	if m.user {
		m.app.say("info", "units of a user start when the user logs in and end at the last logout, unless the user lingers: loginctl enable-linger", "linger")
	}
	return nil
}

func (m *systemd) command(args ...string) []string {
	command := []string{"systemctl"}
	if m.user {
		command = append(command, "--user")
	}
	return append(command, args...)
}

// running tells whether the manager is there to be told (sd_booted(3)).
func (m *systemd) running() bool {
	dir := "/run/systemd/system"
	if m.user {
		dir = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd")
	}
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir()
}

// systemctl tells the manager, or says what to tell it.
func (m *systemd) systemctl(ctx context.Context, commands ...[]string) error {
	if m.dir != "" {
		return nil
	}
	for _, args := range commands {
		command := m.command(args...)
		if !m.running() {
			m.app.say("info", "systemd does not run here; where it does: "+strings.Join(command, " "), "systemd")
			continue
		}
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, bytes.TrimSpace(out))
		}
	}
	return nil
}

func (a *app) disableCommand() *cobra.Command {
	m := systemd{app: a}
	cmd := bootFileArgs(&cobra.Command{
		Use:   "disable [FILE|DIR|NAME]",
		Short: "Undo enable: end the agent's unit, and remove it",
		Long: `disable ends the agent and removes the unit that enable wrote; containers stay as
they are. NAME is that of the configuration, where the boot file is gone.`,
	})
	unitFlags(cmd, &m)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := a.unitToDisable(cmd.Context(), args, &m)
		if err != nil {
			return err
		}
		path, err := m.path(name)
		if err != nil {
			return err
		}
		there, err := ours(path)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("there is no unit %s: nothing to disable", path)
		}
		if err := m.systemctl(cmd.Context(), []string{"disable", "--now", name}); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		a.say("info", "removed "+path, "unit")
		return m.systemctl(cmd.Context(), []string{"daemon-reload"})
	}
	return cmd
}

// unitToDisable is the unit of a name, or of a boot file.
func (a *app) unitToDisable(ctx context.Context, args []string, m *systemd) (string, error) {
	if len(args) > 0 && !strings.ContainsAny(args[0], "/") {
		path, err := m.path(unitName(args[0]))
		if err != nil {
			return "", err
		}
		if _, err := os.Lstat(path); err == nil {
			return unitName(args[0]), nil
		}
	}
	_, file, err := a.bootFileToEnable(ctx, args)
	if err != nil {
		return "", err
	}
	return unitName(file.Name), nil
}
