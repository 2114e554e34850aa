package health

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a certificate authority of a test, with its files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.file, _, a.key = a.issue("ca", a.cert)
	return a
}

// issue signs a certificate and returns its files.
func (a *authority) issue(name string, c *x509.Certificate) (certFile, keyFile string, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(a.t, err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, signer)
	ok(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	ok(a.t, err)
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	ok(a.t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ok(a.t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return certFile, keyFile, key
}

// leaf issues a certificate for a name, or for 127.0.0.1, and returns its files.
func (a *authority) leaf(name string, until time.Time) (certFile, keyFile string) {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	certFile, keyFile, _ = a.issue(name, c)
	return certFile, keyFile
}

// server is the TLS configuration of a server with such a certificate.
func (a *authority) server(name string, until time.Time) *tls.Config {
	a.t.Helper()
	pair, err := tls.LoadX509KeyPair(a.leaf(name, until))
	ok(a.t, err)
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// mutual is a server that wants a client certificate of this authority.
func (a *authority) mutual(version uint16) *tls.Config {
	c := a.server("127.0.0.1", time.Now().Add(time.Hour))
	c.ClientAuth, c.ClientCAs, c.MaxVersion = tls.RequireAndVerifyClientCert, x509.NewCertPool(), version
	c.ClientCAs.AddCert(a.parsed())
	return c
}

func (a *authority) parsed() *x509.Certificate {
	data, err := os.ReadFile(a.file)
	ok(a.t, err)
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	ok(a.t, err)
	return cert
}
