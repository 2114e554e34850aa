package host

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is a user made for a rootless Host by a process that is root. It is
// called like the Host's directory, by which the reaper finds it.
type account struct {
	name           string
	uid, gid       int
	subUID, subEnd int // user IDs for its containers: subuid(5)
	dir            string
}

// addUser makes the user; useradd(8) also gives it subordinate IDs.
func addUser(dir string) (*account, error) {
	name := filepath.Base(dir)
	out, err := exec.Command("useradd", "--no-create-home", "--home-dir", filepath.Join(dir, "home"), "--shell", "/bin/sh", name).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("cannot add the user %s: %w: %s", name, err, out)
	}
	a, err := findUser(dir)
	if err != nil {
		return nil, err
	}
	if a.subEnd == 0 {
		return nil, fmt.Errorf("useradd gave %s no subordinate user IDs: is there an /etc/subuid and an /etc/subgid?", name)
	}
	return a, a.devices()
}

// findUser is nil where no user was made.
func findUser(dir string) (*account, error) {
	u, err := user.Lookup(filepath.Base(dir))
	if _, unknown := err.(user.UnknownUserError); unknown {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	a := &account{name: u.Username, dir: dir}
	a.uid, _ = strconv.Atoi(u.Uid)
	a.gid, _ = strconv.Atoi(u.Gid)
	ids, err := os.ReadFile("/etc/subuid")
	for line := range strings.Lines(string(ids)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 3 && f[0] == a.name {
			a.subUID, _ = strconv.Atoi(f[1])
			count, _ := strconv.Atoi(f[2])
			a.subEnd = a.subUID + count
		}
	}
	return a, err
}

// What slirp4netns and fuse-overlayfs open. Any user may, on an ordinary
// machine.
var devices = []struct {
	path         string
	major, minor int
}{{"/dev/net/tun", 10, 200}, {"/dev/fuse", 10, 229}}

// devices makes nodes of its own for the devices that only root may open
// here. They take the place of the others for this user's processes alone
// (see wrap): changing the modes of the machine's would be undone too early
// by the first of two Hosts that closes.
func (a *account) devices() error {
	for _, d := range devices {
		if info, err := os.Stat(d.path); err == nil && info.Mode().Perm()&0o006 == 0o006 {
			continue
		}
		own := filepath.Join(a.dir, filepath.Base(d.path))
		if err := syscall.Mknod(own, syscall.S_IFCHR, d.major<<8|d.minor); err != nil {
			return fmt.Errorf("cannot make a device %s: %w", own, err)
		}
		if err := os.Chmod(own, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// chown gives it all files of the Host.
func (a *account) chown() error {
	return filepath.WalkDir(a.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid)
	})
}

// wrap makes a command one of this user, in a mount namespace with devices
// that it may open. There is no fork on the way: the process that is started
// becomes the command.
func (a *account) wrap(argv []string) []string {
	if a == nil {
		return argv
	}
	const script = `for d in /dev/net/tun /dev/fuse; do
		own=$1/${d##*/}; if [ -e "$own" ]; then mount --bind "$own" "$d"; fi
	done; uid=$2 gid=$3; shift 3; exec setpriv --reuid="$uid" --regid="$gid" --clear-groups -- "$@"`
	return append([]string{"unshare", "--mount", "--propagation=private", "sh", "-ec", script, "sh",
		a.dir, strconv.Itoa(a.uid), strconv.Itoa(a.gid)}, argv...)
}

// runs tells whether a process is this user's or one of its containers', and
// not just waiting for its parent to notice that it has ended.
func (a *account) runs(p process) bool {
	if a == nil {
		return false
	}
	state, rest, _ := strings.Cut(p.read("status"), "\nUid:")
	f := strings.Fields(rest)
	if len(f) == 0 || strings.Contains(state, "\nState:\tZ") {
		return false
	}
	uid, err := strconv.Atoi(f[0])
	return err == nil && (uid == a.uid || a.subUID <= uid && uid < a.subEnd)
}

func (a *account) remove() error {
	if a == nil {
		return nil
	}
	os.Remove(fmt.Sprintf("/dev/shm/libpod_rootless_lock_%d", a.uid))
	if out, err := exec.Command("userdel", a.name).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot remove the user %s: %w: %s", a.name, err, out)
	}
	return nil
}
