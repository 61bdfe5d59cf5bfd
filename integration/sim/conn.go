package sim

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// windowBytes is how much of a direction may be under way: who writes more waits, as with TCP.
const windowBytes = 1 << 20

// conn is one end of a connection.
type conn struct {
	port          *Port
	in, out       *flow
	local, remote address
	once          sync.Once
}

var _ net.Conn = (*conn)(nil)

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write implements net.Conn. It copies p.
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close implements net.Conn: the other end reads what is under way, and then the end.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.port.leave(c)
		c.out.finish()
		c.in.abandon()
		c.port.net.forget(c.in, c.out)
	})
	return nil
}

// sever ends the connection as the end of its process does; silently, the other end hears nothing of it.
func (c *conn) sever(silent bool) {
	if silent {
		c.out.vanish()
		c.in.vanish()
	} else {
		c.out.fail(syscall.ECONNRESET)
		c.in.fail(syscall.ECONNRESET)
	}
	c.in.abandon()
	c.out.abort()
	c.port.net.forget(c.in, c.out)
}

// forget leaves connections out of what later changes of the paths strike. A direction whose other end is still open keeps what it has.
func (n *Network) forget(flows ...*flow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range flows {
		if f.over() {
			delete(n.flows, f)
		}
	}
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

// chunk is bytes under way: a whole frame on the links of peers, where frames can be lost by themselves.
type chunk struct {
	at    time.Time
	bytes []byte
	// joined bytes go on where the chunk before them ended, in the middle of a frame.
	joined bool
}

// flow is one direction of a connection. The end that writes and the end that reads use it at the same time, each from one goroutine.
type flow struct {
	net *Network
	// path is the way of the bytes, back the other one.
	path, back *path
	// frames finds the frames in what is written; nil where there are none.
	frames *framer
	// readable and writable have a token when a waiting end should look again.
	readable, writable chan struct{}

	mu     sync.Mutex
	queue  []chunk
	queued int
	// last is when the last of what was written arrives.
	last time.Time
	// finished: no more is written; abandoned: nobody reads; vanishing: nothing arrives any more.
	finished, abandoned, vanishing bool
	// aborted: the end that writes is gone; err ends both ends.
	aborted                     bool
	err                         error
	readDeadline, writeDeadline time.Time
}

func newFlow(n *Network, there, back *path, framed bool) *flow {
	f := &flow{net: n, path: there, back: back, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
	if framed {
		f.frames = new(framer)
	}
	return f
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// look wakes both ends.
func (f *flow) look() {
	wake(f.readable)
	wake(f.writable)
}

func (f *flow) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.abandoned && (f.finished || f.aborted) || f.err != nil
}

func (f *flow) change(how func()) {
	f.mu.Lock()
	how()
	f.mu.Unlock()
	f.look()
}

func (f *flow) finish()  { f.change(func() { f.finished = true }) }
func (f *flow) abandon() { f.change(func() { f.abandoned = true }) }
func (f *flow) abort()   { f.change(func() { f.aborted = true }) }

// fail ends the connection for both ends, what is under way included.
func (f *flow) fail(err error) {
	f.change(func() {
		if f.err == nil {
			f.err = err
		}
	})
}

// vanish loses what is under way and all that will be written.
func (f *flow) vanish() {
	f.change(func() { f.vanishing, f.queue, f.queued = true, nil, 0 })
}

func (f *flow) setReadDeadline(t time.Time)  { f.change(func() { f.readDeadline = t }) }
func (f *flow) setWriteDeadline(t time.Time) { f.change(func() { f.writeDeadline = t }) }

// read waits for the first bytes that have arrived.
func (f *flow) read(p []byte) (int, error) {
	for {
		n, at, err := f.tryRead(p)
		if n > 0 || err != nil {
			return n, err
		}
		await(f.readable, at)
	}
}

// await waits for a token, or a moment if there is one.
func await(token <-chan struct{}, at time.Time) {
	if at.IsZero() {
		<-token
		return
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-token:
	case <-timer.C:
	}
}

// tryRead reads what has arrived. If that is nothing it says when to look again, at the latest.
func (f *flow) tryRead(p []byte) (n int, again time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	again = f.readDeadline
	switch {
	case f.abandoned:
		return 0, again, net.ErrClosed
	case !again.IsZero() && !again.After(now):
		return 0, again, os.ErrDeadlineExceeded
	case f.err != nil:
		return 0, again, f.err
	case f.vanishing || f.path.holds():
		return 0, again, nil
	case len(f.queue) == 0:
		if f.finished {
			return 0, again, io.EOF
		}
		return 0, again, nil
	}
	for n < len(p) && len(f.queue) > 0 && !f.queue[0].at.After(now) {
		head := &f.queue[0]
		took := copy(p[n:], head.bytes)
		n += took
		if head.bytes = head.bytes[took:]; len(head.bytes) == 0 {
			f.queue = f.queue[1:]
		} else {
			head.joined = true
		}
	}
	if n > 0 {
		full := f.queued >= windowBytes
		if f.queued -= n; full {
			wake(f.writable)
		}
	} else if at := f.queue[0].at; again.IsZero() || at.Before(again) {
		again = at
	}
	return n, again, nil
}

// write puts bytes under way as soon as there is room for them.
func (f *flow) write(p []byte) (int, error) {
	for {
		again, err := f.mayWrite()
		if err != nil {
			return 0, err
		}
		if again == nil {
			f.send(p)
			return len(p), nil
		}
		await(f.writable, *again)
	}
}

// mayWrite is nil if there is room, else when to look again.
func (f *flow) mayWrite() (again *time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.finished || f.aborted:
		return nil, net.ErrClosed
	case f.err != nil:
		return nil, f.err
	case f.abandoned && !f.back.holds() && !f.vanishing:
		return nil, syscall.EPIPE
	case !f.writeDeadline.IsZero() && !f.writeDeadline.After(time.Now()):
		return nil, os.ErrDeadlineExceeded
	case f.queued >= windowBytes:
		at := f.writeDeadline
		return &at, nil
	}
	return nil, nil
}

// send puts bytes under way, frame by frame where there are frames.
func (f *flow) send(p []byte) {
	owned := append([]byte(nil), p...)
	if f.frames == nil {
		f.enqueue(chunk{bytes: owned}, false)
		return
	}
	f.frames.split(owned, f.sendPart)
}

func (f *flow) sendPart(part framePart) {
	c := chunk{bytes: part.bytes, joined: part.joined}
	if !part.spared && part.whole && f.path.lossy() {
		loss, duplicate, reorder := f.path.shares()
		switch {
		case f.net.dice(loss):
			return
		case !carriedOutOnce(part.bytes) && f.net.dice(duplicate):
			f.enqueue(chunk{bytes: part.bytes}, true)
		case f.net.dice(reorder):
			f.enqueue(c, true)
			return
		}
	}
	f.enqueue(c, false)
}

// enqueue gives a chunk its time. One that is held back lets others pass.
func (f *flow) enqueue(c chunk, heldBack bool) {
	now := time.Now()
	c.at = now.Add(f.net.delay(f.path) + f.path.throttled(now, len(c.bytes)))
	if heldBack {
		c.at = c.at.Add(f.net.late())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queued += len(c.bytes); f.vanishing {
		return // nothing of it is ever acknowledged
	}
	if c.at.Before(f.last) && !heldBack {
		c.at = f.last
	}
	at := len(f.queue)
	for at > 0 && f.queue[at-1].at.After(c.at) && !c.joined {
		at--
	}
	for at < len(f.queue) && f.queue[at].joined {
		at++
	}
	f.queue = append(f.queue, chunk{})
	copy(f.queue[at+1:], f.queue[at:])
	f.queue[at] = c
	if !heldBack {
		f.last = c.at
	}
	if at == 0 {
		wake(f.readable)
	}
}
