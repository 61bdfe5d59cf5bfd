package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// pending is a request that waits for its answer. It is reused when the answer was received.
type pending struct {
	// done gets one token when env or err is set.
	done  chan struct{}
	timer *time.Timer
	env   wire.Envelope
	err   error
}

func newPending() *pending {
	p := &pending{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	p.timer.Stop()
	return p
}

// notSentError is a request that never left this process: it had no effect.
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }
func (e *notSentError) Unwrap() error { return e.err }

// lostError is a connection that broke while a request was under way.
type lostError struct{ err error }

func (e *lostError) Error() string { return "connection lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// errAttemptTimeout is a node that did not answer in time.
var errAttemptTimeout = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)

// conn is one connection with the requests that are under way on it.
type conn struct {
	node *node
	link *wire.Link

	mu      sync.Mutex
	waiting map[uint32]*pending
	lastID  uint32
	asking  *asking // the ping for the node's time that is under way
	err     error   // why the connection ended

	// estimate is of the node's clock; nil for none.
	estimate atomic.Pointer[estimate]
}

func newConn(nc net.Conn, n *node) *conn {
	o := &n.c.opts
	return &conn{
		node: n,
		link: wire.NewLink(nc, wire.LinkOptions{
			Framing: wire.Bare, MessageBytesMax: o.MessageBytesMax, SendBytesMax: sendBytesMax,
			WriteTimeout: o.Timeout, MessageTimeout: max(o.Timeout, 30*time.Second),
			// A page of a range has three values for each item.
			ElementsMax: 8 << 20,
		}),
		waiting: make(map[uint32]*pending),
	}
}

// run carries answers until the connection ends; every request that waits then fails.
func (c *conn) run(ctx context.Context) {
	err := c.link.Run(ctx, c.onMessage, nil)
	c.mu.Lock()
	c.err = err
	waiting, asking := c.waiting, c.asking
	c.waiting, c.asking = nil, nil
	c.mu.Unlock()
	for _, p := range waiting {
		p.err = &lostError{err}
		p.done <- struct{}{}
	}
	if asking != nil {
		close(asking.done)
	}
}

// alive says whether requests can be sent.
func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

func (c *conn) onMessage(msg []byte) error {
	e, err := wire.ParseEnvelope(msg)
	if err != nil {
		return err
	}
	if e.Type != wire.TypeResponse {
		return fmt.Errorf("message of type %d where a response is expected", e.Type)
	}
	c.node.heard.Add(1) // before who waits goes on, perhaps to send the next request
	if p := c.take(e.ID); p != nil {
		p.env = e
		p.done <- struct{}{}
		return nil
	}
	if a := c.asked(e.ID); a != nil {
		return c.told(a, &e)
	}
	return nil // nobody waits for an answer that comes too late
}

// take removes a request from those that wait; nil if it does not. Who took it must put a token in done, or keep it.
func (c *conn) take(id uint32) *pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.waiting[id]
	delete(c.waiting, id)
	return p
}

// add registers a request under a new id.
func (c *conn) add(p *pending) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, &notSentError{c.err}
	}
	id := c.nextIDLocked()
	c.waiting[id] = p
	return id, nil
}

// nextIDLocked is an id that no request under way has.
func (c *conn) nextIDLocked() uint32 {
	for {
		c.lastID++
		if _, used := c.waiting[c.lastID]; !used && (c.asking == nil || c.asking.id != c.lastID) {
			return c.lastID
		}
	}
}

// roundTrip sends a request and waits for its answer until the time is up or ctx is done; p is free for another request afterwards.
// Errors: *notSentError, *lostError, errAttemptTimeout, or the error of ctx.
func (c *conn) roundTrip(ctx context.Context, p *pending, wait time.Duration, method string, params func(*wire.Writer)) (wire.Envelope, error) {
	id, err := c.add(p)
	if err != nil {
		return wire.Envelope{}, err
	}
	err = c.link.Send(func(w *wire.Writer) {
		w.Request(id, method)
		params(w)
	})
	if err != nil {
		c.abandon(id, p)
		return wire.Envelope{}, &notSentError{err}
	}
	p.timer.Reset(wait)
	select {
	case <-p.done:
		p.timer.Stop()
	case <-p.timer.C:
		err = errAttemptTimeout
	case <-ctx.Done():
		p.timer.Stop()
		if err = ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
			err = errAttemptTimeout
		}
	}
	if err != nil {
		c.abandon(id, p)
		return wire.Envelope{}, err
	}
	e, err := p.env, p.err
	p.env, p.err = wire.Envelope{}, nil
	return e, err
}

// abandon stops waiting for an answer, so that p can be used again.
func (c *conn) abandon(id uint32, p *pending) {
	if c.take(id) == nil {
		<-p.done // somebody else took it and is about to say so
		p.env, p.err = wire.Envelope{}, nil
	}
}
