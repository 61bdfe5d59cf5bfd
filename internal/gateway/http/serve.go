package httpgw

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// Serve answers requests that arrive at the listener until ctx is done, and closes it. Then it takes no more
// connections, ends streams, waits up to DrainTimeout for the requests under way, and cuts off what is left. It
// returns nil if it was ended by ctx and nothing had to be cut off, else an error. It is to be called once.
func (g *Gateway) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: g.opt.MessageTimeout,
		// A backstop: answers set a tighter deadline, streams move it on.
		WriteTimeout:   g.opt.TimeoutMax + 2*g.opt.MessageTimeout,
		IdleTimeout:    g.opt.IdleTimeout,
		MaxHeaderBytes: g.opt.HeaderBytesMax,
		ErrorLog:       slog.NewLogLogger(g.opt.Logger.Handler(), slog.LevelDebug),
	}
	fresh := &freshConns{conns: make(map[net.Conn]struct{})}
	server.ConnState = fresh.note
	limited := &limitedListener{Listener: listener, max: int64(g.opt.ConnectionsMax), metrics: g.metrics}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(limited) }()
	select {
	case err := <-ended:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	g.drainOnce.Do(func() { close(g.draining) })
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opt.DrainTimeout)
	defer cancel()
	fresh.close()
	err := server.Shutdown(drain)
	if err != nil {
		err = errors.Join(errors.New("httpgw: requests under way were cut off"), err, server.Close())
	}
	<-ended
	return err
}

// limitedListener closes connections beyond a number at once: a client that is turned away can go elsewhere, one that
// waits cannot.
type limitedListener struct {
	net.Listener
	max     int64
	open    atomic.Int64
	metrics *metrics
}

// Accept waits for a connection that there is room for.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			l.metrics.connections.Inc()
			return &limitedConn{Conn: conn, listener: l}, nil
		}
		l.open.Add(-1)
		l.metrics.refused.Inc()
		// Nothing was promised to it.
		_ = conn.Close()
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	listener *limitedListener
	once     sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() {
		c.listener.open.Add(-1)
		c.listener.metrics.connections.Dec()
	})
	return c.Conn.Close()
}

// freshConns are the connections that have not sent a byte. A shutdown would wait for their first request for seconds.
type freshConns struct {
	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// note is told of every change of a connection's state.
func (f *freshConns) note(conn net.Conn, state http.ConnState) {
	if f.add(conn, state) {
		_ = conn.Close()
	}
}

// add keeps the set, and says whether the connection came too late.
func (f *freshConns) add(conn net.Conn, state http.ConnState) (late bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.conns, conn)
		return false
	}
	if !f.closed {
		f.conns[conn] = struct{}{}
	}
	return f.closed
}

// close closes those there are and any that come.
func (f *freshConns) close() {
	f.mu.Lock()
	f.closed = true
	conns := slices.Collect(maps.Keys(f.conns))
	f.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}
