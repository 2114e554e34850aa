package agent

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const nobody = 65534

// dialAs connects as another user. Linux has credentials a thread, so one
// thread becomes that user, and is not used again.
func dialAs(path string, uid int) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		fd, e := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err = e; err != nil {
			return
		}
		file := os.NewFile(uintptr(fd), path)
		defer file.Close()
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
			err = e
			return
		}
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			conn, err = net.FileConn(file)
		}
	}()
	<-done
	return conn, err
}

// TestSocketRefusesOtherUsers: by its modes, and where somebody has loosened
// these, by who connects.
func TestSocketRefusesOtherUsers(t *testing.T) {
	for uid, may := range map[uint32]bool{0: true, 1000: true, 1001: false, nobody: false} {
		if allowed(uid, 1000) != may {
			t.Errorf("user %d at an agent of user 1000: %t", uid, !may)
		}
	}
	if os.Geteuid() != 0 {
		return // nobody else can be had
	}
	dir, err := os.MkdirTemp("/tmp", "bootgraph-agent-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "a.sock")
	servingAt(t, New(Work{}), endpointAt(t, "unix:"+path))
	if conn, err := dialAs(path, nobody); err == nil {
		conn.Close()
		t.Error("the modes let another user in")
	}
	for name, mode := range map[string]os.FileMode{dir: 0o777, path: 0o777} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	for uid, may := range map[int]bool{0: true, nobody: false} {
		client, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dialAs(path, uid) }))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = grpc_health_v1.NewHealthClient(client).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if (err == nil) != may {
			t.Errorf("user %d: %v", uid, err)
		}
	}
}
