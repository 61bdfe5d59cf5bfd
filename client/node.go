package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/internal/tail"
	"github.com/ringcask/ringcask/internal/wire"
)

const (
	probePauseFirst = 50 * time.Millisecond
	probePauseMax   = 2 * time.Second
)

// node is a node as the client knows it: its connections and whether it answers.
type node struct {
	c    *Client
	addr string
	// slots has ConnectionsPerNode places for connections, used in turn.
	slots []slot
	turn  atomic.Uint32
	// inFlight is the requests under way.
	inFlight atomic.Int64
	// heard counts the answers that came.
	heard atomic.Uint64
	// reads and writes are how long requests for one key took.
	reads, writes tail.Meter
	// out says that the node failed and has not answered a ping since.
	out atomic.Bool
	// retired says that no further request will be sent to the node.
	retired atomic.Bool
}

// slot holds a connection or the attempt to make one.
type slot struct {
	mu      sync.Mutex
	conn    *conn
	dialing *dialing
}

// dialing is a connection in the making. conn or err is set when done is closed.
type dialing struct {
	done chan struct{}
	conn *conn
	err  error
}

func newNode(c *Client, addr string) *node {
	return &node{c: c, addr: addr, slots: make([]slot, c.opts.ConnectionsPerNode)}
}

// call sends one request to the node and waits for the answer. Its options, if they are given, get the deadline by the node's clock: when
// their Timeout has passed from now. Errors: those of roundTrip; *notSentError where there is no connection.
func (n *node) call(
	ctx context.Context, wait time.Duration, method string, params func(*wire.Writer), o *wire.Options,
) (wire.Envelope, error) {
	n.inFlight.Add(1)
	defer n.inFlight.Add(-1)
	start := time.Now()
	conn, err := n.connect(ctx, wait)
	if err != nil {
		return wire.Envelope{}, &notSentError{err}
	}
	if o != nil {
		clock, err := conn.nodeClock(ctx, start, wait)
		if err != nil {
			return wire.Envelope{}, &notSentError{err}
		}
		o.DeadlineMicros = clock.micros(start.Add(o.Timeout))
	}
	p := n.c.pendings.Get().(*pending)
	defer n.c.pendings.Put(p)
	return conn.roundTrip(ctx, p, wait-time.Since(start), method, params)
}

// connect is a living connection of the node.
func (n *node) connect(ctx context.Context, wait time.Duration) (*conn, error) {
	s := &n.slots[n.turn.Add(1)%uint32(len(n.slots))]
	s.mu.Lock()
	if s.conn != nil && s.conn.alive() {
		defer s.mu.Unlock()
		return s.conn, nil
	}
	d := s.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		if !n.c.spawn(func() { n.dial(s, d) }) {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		s.dialing = d
	}
	s.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-timer.C:
		return nil, errAttemptTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dial makes a connection for the slot, and then carries its answers until it ends.
func (n *node) dial(s *slot, d *dialing) {
	ctx, cancel := context.WithTimeout(n.c.life, n.c.opts.DialTimeout)
	nc, err := n.c.opts.Dial(ctx, n.addr)
	cancel()
	if err != nil {
		d.err = fmt.Errorf("connect: %w", err)
	} else {
		d.conn = newConn(nc, n)
	}
	s.mu.Lock()
	s.conn, s.dialing = d.conn, nil
	s.mu.Unlock()
	close(d.done)
	if d.conn == nil {
		return
	}
	if n.retired.Load() { // while the connection was made, so that retire has not seen it
		n.disconnect()
	}
	d.conn.run(n.c.life)
}

// tail is the meter of reads or of writes.
func (n *node) tail(safe safety) *tail.Meter {
	if safe == safeRead {
		return &n.reads
	}
	return &n.writes
}

// retire ends the connections for good.
func (n *node) retire() {
	n.retired.Store(true)
	n.disconnect()
}

// disconnect ends the connections; what is under way on them is lost.
func (n *node) disconnect() {
	for i := range n.slots {
		s := &n.slots[i]
		s.mu.Lock()
		conn := s.conn
		s.conn = nil
		s.mu.Unlock()
		if conn != nil {
			_ = conn.link.Close()
		}
	}
}

// forgetClock has the node's clock estimated anew, for the node has judged a deadline otherwise than we did.
func (n *node) forgetClock() {
	for i := range n.slots {
		s := &n.slots[i]
		s.mu.Lock()
		if s.conn != nil {
			s.conn.estimate.Store(nil)
		}
		s.mu.Unlock()
	}
}

// failed takes the node out of the choice and pings it until it answers.
func (n *node) failed() {
	if !n.out.CompareAndSwap(false, true) {
		return
	}
	n.c.topologyStale()
	n.c.spawn(n.probe)
}

// probe pings the node with growing pauses until it answers, the client is closed, or the node is not needed any more.
func (n *node) probe() {
	wait := probePauseFirst
	for n.c.sleep(n.c.life, n.c.jitter(wait)) == nil && n.c.needs(n) {
		err := n.ping()
		if err == nil {
			n.out.Store(false)
			return
		}
		// A connection that swallows pings is of no use; the next ping makes another.
		if errors.Is(err, errAttemptTimeout) {
			n.disconnect()
		}
		wait = min(2*wait, probePauseMax)
	}
}

func (n *node) ping() error {
	e, err := n.call(n.c.life, n.c.opts.DialTimeout, wire.MethodPing, (&wire.PlainRequest{}).Encode, nil)
	if err != nil {
		return err
	}
	if f, _ := e.Failure(); f != nil {
		return f // it drains, or is not what we take it for
	}
	var pong wire.PingResult
	return pong.Decode(&e.Body)
}
