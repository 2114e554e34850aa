package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"bootgraph/config"
	"bootgraph/scheduler"
)

// Registration is the configuration that was last applied with success, and
// where it came from.
type Registration struct {
	File     *config.File // without sensitive values: see config.File.Recall
	Applied  time.Time
	Run      string
	Outcome  scheduler.Ending
	Version  string // of bootgraph
	BootFile string // absolute path of the file or directory
	SHA256   string // of what it said: cat boot.hcl | sha256sum
}

const (
	registryFile    = "registry.json"
	registryKind    = "bootgraph registry"
	registryVersion = 1
	registryMost    = 64 << 20 // bytes; 10,000 services need about 20 MiB
)

// registryWire is the form of a Registration on disk. What it says is read on
// the day on which nothing else is left, so the configuration has a digest:
// one that is damaged anywhere is not booted.
type registryWire struct {
	Kind          string           `json:"kind"`
	FormatVersion int              `json:"format_version"`
	Name          string           `json:"name"`
	Applied       time.Time        `json:"applied_at"`
	Run           string           `json:"run"`
	Outcome       scheduler.Ending `json:"outcome"`
	Version       string           `json:"version"`
	BootFile      string           `json:"boot_file"`
	SHA256        string           `json:"boot_file_sha256"`
	Digest        string           `json:"configuration_sha256"` // of the configuration without white space
	Configuration json.RawMessage  `json:"configuration"`
}

// Names returns the names of the configurations below root that have a
// registration, sorted, whether or not it can be read.
func Names(root string) ([]string, error) {
	entries, err := os.ReadDir(root) // in byte order
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the registry: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(root, e.Name(), registryFile)); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Register makes r the registration of the configuration. It is there whole or
// not at all, for this user alone. What is there already and can't be read is
// put aside, not overwritten: somebody may want to know what it was.
func (d Dir) Register(r *Registration) error {
	text, err := encode(r)
	if err != nil {
		return fmt.Errorf("cannot keep the configuration for recover: %w", err)
	}
	path := filepath.Join(d.path, registryFile)
	if _, err := d.Registered(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(path, path+".bad-"+time.Now().UTC().Format("20060102T150405.000Z")); err != nil {
			return fmt.Errorf("cannot keep the configuration for recover: %w", err)
		}
	}
	if err := writeWhole(path, text); err != nil {
		return fmt.Errorf("cannot keep the configuration for recover: %w", err)
	}
	return nil
}

// writeWhole writes a file beside its place, and puts it there when it is on
// the disk. One of a writer that was killed is left over at most once: they
// all have the same name, and the lock lets one write at a time.
func writeWhole(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	next := path + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Registered reads the registration. The error is fs.ErrNotExist if there is
// none; any other says what is wrong with the file, which is left as it is.
func (d Dir) Registered() (*Registration, error) {
	text, err := d.RegistryText()
	if err != nil {
		return nil, err
	}
	r, err := decode(text, filepath.Base(d.path))
	if err != nil {
		return nil, d.unusable(err)
	}
	return r, nil
}

func (d Dir) unusable(err error) error {
	return fmt.Errorf("cannot use %s: %w: boot with the boot file, or forget it: bootgraph registry forget %s",
		filepath.Join(d.path, registryFile), err, filepath.Base(d.path))
}

// RegistryText reads the file of the registration, whatever it says. It
// decides what a host runs, so it has to be a file of this user that nobody
// else may write; opening follows no link and waits for no writer.
func (d Dir) RegistryText() ([]byte, error) {
	file, err := os.OpenFile(filepath.Join(d.path, registryFile), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no registration of %s: %w", filepath.Base(d.path), fs.ErrNotExist)
	case errors.Is(err, syscall.ELOOP):
		return nil, d.unusable(errors.New("it is a symbolic link"))
	case err != nil:
		return nil, d.unusable(err)
	}
	defer file.Close()
	if err := ours(file); err != nil {
		return nil, d.unusable(err)
	}
	text, err := io.ReadAll(io.LimitReader(file, registryMost+1))
	switch {
	case err != nil:
		return nil, d.unusable(err)
	case len(text) > registryMost:
		return nil, d.unusable(fmt.Errorf("it is larger than %d MiB", registryMost>>20))
	}
	return text, nil
}

func ours(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case stat == nil || int(stat.Uid) != os.Geteuid():
		return errors.New("it belongs to another user")
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %#o)", info.Mode().Perm())
	}
	return nil
}

// Forget removes the registration, whatever state it is in.
func (d Dir) Forget() error {
	if err := os.Remove(filepath.Join(d.path, registryFile)); err != nil {
		return fmt.Errorf("cannot forget %s: %w", filepath.Base(d.path), err)
	}
	return nil
}

func encode(r *Registration) ([]byte, error) {
	configuration, err := json.Marshal(wireFile(r.File))
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(registryWire{
		Kind: registryKind, FormatVersion: registryVersion, Name: r.File.Name, Applied: r.Applied.UTC(), Run: r.Run, Outcome: r.Outcome,
		Version: r.Version, BootFile: r.BootFile, SHA256: r.SHA256, Digest: digest(configuration), Configuration: configuration,
	}, "", "  ")
	if err == nil && len(text) > registryMost {
		err = fmt.Errorf("it would be larger than %d MiB", registryMost>>20)
	}
	return append(text, '\n'), err
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// decode reads the registration of the configuration with this name.
func decode(text []byte, name string) (*Registration, error) {
	var w registryWire
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	var configuration bytes.Buffer
	switch {
	case w.Kind != registryKind:
		return nil, fmt.Errorf("it is no registration: kind is %.40q", w.Kind)
	case w.FormatVersion != registryVersion:
		return nil, fmt.Errorf("its format_version is %d, and this bootgraph reads %d", w.FormatVersion, registryVersion)
	case json.Compact(&configuration, w.Configuration) != nil || digest(configuration.Bytes()) != w.Digest:
		return nil, errors.New("it is damaged: the configuration is not the one that was written")
	case w.Name != name:
		return nil, fmt.Errorf("it is of another configuration, %.80q", w.Name)
	}
	file, err := decodeFile(configuration.Bytes())
	if err == nil && file.Name != name {
		err = fmt.Errorf("it is of another configuration, %.80q", file.Name)
	}
	if err != nil {
		return nil, err
	}
	return &Registration{File: file, Applied: w.Applied, Run: w.Run, Outcome: w.Outcome, Version: w.Version, BootFile: w.BootFile, SHA256: w.SHA256}, nil
}
