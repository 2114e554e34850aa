package health

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
)

// hexAddress is the kernel's way to print an address in a socket table.
func hexAddress(a netip.AddrPort) string {
	b := a.Addr().AsSlice()
	for i := 0; i < len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.NativeEndian.Uint32(b[i:]))
	}
	return fmt.Sprintf("%X:%04X", b, a.Port())
}

func TestSocketTableListsWhatListens(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   1: 00000000:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0000000000000000 100 0 0 10 0
   3: 0100007F:C350 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 100 0 0 10 0
`
	const table6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 104 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 105 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F92 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 106 1 0000000000000000 100 0 0 10 0
`
	// As a little-endian machine prints it.
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Fatal("this table is for little-endian machines; add one for big-endian ones")
	}
	var got []string
	for _, table := range []string{table, table6} {
		sockets, err := parseSocketTable(strings.NewReader(table), stateListen)
		ok(t, err)
		for _, s := range sockets {
			got = append(got, fmt.Sprintf("%s %d", s.local, s.inode))
		}
	}
	same(t, strings.Join(got, "\n"), "127.0.0.1:8080 101\n0.0.0.0:53 102\n[::]:8080 104\n[::1]:8081 105\n127.0.0.1:8082 106")
}

func TestSocketTableOfThisKernelIsUnderstood(t *testing.T) {
	pid, addresses := process(t, syscall.CLONE_NEWNET, "127.0.0.1:0 [::1]:0 0.0.0.0:0 [::]:0")
	sockets, err := listening(pid)
	ok(t, err)
	got, want := map[string]bool{}, map[string]bool{}
	for _, s := range sockets {
		got[s.local.String()] = true
	}
	for _, a := range addresses {
		want[a.String()] = true
	}
	same(t, fmt.Sprint(got), fmt.Sprint(want))
}

func TestSocketTableOfNobodyIsAnError(t *testing.T) {
	gone, err := os.StartProcess("/proc/self/exe", []string{"x", "-test.run=^$"}, &os.ProcAttr{})
	ok(t, err)
	_, err = gone.Wait()
	ok(t, err)
	for _, pid := range []int{0, -1, gone.Pid} {
		if _, err := listening(pid); err == nil {
			t.Errorf("pid %d has a socket table", pid)
		}
	}
}

// Whatever is read: no panic, only LISTEN, and an address that is printed the
// kernel's way is read as itself.
func FuzzSocketTable(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1", []byte{127, 0, 0, 1}, uint16(80))
	f.Add("   0: 00000000000000000000000001000000:1F91 0:0 0A 0:0 0:0 0     0        0 105", []byte("0123456789abcdef"), uint16(0))
	f.Add("   0: :: 0 0A 0 0 0 0 0 x", []byte{}, uint16(1))
	f.Fuzz(func(t *testing.T, table string, address []byte, port uint16) {
		sockets, err := parseSocketTable(strings.NewReader(table), stateListen)
		if err == nil && len(sockets) > strings.Count(table, "0A") {
			t.Errorf("%d sockets out of %q", len(sockets), table)
		}
		if addr, valid := netip.AddrFromSlice(address); valid {
			want := netip.AddrPortFrom(addr, port)
			got, err := parseHexAddress(hexAddress(want))
			if err != nil || got != netip.AddrPortFrom(addr.Unmap(), port) {
				t.Errorf("%s became %s, %v", want, got, err)
			}
		}
	})
}
