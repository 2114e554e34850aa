package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"

	"bootgraph/config"
)

// tlsConfig reads the files of a check's tls block; nil if it has none. They
// are read for each connection: an earlier service may be the one that writes
// them. TLS 1.2 is the least that is spoken.
func tlsConfig(t *config.TLS) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fail("tls_file", "cannot read ca of tls {}: %s", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fail("tls_file", "cannot read ca of tls {}: no certificate in %s", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fail("tls_file", "cannot read cert and key of tls {}: %s", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// alert begins the error of crypto/tls when the other side gives a reason.
const alert = "remote error: tls:"

// hungUp finds out, by shaking hands itself, whether a connection that was
// closed without an answer was closed by a TLS server; nil if that tells
// nothing new. Such a server hangs up on plain text just as a forwarder does
// when nobody is behind it. And one that wants a client certificate says so
// only after the handshake of TLS 1.3, when the client may be too busy writing
// to hear it.
func (l place) hungUp(ctx context.Context, h *config.Health) error {
	secure, err := tlsConfig(h.TLS)
	switch {
	case err != nil:
		return err
	case secure == nil:
		// Nothing is sent or believed afterwards, so nobody has to be verified.
		secure = &tls.Config{InsecureSkipVerify: true}
	case secure.ServerName == "":
		secure.ServerName = l.addresses[0].Addr().String()
	}
	if h.Kind == config.HealthGRPC {
		secure.NextProtos = []string{"h2"}
	}
	conn, err := l.dial(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	client := tls.Client(conn, secure)
	err = client.HandshakeContext(ctx)
	if err == nil && h.TLS != nil {
		err = hold(ctx, client, holdTime)
	}
	switch told := err != nil && strings.Contains(err.Error(), alert); {
	case h.TLS == nil && (err == nil || told):
		return fail("tls_mismatch", "the server speaks TLS; add tls {} at %s", l.addresses[0])
	case told:
		return err
	}
	return nil
}
