package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// Files are those of mutual TLS, in PEM: who this side is, and who signs the
// certificates of the other.
type Files struct{ Cert, Key, CA string }

func (f Files) complete() error {
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		if path == "" {
			return errors.New("TCP takes mutual TLS, and never goes without: name a certificate, its key and the authority of the other side")
		}
	}
	return nil
}

func (f Files) load() (tls.Certificate, *x509.CertPool, error) {
	own, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return own, nil, fmt.Errorf("cannot use the certificate %s with the key %s: %w", f.Cert, f.Key, err)
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return own, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return own, nil, fmt.Errorf("there is no certificate in %s", f.CA)
	}
	return own, pool, nil
}

// server are credentials that follow the files.
func (f Files) server(warn func(error)) (credentials.TransportCredentials, error) {
	if err := f.complete(); err != nil {
		return nil, err
	}
	k := &keys{files: f, warn: warn}
	if err := k.load(); err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: k.forClient}), nil
}

// client are credentials for one command, which ends before files change.
func (f Files) client() (credentials.TransportCredentials, error) {
	if err := f.complete(); err != nil {
		return nil, err
	}
	own, pool, err := f.load()
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, RootCAs: pool}), nil
}

// keys are the files as they were last read. At each handshake they are looked
// at: three calls of stat are nothing beside it, and unlike a watch they miss
// neither a rename nor a mount.
type keys struct {
	files Files
	warn  func(error)

	mu     sync.Mutex
	seen   [3]stamp
	config *tls.Config
}

type stamp struct {
	modified time.Time
	size     int64
	file     os.FileInfo
}

func (k *keys) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.look(); !same(now, k.seen) {
		// Files are replaced one after another: until they go together, those
		// of before are used.
		if err := k.load(); err != nil && k.warn != nil {
			k.warn(fmt.Errorf("the certificates have changed and can't be used, those of before stay: %w", err))
		}
	}
	return k.config, nil
}

func (k *keys) load() error {
	k.seen = k.look() // before they are read: what changes meanwhile is read again
	own, pool, err := k.files.load()
	if err != nil {
		return err
	}
	k.config = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2"}, SessionTicketsDisabled: true}
	return nil
}

func (k *keys) look() (now [3]stamp) {
	for i, path := range []string{k.files.Cert, k.files.Key, k.files.CA} {
		if info, err := os.Stat(path); err == nil {
			now[i] = stamp{info.ModTime(), info.Size(), info}
		}
	}
	return now
}

func same(a, b [3]stamp) bool {
	for i := range a {
		if (a[i].file == nil) != (b[i].file == nil) || a[i].size != b[i].size || !a[i].modified.Equal(b[i].modified) ||
			a[i].file != nil && !os.SameFile(a[i].file, b[i].file) {
			return false
		}
	}
	return true
}
