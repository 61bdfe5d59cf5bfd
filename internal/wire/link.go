package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Framing is how messages follow each other on a connection.
type Framing uint8

// The framings.
const (
	// Bare is a stream of MessagePack-RPC messages with nothing between them, as clients speak it.
	Bare Framing = iota
	// Framed puts a length and a checksum before each message, after a preamble, as peers speak it.
	Framed
)

// LinkOptions are the settings of a link. The zero value of a field is its default.
type LinkOptions struct {
	Framing Framing
	// MessageBytesMax bounds a message, in either direction. Zero is 64 MiB; 2 GiB less one is the most.
	MessageBytesMax int
	// ElementsMax and DepthMax bound a received message of a bare stream; see ScanLimits. A framed one is bounded by its decoder.
	ElementsMax, DepthMax int
	// SendBytesMax bounds the bytes that wait to be written. Zero is twice MessageBytesMax.
	SendBytesMax int
	// ChunkBytesMax is the size of the chunks that messages are read into, once there is traffic: what an idle connection holds.
	// A longer message gets a chunk of its own. Zero is 64 KiB.
	ChunkBytesMax int
	// MessageTimeout is how long a message may take from its first byte to its last. Zero is 30 s.
	MessageTimeout time.Duration
	// IdleTimeout closes a connection that has brought nothing for so long, give or take a sixteenth. Zero is never.
	IdleTimeout time.Duration
	// WriteTimeout is how long the other side may take for 256 KiB of what is written: at least this long, at most twice as long.
	// Zero is 10 s.
	WriteTimeout time.Duration
	// ReceiveBudget bounds the chunks over ChunkBytesMax of all links that share it. Nil is no bound but MessageBytesMax for each.
	ReceiveBudget *Budget
}

func (o LinkOptions) withDefaults() LinkOptions {
	setDefault(&o.MessageBytesMax, 64<<20)
	o.MessageBytesMax = min(o.MessageBytesMax, frameBytesLimit)
	setDefault(&o.SendBytesMax, 2*o.MessageBytesMax)
	setDefault(&o.ChunkBytesMax, 64<<10)
	o.ChunkBytesMax = max(o.ChunkBytesMax, chunkBytesMin)
	setDefault(&o.MessageTimeout, 30*time.Second)
	setDefault(&o.WriteTimeout, 10*time.Second)
	return o
}

// Errors of a link.
var (
	// ErrClosed: the link was closed from this side.
	ErrClosed = errors.New("wire: link is closed")
	// ErrSendFull: as much as SendBytesMax waits to be written; the message was not sent.
	ErrSendFull = errors.New("wire: send buffer is full")
	// ErrTooLarge: the message exceeds MessageBytesMax; it was not sent.
	ErrTooLarge = errors.New("wire: message is too large")
)

// Link is one connection that carries messages both ways.
//
// The goroutine that calls Run reads; another one, which Run starts and waits for, writes. Send appends to an outgoing
// buffer from any goroutine; the writer swaps it for an empty one and writes all that has gathered with one call. While a
// batch is being handed out nothing is written, so that the answers given meanwhile leave together.
type Link struct {
	nc   net.Conn
	opts LinkOptions
	in   inbox
	done chan struct{}
	// written is closed when the writer has ended.
	written chan struct{}

	mu      sync.Mutex
	out     Writer
	spare   []byte
	writing int   // bytes that the writer has taken and not written yet
	err     error // why the link ended
	running bool
	// closing refuses further messages; the writer ends the link when all is written.
	closing bool
	// parked says that the writer waits on wake; batching that the reader will wake it.
	parked, batching bool
	wake             chan struct{}
}

// NewLink returns a link over nc, which then belongs to it. Nothing happens before Run.
func NewLink(nc net.Conn, o LinkOptions) *Link {
	o = o.withDefaults()
	l := &Link{nc: nc, opts: o, done: make(chan struct{}), written: make(chan struct{}), wake: make(chan struct{}, 1)}
	l.in = newInbox(nc, o)
	if o.Framing == Framed {
		l.out.buf = appendPreamble(nil)
	}
	return l
}

// RemoteAddr is the address of the other side.
func (l *Link) RemoteAddr() net.Addr { return l.nc.RemoteAddr() }

// Run carries messages until the connection ends, onMessage returns an error, ctx is done or Close is called; it may be
// called once. It returns why: io.EOF when the other side closed between two messages, ErrClosed, the cause of ctx,
// onMessage's error, or what was wrong with the stream. When it returns, the connection is closed and nothing of the link runs.
//
// onMessage gets each whole message in turn. The message never changes and stays valid for as long as it is referenced, but keeps the
// chunk that it lies in alive: copy what is to be kept for long. onMessage must not block, and must not call Close or Shutdown.
// onBatchEnd, which may be nil, is called when everything that one read brought has been handed out, also if an error ended that.
//
// After an error of onMessage, what was sent before is still written if that takes no longer than a second.
func (l *Link) Run(ctx context.Context, onMessage func(msg []byte) error, onBatchEnd func()) error {
	l.mu.Lock()
	if l.running || l.err != nil {
		l.mu.Unlock()
		return ErrClosed
	}
	l.running = true
	l.mu.Unlock()
	defer close(l.done)

	go func() {
		defer close(l.written)
		l.writeLoop()
	}()
	stop := context.AfterFunc(ctx, func() { l.fail(context.Cause(ctx)) })
	err := l.readLoop(onMessage, onBatchEnd)
	var refused *refusedError
	if errors.As(err, &refused) {
		err = refused.err
		l.finish(err, min(l.opts.WriteTimeout, time.Second))
	} else {
		l.fail(err)
	}
	<-l.written
	stop()
	l.in.release()
	return l.Err()
}

// refusedError is an error of onMessage: the connection itself is sound.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }

// readLoop reads and hands out until there is an error.
func (l *Link) readLoop(onMessage func([]byte) error, onBatchEnd func()) error {
	handOut := func(msg []byte) error {
		if err := onMessage(msg); err != nil {
			return &refusedError{err}
		}
		return nil
	}
	for {
		if err := l.in.fill(); err != nil {
			return err
		}
		l.setBatching(true)
		delivered, err := l.in.handOut(handOut)
		if delivered > 0 && onBatchEnd != nil {
			onBatchEnd()
		}
		l.setBatching(false)
		if err != nil {
			return err
		}
	}
}

// setBatching holds the writer back, or lets it go if there is something to write.
func (l *Link) setBatching(on bool) {
	l.mu.Lock()
	l.batching = on
	wake := !on && l.parked && (len(l.out.buf) > 0 || l.closing || l.err != nil)
	if wake {
		l.parked = false
	}
	l.mu.Unlock()
	if wake {
		l.wake <- struct{}{}
	}
}

// fail ends the link with err, unless it has ended.
func (l *Link) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	wake := l.parked
	l.parked = false
	l.mu.Unlock()
	// The reader and the writer are thrown out of their calls; an error of closing says nothing that err does not.
	_ = l.nc.Close()
	if wake {
		l.wake <- struct{}{}
	}
}

// finish has the writer write what has gathered, for at most grace, and then end the link with err.
func (l *Link) finish(err error, grace time.Duration) {
	l.mu.Lock()
	l.closing = true
	wake := l.parked
	l.parked = false
	l.mu.Unlock()
	if wake {
		l.wake <- struct{}{}
	}
	timer := time.AfterFunc(grace, func() { l.fail(err) })
	defer timer.Stop()
	<-l.written
	l.fail(err)
}

// Err is why the link ended; nil while it has not.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends the link at once and waits until nothing of it runs. What was not written is lost. It can be called more than once.
func (l *Link) Close() error {
	l.fail(ErrClosed)
	l.mu.Lock()
	running := l.running
	l.mu.Unlock()
	if running {
		<-l.done
	}
	return nil
}

// Shutdown refuses further messages, writes what was sent before for at most grace, and then closes.
func (l *Link) Shutdown(grace time.Duration) error {
	l.mu.Lock()
	running := l.running
	l.mu.Unlock()
	if running {
		l.finish(ErrClosed, grace)
	}
	return l.Close()
}

// String names the connection in logs.
func (l *Link) String() string { return fmt.Sprintf("%s-%s", l.nc.LocalAddr(), l.nc.RemoteAddr()) }
