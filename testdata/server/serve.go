package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func serveHTTP(l net.Listener) error {
	var status atomic.Int64
	timeline("HTTP_STATUS", "200", func(s string) { status.Store(int64(number(s))) })
	path := os.Getenv("HTTP_PATH")
	s := &http.Server{TLSConfig: tlsConfig(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := int(status.Load())
		if path != "" && r.URL.Path != path {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		w.Write([]byte(http.StatusText(code) + "\n"))
	})}
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

func serveGRPC(l net.Listener) error {
	var options []grpc.ServerOption
	if c := tlsConfig(); c != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(c)))
	}
	s := grpc.NewServer(options...)
	if os.Getenv("GRPC_HEALTH") != "off" {
		h := health.NewServer()
		healthpb.RegisterHealthServer(s, h)
		timeline("GRPC_STATUS", "SERVING", func(v string) {
			status, ok := healthpb.HealthCheckResponse_ServingStatus_value[v]
			if !ok {
				panic("GRPC_STATUS: no status " + v)
			}
			for _, name := range append(list("GRPC_SERVICES"), "") {
				h.SetServingStatus(name, healthpb.HealthCheckResponse_ServingStatus(status))
			}
		})
	}
	return s.Serve(l)
}

// tlsConfig is nil where TLS isn't asked for. TLS 1.3 is demanded, as the
// platform that these servers stand for does.
func tlsConfig() *tls.Config {
	v := os.Getenv("TLS")
	if v == "" {
		return nil
	}
	var cert tls.Certificate
	if certFile, keyFile, ok := strings.Cut(v, ","); ok {
		var err error
		cert, err = tls.LoadX509KeyPair(certFile, keyFile)
		must(err)
	} else {
		cert = selfSigned()
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// check is the probe that runs inside the container; see the package doc. It
// returns the exit status.
func check(args []string) int {
	switch {
	case len(args) == 1 && args[0] == "check":
		return checkServer()
	case len(args) == 3 && args[1] == "file":
		if _, err := os.Stat(args[2]); err != nil {
			println(err.Error())
			return 1
		}
	case len(args) == 3 && args[1] == "exit":
		return number(args[2])
	case len(args) == 3 && args[1] == "sleep":
		d, err := time.ParseDuration(args[2])
		must(err)
		time.Sleep(d)
	default:
		println("usage: server [check [file PATH | exit CODE | sleep TIME]]")
		return 2
	}
	return 0
}

// checkServer asks the server of this container, by the same environment.
func checkServer() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, env := range []string{"HTTP", "TCP", "GRPC"} {
		for _, v := range list(env) {
			addr := strings.Fields(v)[0]
			if strings.HasPrefix(addr, ":") {
				addr = "127.0.0.1" + addr
			}
			if env == "HTTP" {
				return checkHTTP(ctx, addr)
			}
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				println(err.Error())
				return 1
			}
			c.Close()
			return 0
		}
	}
	println("check: none of HTTP, TCP and GRPC is set")
	return 1
}

func checkHTTP(ctx context.Context, addr string) int {
	scheme := "http"
	if os.Getenv("TLS") != "" {
		scheme = "https"
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+addr+os.Getenv("HTTP_PATH"), nil)
	must(err)
	resp, err := client.Do(req)
	if err != nil {
		println(err.Error())
		return 1
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		println(resp.Status)
		return 1
	}
	return 0
}
