// Command server is the image of all tests and of the demo: a container that
// listens, gets healthy, logs, crashes or exits when it is told to. It is
// static and the only file of its image (see package host).
//
// It is told by environment variables, because these can be changed for one
// container without another image. A [DELAY] is a Go duration at the end of a
// value ("2s"), counted from the start of the process; without it the thing
// happens at once. A TIMELINE is "VALUE [DELAY VALUE]…": the first value
// holds from the start, each later one from its delay on ("503 2s 200").
//
//	TCP=ADDR [DELAY], …      listen; hold connections until the client closes
//	TCP_CLOSE=ADDR [DELAY],… listen; close every connection at once
//	UDP=ADDR [DELAY], …      listen; echo
//	HTTP=ADDR [DELAY], …     listen; every path answers HTTP_STATUS
//	HTTP_STATUS=TIMELINE     of statuses; default 200
//	HTTP_PATH=PATH           only this path answers HTTP_STATUS, others 404
//	GRPC=ADDR [DELAY], …     listen; grpc.health.v1 answers GRPC_STATUS
//	GRPC_STATUS=TIMELINE     of SERVING, NOT_SERVING, UNKNOWN; default SERVING
//	GRPC_SERVICES=NAME, …    names known besides "" (the server as a whole)
//	GRPC_HEALTH=off          no health service: Unimplemented
//	TLS=self                 HTTP and GRPC speak TLS 1.3 with a certificate made
//	                         at the start for localhost, 127.0.0.1 and ::1
//	TLS=CERT,KEY             the same with these PEM files
//	LOG=TEXT [DELAY]         print TEXT
//	FILE=PATH [DELAY]        create an empty file
//	EXIT=CODE [DELAY]        exit
//	CRASH_ONCE=PATH [DELAY]  exit with 1, unless PATH exists; PATH is created
//	                         first, so with PATH on a volume it happens once
//	IGNORE_SIGTERM=true      only SIGKILL stops it
//
// ADDR is ":8080", or "127.0.0.1:8080" for a server that only its own
// container can reach. Without any of them it waits for SIGTERM or SIGINT and
// exits with 0, which is what it always does unless told otherwise.
//
// Every step is printed on stdout with the time it was taken (RFC 3339,
// nanoseconds), so that a test can prove an order from the servers' own
// stamps: "TIME start", "TIME listening tcp :8080", "TIME exit 3",
// "TIME stop". The text of LOG is printed without a time.
//
// As a command inside the container (exec and HEALTHCHECK):
//
//	server check             exit 0 if the first of HTTP, TCP or GRPC answers
//	server check file PATH   exit 0 if the file exists
//	server check exit CODE   exit with CODE
//	server check sleep TIME  exit 0 after TIME
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var began = time.Now()

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 {
		os.Exit(check(os.Args[1:]))
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	stamp("start")

	serve("TCP", "tcp", hold)
	serve("TCP_CLOSE", "tcp", func(l net.Listener) error { return accept(l, func(c net.Conn) { c.Close() }) })
	serve("HTTP", "http", serveHTTP)
	serve("GRPC", "grpc", serveGRPC)
	for _, v := range list("UDP") {
		at(v, echo)
	}
	at(os.Getenv("LOG"), func(text string) { fmt.Println(text) })
	at(os.Getenv("FILE"), func(path string) { must(os.WriteFile(path, nil, 0o644)) })
	at(os.Getenv("EXIT"), func(code string) { exit(number(code)) })
	at(os.Getenv("CRASH_ONCE"), func(path string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			f.Close()
			exit(1)
		} else if !os.IsExist(err) {
			log.Fatal(err)
		}
	})
	for os.Getenv("IGNORE_SIGTERM") == "true" {
		<-stop
	}
	<-stop
	stamp("stop")
}

// serve listens on each of the addresses of an environment variable, after
// its delay, and hands the listener over.
func serve(env, kind string, handle func(net.Listener) error) {
	for _, v := range list(env) {
		at(v, func(addr string) {
			l, err := net.Listen("tcp", addr)
			must(err)
			stamp("listening", kind, addr)
			must(handle(l))
		})
	}
}

func hold(l net.Listener) error {
	return accept(l, func(c net.Conn) {
		defer c.Close()
		for buf := make([]byte, 512); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})
}

func accept(l net.Listener, handle func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go handle(c)
	}
}

func echo(addr string) {
	c, err := net.ListenPacket("udp", addr)
	must(err)
	stamp("listening", "udp", addr)
	for buf := make([]byte, 65536); ; {
		n, from, err := c.ReadFrom(buf)
		must(err)
		c.WriteTo(buf[:n], from)
	}
}

// at calls do, in a goroutine, with value less its delay, once the delay has
// passed. An empty value is nothing to do.
func at(value string, do func(string)) {
	if value == "" {
		return
	}
	var delay time.Duration
	if i := strings.LastIndexByte(value, ' '); i > 0 {
		if d, err := time.ParseDuration(value[i+1:]); err == nil {
			value, delay = value[:i], d
		}
	}
	time.AfterFunc(delay-time.Since(began), func() { do(value) })
}

// timeline calls set with the first value now, and with the others when their
// time comes.
func timeline(env, fallback string, set func(string)) {
	v := strings.Fields(os.Getenv(env))
	if len(v) == 0 {
		v = []string{fallback}
	}
	set(v[0])
	for v = v[1:]; len(v) >= 2; v = v[2:] {
		at(v[1]+" "+v[0], set)
	}
}

func list(env string) (values []string) {
	for v := range strings.SplitSeq(os.Getenv(env), ",") {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return values
}

func stamp(words ...string) {
	fmt.Println(time.Now().UTC().Format(time.RFC3339Nano), strings.Join(words, " "))
}

func exit(code int) {
	stamp("exit", strconv.Itoa(code))
	os.Exit(code)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	must(err)
	return n
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
