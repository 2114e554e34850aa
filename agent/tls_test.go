package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcpeer "google.golang.org/grpc/peer"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string
}

var serial int64

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, path: filepath.Join(dir, name+"-ca.pem")}
	a.cert, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, time.Hour)
	a.write(a.path, "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) sign(c *x509.Certificate, lasts time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(serial), time.Now().Add(-2*time.Hour), time.Now().Add(lasts)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue writes a certificate for 127.0.0.1 and its key.
func (a *authority) issue(dir, name string, lasts time.Duration) Files {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}, lasts)
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key"), CA: a.path}
	a.write(f.Cert, "CERTIFICATE", cert.Raw)
	a.write(f.Key, "EC PRIVATE KEY", raw)
	return f
}

func (a *authority) write(path, kind string, raw []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// overTLS is an agent that serves over TCP; warned has what it warns of.
func overTLS(t *testing.T, files Files) (address string, warned func() string) {
	t.Helper()
	var mu sync.Mutex
	var said []string
	e, err := NewEndpoint("127.0.0.1:0", files, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, err.Error())
	})
	if err != nil {
		t.Fatal(err)
	}
	probe, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		t.Fatal(err)
	}
	e.tcp = probe.Addr().String()
	probe.Close()
	servingAt(t, New(Work{}), e)
	return e.tcp, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(said, "\n")
	}
}

// ask connects anew and returns the serial number of the agent's certificate.
func ask(t *testing.T, address string, files Files) (serial int64, err error) {
	t.Helper()
	c, err := Dial(address, files)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var p grpcpeer.Peer
	_, err = grpc_health_v1.NewHealthClient(c.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}, grpc.Peer(&p))
	if err != nil {
		return 0, err
	}
	return p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestTCPTakesOnlyClientsWithAGoodCertificate(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newAuthority(t, dir, "ours"), newAuthority(t, dir, "theirs")
	address, _ := overTLS(t, ours.issue(dir, "agent", time.Hour))

	if _, err := ask(t, address, ours.issue(dir, "client", time.Hour)); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
	wrong := theirs.issue(dir, "wrong", time.Hour)
	wrong.CA = ours.path
	for name, files := range map[string]Files{"wrong": wrong, "expired": ours.issue(dir, "expired", -time.Hour)} {
		if _, err := ask(t, address, files); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	for name, creds := range map[string]credentials.TransportCredentials{
		"no certificate": credentials.NewClientTLSFromCert(pool, ""), "no TLS": insecure.NewCredentials(),
	} {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	stranger := theirs.issue(dir, "stranger", time.Hour)
	address, _ = overTLS(t, stranger)
	if _, err := ask(t, address, ours.issue(dir, "client", time.Hour)); err == nil {
		t.Error("a client talks to an agent that it doesn't know")
	}
}

func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	ours, next := newAuthority(t, dir, "ours"), newAuthority(t, dir, "next")
	files := ours.issue(dir, "agent", time.Hour)
	client := ours.issue(dir, "client", time.Hour)
	address, warned := overTLS(t, files)
	first, err := ask(t, address, client)
	if err != nil {
		t.Fatal(err)
	}

	ours.issue(dir, "agent", time.Hour)
	second, err := ask(t, address, client)
	if err != nil || second == first {
		t.Errorf("after a new certificate: %d is still %d, %v", second, first, err)
	}

	// Half of a change: the key is still the old one.
	old, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	ours.issue(dir, "agent", time.Hour)
	fresh, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Key, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if third, err := ask(t, address, client); err != nil || third != second || !strings.Contains(warned(), "those of before stay") {
		t.Errorf("in the middle of a change: %d, not %d, %v; it warns %q", third, second, err, warned())
	}
	if err := os.WriteFile(files.Key, fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	if fourth, err := ask(t, address, client); err != nil || fourth == second {
		t.Errorf("after the change: %d is still %d, %v", fourth, second, err)
	}

	// Another authority for clients: who was let in is not any more.
	text, err := os.ReadFile(next.path)
	if err != nil {
		t.Fatal(err)
	}
	pinned := client
	pinned.CA = filepath.Join(dir, "pinned.pem") // the client still trusts the agent's
	ours.write(pinned.CA, "CERTIFICATE", ours.cert.Raw)
	if err := os.WriteFile(files.CA, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, address, pinned); err == nil {
		t.Error("a client of the authority of before is let in")
	}
	newcomer := next.issue(dir, "newcomer", time.Hour)
	newcomer.CA = pinned.CA
	if _, err := ask(t, address, newcomer); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	}
}

func TestFilesOfTLSAreCheckedBeforeTheBoot(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir, "ours")
	good, other := a.issue(dir, "agent", time.Hour), a.issue(dir, "other", time.Hour)
	for name, files := range map[string]Files{
		"no key":        {Cert: good.Cert, CA: good.CA},
		"no authority":  {Cert: good.Cert, Key: good.Key},
		"another key":   {Cert: good.Cert, Key: other.Key, CA: good.CA},
		"not there":     {Cert: good.Cert + "x", Key: good.Key, CA: good.CA},
		"no PEM for CA": {Cert: good.Cert, Key: good.Key, CA: good.Key},
	} {
		if _, err := NewEndpoint("127.0.0.1:0", files, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
