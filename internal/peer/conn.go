package peer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

var (
	errHandshakeTimeout = errors.New("handshake timed out")
	errReplaced         = errors.New("replaced by a later link of the node")
	errNotReading       = errors.New("it does not read its answers")
)

// phase is how far a link is. It only grows.
type phase int32

const (
	// greeting: the acceptor waits for a hello, the dialler for the answer to its own.
	greeting phase = iota
	// judging: the hello is being checked, away from the reader. The other side must keep silent, but for the pings of an acceptor that is
	// through with its own check.
	judging
	// entering: it was found good, and the other side may know; what it sends waits for the link to be entered, which takes no I/O.
	entering
	// open: requests, answers and pings.
	open
)

// conn is one link, of either direction.
type conn struct {
	p       *Peers
	link    *wire.Link
	addr    string
	dialled bool
	class   class
	calls   *calls
	ctx     context.Context
	// stop ends the link and says why. It does not wait.
	stop context.CancelCauseFunc

	// r decodes the present message, on the reader's goroutine: one Reader for all of them costs no allocation.
	r     wire.Reader
	phase atomic.Int32
	// opened is closed when the phase becomes open.
	opened chan struct{}
	// refused is why this node refused the other one.
	refused *HandshakeError
	// work are the goroutines besides the link's own; run waits for them.
	work sync.WaitGroup

	// remote is the member at the other end, known to a dialler at once; theirs is its hello. Both stand before the
	// phase is open.
	remote *remote
	theirs *hello
	// named, under remote.mu, is the actor that the other end has named since its hello; zero if none.
	named named
	// offset is the other's physical clock less ours, in nanoseconds: what the deadlines of its requests are translated
	// by.
	offset atomic.Int64
	// serving and servingBytes are the other's requests that are not answered.
	serving      atomic.Int64
	servingBytes atomic.Int64
	// pinged is when the last ping was sent, the tender's own; answered when the last one was sent that came back. Both
	// are by Peers.elapsed.
	pinged   time.Duration
	answered atomic.Int64
	// unanswered is when the first ping was sent that none after it was answered, the tender's own; heard when a message
	// last came.
	unanswered time.Duration
	heard      atomic.Int64
}

func (p *Peers) newConn(ctx context.Context, nc net.Conn, addr string) *conn {
	o := &p.opt
	c := &conn{
		p: p, addr: addr, opened: make(chan struct{}),
		calls: newCalls(o.InFlightMax, o.InFlightBytesMax),
		link: wire.NewLink(nc, wire.LinkOptions{
			Framing: wire.Framed, MessageBytesMax: o.MessageBytesMax, SendBytesMax: o.SendBytesMax,
			MessageTimeout: o.MessageTimeout, IdleTimeout: o.LinkTimeout, WriteTimeout: o.WriteTimeout,
			ReceiveBudget: p.receive,
		}),
	}
	c.link.SetMessageBytesMax(helloBytesMax)
	c.ctx, c.stop = context.WithCancelCause(ctx)
	return c
}

// run carries the link until it ends and returns why. When it returns, every request on it has ended and nothing of it
// runs.
func (c *conn) run() error {
	c.work.Go(c.tend)
	err := c.link.Run(c.ctx, c.onMessage, nil)
	c.stop(err)
	c.work.Wait()
	if c.remote != nil {
		c.remote.drop(c)
	}
	if c.refused != nil {
		err = c.refused
	}
	c.calls.close(&LostError{Node: c.nodeID(), Err: err}, err)
	return err
}

func (c *conn) in(ph phase) bool { return phase(c.phase.Load()) == ph }

func (c *conn) protocolError(format string, args ...any) error {
	return fmt.Errorf("protocol: "+format, args...)
}

// onMessage takes one message of the link, on its reader's goroutine.
func (c *conn) onMessage(msg []byte) error {
	c.r = wire.NewReader(msg)
	r := &c.r
	c.heard.Store(int64(c.p.elapsed()))
	ph := phase(c.phase.Load()) // once: it may change meanwhile
	if ph == entering {
		select {
		case <-c.opened:
			ph = open
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
	n := r.ArrayLen(4)
	kind := r.Uint(kindNotice)
	id := uint32(0)
	if kind != kindNotice {
		id = uint32(r.Uint(math.MaxUint32))
	}
	want := 4
	if kind == kindNotice {
		want = 3
	}
	if r.Err() == nil && n != want {
		r.Fail("an envelope of %d elements", n)
	}
	if err := r.Err(); err != nil {
		return err
	}
	switch {
	case kind == kindNotice:
		return c.onNotice(r)
	case ph == open:
		if kind == kindRequest {
			return c.onRequest(id, len(msg), r)
		}
		return c.onAnswer(id, r)
	case ph == judging && c.dialled && kind == kindRequest:
		// The acceptor is through with us, and says who it is.
		return c.onRequest(id, len(msg), r)
	case ph == greeting && c.dialled && kind == kindAnswer:
		return c.onHelloAnswer(r)
	case ph == greeting && !c.dialled && kind == kindRequest:
		return c.onHello(id, r)
	}
	return c.protocolError("a message before the handshake is complete")
}

// onAnswer ends the call that an answer is for. Late answers find none.
func (c *conn) onAnswer(id uint32, r *wire.Reader) error {
	waiting, ok := c.calls.take(id)
	if !ok {
		return nil
	}
	if c.remote != nil && c.class == foreground {
		c.remote.health.measure(&waiting, time.Duration(c.heard.Load())-waiting.sent)
	}
	if !r.TryNil() {
		exactly(r, 2, "an error answer")
		c.p.observe(r)
		err := decodeError(r)
		if r.TryNil(); r.Done() != nil {
			err = fmt.Errorf("answer of %s: %w", c.remote.id, r.Err())
		}
		waiting.fail(err)
		return nil
	}
	switch {
	case waiting.store != nil:
		answer(c, r, 2, decodeAck, waiting.store)
	case waiting.read != nil:
		answer(c, r, 2, counted(waiting.count, decodeReadItems), waiting.read)
	case waiting.scan != nil:
		answer(c, r, 1+scanPageFields, decodePage, waiting.scan)
	case waiting.coordinate != nil:
		answer(c, r, 2, counted(waiting.count, decodeOutcomes), waiting.coordinate)
	case waiting.exchange != nil:
		answer(c, r, 2, decodeExchange, waiting.exchange)
	case waiting.ping != nil:
		answer(c, r, 1+pongFields, func(r *wire.Reader) pong {
			p := decodePong(r)
			p.back = c.p.opt.Now()
			return p
		}, waiting.ping)
	}
	return nil
}

// counted fails the answer if it has not one result for each key: who asked goes by their order.
func counted[T any](want int, decode func(*wire.Reader) []T) func(*wire.Reader) []T {
	return func(r *wire.Reader) []T {
		results := decode(r)
		if len(results) != want {
			r.Fail("%d results for %d keys", len(results), want)
		}
		return results
	}
}

// answer decodes an answer and hands it out.
func answer[T any](c *conn, r *wire.Reader, fields int, decode func(*wire.Reader) T, done func(T, error)) {
	exactly(r, fields, "an answer")
	c.p.observe(r)
	v := decode(r)
	if err := r.Done(); err != nil {
		var zero T
		done(zero, fmt.Errorf("answer of %s: %w", c.remote.id, err))
		return
	}
	done(v, nil)
}

func (c *conn) nodeID() ring.NodeID {
	if c.remote == nil {
		return ""
	}
	return c.remote.id
}

// call enters a request and sends it. ended is who hears of it if it cannot be sent; else the table sees to that.
func (c *conn) call(waiting call, build func(w *wire.Writer, id uint32)) {
	id, err := c.calls.add(waiting)
	if err != nil {
		waiting.fail(&coordinator.UnreachableError{Node: c.nodeID(), Err: err})
		return
	}
	err = c.link.Send(func(w *wire.Writer) { build(w, id) })
	if err == nil {
		return
	}
	if errors.Is(err, wire.ErrTooLarge) {
		const detail = "the request exceeds what a message between nodes may hold"
		err = &coordinator.RequestError{Detail: detail, Err: coordinator.ErrTooLarge}
	} else {
		err = &coordinator.UnreachableError{Node: c.nodeID(), Err: err}
	}
	// Whoever takes the call out of the table ends it: if the link broke meanwhile, that was run.
	if waiting, ours := c.calls.take(id); ours {
		waiting.fail(err)
	}
}

// reply sends an answer. It falls back to an error where the answer is too large; a peer that does not read is cut off.
func (c *conn) reply(id uint32, fields int, build func(w *wire.Writer)) {
	err := c.link.Send(func(w *wire.Writer) {
		encodeAnswer(w, id, 1+fields)
		w.Uint(uint64(c.p.opt.Clock.Last()))
		build(w)
	})
	if errors.Is(err, wire.ErrTooLarge) {
		c.replyError(id, &wire.Fault{Code: wire.CodeTooLarge, Message: "the answer exceeds what a message may hold"})
		return
	}
	c.cutIfFull(err)
}

// replyError answers with an error.
func (c *conn) replyError(id uint32, cause error) {
	c.cutIfFull(c.link.Send(func(w *wire.Writer) { encodeErrorAnswer(w, id, c.p.opt.Clock.Last(), cause) }))
}

func (c *conn) cutIfFull(err error) {
	if errors.Is(err, wire.ErrSendFull) {
		c.stop(errNotReading)
	}
}

// sweepInterval is the least time between two looks for expired calls: how late an expiry may be.
const sweepInterval = 10 * time.Millisecond

// tend sees to deadlines and pings until the link ends.
func (c *conn) tend() {
	opt := &c.p.opt
	timer := time.NewTimer(opt.HandshakeTimeout)
	defer timer.Stop()
	opened, pinging := c.opened, false
	var swept time.Duration
	nextPing := never
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-opened:
			opened, pinging = nil, c.dialled
			nextPing = c.pinged + c.pingInterval()
		case <-c.calls.sooner:
		case <-timer.C:
			if opened != nil {
				c.stop(errHandshakeTimeout)
				return
			}
		}
		if opened != nil {
			continue
		}
		now := c.p.elapsed()
		if now >= swept+sweepInterval {
			swept = now
			if c.sweep(now) {
				nextPing = now
			}
		}
		wake := max(c.calls.next(), swept+sweepInterval)
		if pinging {
			var look time.Duration
			nextPing, look = c.keepAsking(now, nextPing)
			wake = min(wake, nextPing, look)
		}
		timer.Reset(wake - now)
	}
}

// sweep ends the expired calls. It says whether that has cast a new doubt on the peer.
func (c *conn) sweep(now time.Duration) (doubt bool) {
	waited := c.calls.expire(now)
	if waited < c.p.opt.SuspectAfter || !c.dialled || c.class != foreground {
		return false
	}
	return c.remote.doubt(fmt.Sprintf("a request got no answer for %v", waited.Round(time.Millisecond)))
}

// ping sends a ping; waiting is its call.
func (c *conn) ping(waiting call) {
	p := ping{named: c.p.name()}
	p.offset, p.hasOffset = c.remote.offset()
	c.call(waiting, func(w *wire.Writer, id uint32) {
		encodeRequest(w, id, methodPing, 1+pingFields)
		w.Uint(uint64(c.p.opt.Clock.Last()))
		p.encode(w)
	})
}

// tellActor tells the other end this node's actor, ahead of all that is sent after it. A link that cannot carry that must not carry anything else.
func (c *conn) tellActor() {
	c.ping(call{deadline: never, sent: c.p.elapsed(), ping: func(_ pong, err error) {
		if err != nil {
			c.stop(err)
		}
	}})
}

// firstToAnswer pings the other ends of links and returns the first link whose end answers in time; nil if none does.
// It waits.
func firstToAnswer(ctx context.Context, links []*conn) *conn {
	answered := make(chan *conn, len(links))
	for _, c := range links {
		now := c.p.elapsed()
		c.ping(call{
			deadline: now + c.p.opt.HandshakeTimeout/2, sent: now,
			ping: func(_ pong, err error) {
				if err != nil {
					answered <- nil
					return
				}
				answered <- c
			},
		})
	}
	for range links {
		select {
		case c := <-answered:
			if c != nil {
				return c
			}
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
