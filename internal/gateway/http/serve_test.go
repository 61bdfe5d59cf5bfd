package httpgw

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// served is a gateway on a real socket.
type served struct {
	*fixture
	addr   string
	cancel context.CancelFunc
	ended  chan error
}

func serveOn(t *testing.T, change ...func(*Options)) *served {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{fixture: newFixture(t, change...), addr: listener.Addr().String(), cancel: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		<-s.ended
	})
	return s
}

// end stops the server and returns what Serve returned; it may be called once.
func (s *served) end() error {
	s.cancel()
	err := <-s.ended
	s.ended <- nil
	return err
}

// talk sends bytes on a new connection and returns the answers' bytes until the server closes it.
func (s *served) talk(send string) string {
	conn := s.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, send); err != nil {
		return "" // closed while we were sending
	}
	body, _ := io.ReadAll(conn)
	return string(body)
}

func (s *served) dial() net.Conn {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		panic(err) // on whatever goroutine: there is no test without the server
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // so that a server that hangs fails the test
	return conn
}

// alive checks that another client is served.
func (s *served) alive() {
	s.t.Helper()
	if got := s.talk("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") {
		s.t.Errorf("another client got %q", got)
	}
}

func TestHostileRequestsAreCutOffAndOthersServed(t *testing.T) {
	s := serveOn(t, func(o *Options) {
		o.MessageTimeout, o.HeaderBytesMax, o.ValueBytesMax = 150*time.Millisecond, 8<<10, 1<<20
	})
	var wg sync.WaitGroup
	for name, c := range map[string]struct{ send, want string }{
		"random bytes":        {"\x00\xff\x16\x03\x01\r\n\r\n", "HTTP/1.1 400"},
		"huge headers":        {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		"huge path":           {"GET /kv/" + strings.Repeat("x", 40<<10) + " HTTP/1.1\r\n\r\n", "HTTP/1.1 431"},
		"a broken escape":     {"GET /kv/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		"slow headers":        {"GET /kv/a HTTP/1.1\r\nHost: x\r\nX-Slow: ", ""},
		"giant length":        {"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 9223372036854775807\r\n\r\nabc", "HTTP/1.1 413"},
		"negative length":     {"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400"},
		"slow body":           {"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nabc", "HTTP/1.1 408"},
		"slow chunks":         {"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "HTTP/1.1 408"},
		"a giant chunk":       {"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc", "HTTP/1.1 4"},
		"a body nobody reads": {"GET /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", "HTTP/1.1 404"},
		"two lengths":         {"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400"},
	} {
		wg.Go(func() {
			start := time.Now()
			if got := s.talk(c.send); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s: got %q, want %s", name, got, c.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: held for %v", name, took)
			}
			s.alive()
		})
	}
	wg.Wait()
	if _, written := s.store.value("a"); written {
		t.Error("something was written")
	}
	if held := s.adm.Status(); held.InFlight != 0 || held.InFlightBytes != 0 {
		t.Errorf("left %+v admitted", held)
	}
}

func TestAnUploadThatIsCutShortIsNotStored(t *testing.T) {
	s := serveOn(t)
	head := "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
	for _, send := range []string{
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
		head + "Content-Length: 10\r\n\r\nhello",
	} {
		conn := s.dial()
		if _, err := io.WriteString(conn, send); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(conn)
		conn.Close()
		if v, written := s.store.value("a"); written {
			t.Errorf("%q stored %q", send, v)
		}
	}
}

func TestKeysAreTakenFromTheRawRequestLine(t *testing.T) {
	s := serveOn(t)
	for target, key := range map[string]string{
		"/kv/a//b/../%2e%2E/%2F": "a//b/../..//", "http://other/kv/absolute": "absolute", "/kv/\xff": "\xff",
	} {
		got := s.talk("PUT " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nv")
		if v, _ := s.store.value(key); v != "v" {
			t.Errorf("PUT %q did not write %q: %s", target, key, got)
		}
	}
}

func TestConnectionsBeyondTheMostAreClosedAtOnceAndPlacesComeBack(t *testing.T) {
	s := serveOn(t, func(o *Options) { o.ConnectionsMax = 2 })
	open := []net.Conn{s.dial(), s.dial()}
	for _, conn := range open {
		if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatal(err)
		}
	}
	third := s.dial()
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection was served")
	}
	third.Close()
	open[0].Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if got := s.talk("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); strings.HasPrefix(got, "HTTP/1.1 200") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place did not come back")
		}
	}
	open[1].Close()
}

func TestServeWaitsForRequestsUnderWay(t *testing.T) {
	s := serveOn(t)
	s.store.block, s.store.started = make(chan struct{}), make(chan struct{}, 1)
	answered := make(chan string, 1)
	go func() {
		answered <- s.talk("PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"value\":\"v\"}")
	}()
	<-s.store.started
	s.cancel()
	<-s.draining
	select {
	case err := <-s.ended:
		t.Fatalf("Serve returned %v with a request under way", err)
	default:
	}
	close(s.store.block)
	if got := <-answered; !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("got %q", got)
	}
	if err := s.end(); err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestServeCutsOffWhatDoesNotEnd(t *testing.T) {
	s := serveOn(t, func(o *Options) { o.DrainTimeout = 50 * time.Millisecond })
	s.store.block, s.store.started = make(chan struct{}), make(chan struct{}, 1)
	answered := make(chan string, 1)
	go func() { answered <- s.talk("GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n") }()
	<-s.store.started
	if err := s.end(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve returned %v", err)
	}
	if got := <-answered; got != "" {
		t.Errorf("got %q", got)
	}
}

func TestConnectionsWithoutARequestDoNotHoldUpTheEnd(t *testing.T) {
	s := serveOn(t)
	fresh, idle := s.dial(), s.dial()
	defer fresh.Close()
	defer idle.Close()
	if _, err := io.WriteString(idle, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.end(); err != nil || time.Since(start) > 2*time.Second {
		t.Errorf("Serve returned %v after %v", err, time.Since(start))
	}
}

func TestStreamsEndWhenTheServerDoes(t *testing.T) {
	s := serveOn(t)
	for i := range 100 {
		s.store.put(fmt.Sprintf("k%02d", i), "v")
	}
	s.store.pageMax = 1
	s.store.block, s.store.started = make(chan struct{}), make(chan struct{}, 1)
	answered := make(chan string, 1)
	go func() {
		answered <- s.talk("GET /kv/range?start=k HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
	}()
	<-s.store.started
	s.cancel()
	<-s.draining
	close(s.store.block)
	got := <-answered
	if !strings.Contains(got, `"code":"unavailable"`) || !strings.Contains(got, `"cursor":"`) || strings.Contains(got, "k01") {
		t.Errorf("the stream ended with %q", got)
	}
	if err := s.end(); err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func TestAClientThatDoesNotTakeItsStreamIsGivenUp(t *testing.T) {
	s := serveOn(t, func(o *Options) { o.MessageTimeout = 100 * time.Millisecond })
	value := strings.Repeat("x", 1<<20)
	for i := range 40 {
		s.store.put(fmt.Sprintf("k%02d", i), value)
	}
	conn := s.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /kv/range?start=k HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); s.adm.InFlight() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the stream still holds its place")
		}
		s.alive()
	}
}

func BenchmarkGet(b *testing.B) {
	f := newFixture(b)
	f.store.put("debian/bookworm/0ad", strings.Repeat("value ", 100))
	r := request("GET", "/kv/debian/bookworm/0ad", nil)
	w := &countingWriter{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		f.ServeHTTP(w, r)
	}
}

func BenchmarkPutRaw(b *testing.B) {
	f := newFixture(b)
	value := strings.Repeat("value ", 100)
	body := strings.NewReader(value)
	r := request("PUT", "/kv/debian/bookworm/0ad", io.NopCloser(body), "Content-Type", raw)
	r.ContentLength = int64(len(value))
	w := &countingWriter{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(value)
		f.ServeHTTP(w, r)
	}
}
