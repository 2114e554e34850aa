package health

import (
	"net"
	"testing"
)

func TestTheKernelFindsBothEndsOfAConnection(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		d, err := openSockDiag()
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		from, to := addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
		if s, err := d.established(from, to); err != nil || s.inode == 0 {
			t.Errorf("%s: our end is %+v, %v", address, s, err)
		}
		if s, err := d.established(to, from); err != nil || s.inode != 0 {
			t.Errorf("%s: the other end, which nobody has taken, is %+v, %v", address, s, err)
		}
		if !nobodys(conn) {
			t.Errorf("%s: somebody has taken it", address)
		}
		taken, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		if s, err := d.established(to, from); err != nil || s.inode == 0 {
			t.Errorf("%s: the other end, which was taken, is %+v, %v", address, s, err)
		}
		if nobodys(conn) {
			t.Errorf("%s: nobody has taken it", address)
		}
		taken.Close()
		conn.Close()
		if s, err := d.established(from, to); err == nil {
			t.Errorf("%s: a connection that is closed is %+v", address, s)
		}
	}
}
