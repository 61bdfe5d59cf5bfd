package peer

import (
	"context"
	"math"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

// task is one request of a peer that this node serves. Tasks are used again, with the functions that they hand out, so
// that serving a store or a read allocates little more than what it decodes.
type task struct {
	c        *conn
	id       uint32
	bytes    int64
	deadline time.Time
	keys     [][]byte
	want     coordinator.ReadWant
	scan     coordinator.ScanRequest
	write    *coordinator.WriteRequest
	exchange []byte
	// ended is told when a worker's task has been answered; nil for others.
	ended chan<- struct{}

	storeDone func(coordinator.StoreAck, error)
	readDone  func([]coordinator.ReadItem, error)
}

func newTask() *task {
	t := &task{}
	t.storeDone = func(ack coordinator.StoreAck, err error) {
		t.finish(err, 1, func(w *wire.Writer) { encodeAck(w, ack) })
	}
	t.readDone = func(items []coordinator.ReadItem, err error) {
		t.finish(err, 1, func(w *wire.Writer) { encodeReadItems(w, items) })
	}
	return t
}

// finish answers and gives the task back.
func (t *task) finish(err error, fields int, build func(w *wire.Writer)) {
	if t.ended != nil {
		defer func(ended chan<- struct{}) { ended <- struct{}{} }(t.ended)
	}
	if err != nil {
		t.c.replyError(t.id, err)
	} else {
		t.c.reply(t.id, fields, build)
	}
	t.free()
}

func (t *task) free() {
	c := t.c
	c.serving.Add(-1)
	c.servingBytes.Add(-t.bytes)
	t.c, t.keys, t.write, t.exchange, t.scan, t.ended = nil, nil, nil, nil, coordinator.ScanRequest{}, nil
	c.p.tasks.Put(t)
}

// onRequest begins a request. Stores, hints and reads of a few keys start here, on the reader's goroutine; the rest is for the
// workers. A request that cannot be decoded is answered so and the link goes on: the frame's checksum says that only
// its sender can be wrong.
func (c *conn) onRequest(id uint32, size int, r *wire.Reader) error {
	method := r.StrBytes()
	if string(method) == methodPing {
		return c.onPing(id, r)
	}
	if c.dialled {
		return c.protocolError("request %.32q on a link that this node dialled", method)
	}
	t, err := c.beginTask(id, size)
	if err != nil {
		c.replyError(id, err)
		return nil
	}
	switch string(method) {
	case methodStore:
		c.onStore(t, r)
	case methodHint:
		c.onHint(t, r)
	case methodRead:
		c.onRead(t, r)
	case methodScan:
		if c.parameters(t, r, scanFields) {
			t.scan = decodeScan(r)
			c.hand(t, r, c.p.scans)
		}
	case methodCoordinate:
		if c.parameters(t, r, writeFields) {
			t.write = decodeWrite(r)
			c.hand(t, r, c.p.writes)
		}
	case methodExchange:
		if c.parameters(t, r, 1) {
			t.exchange = r.Bytes()
			c.hand(t, r, c.p.exchanges)
		}
	default:
		t.fail(&wire.Fault{Code: wire.CodeBadRequest, Effect: wire.EffectNone, Message: "unknown method"})
	}
	return nil
}

// beginTask takes a task within the bounds of what one link's peer may have under way.
func (c *conn) beginTask(id uint32, size int) (*task, error) {
	count, bytes := c.serving.Add(1), c.servingBytes.Add(int64(size))
	if count > int64(c.p.opt.InFlightMax) || count > 1 && bytes > c.p.servingBytesMax {
		c.serving.Add(-1)
		c.servingBytes.Add(-int64(size))
		return nil, coordinator.ErrOverloaded
	}
	t := c.p.tasks.Get().(*task)
	t.c, t.id, t.bytes = c, id, int64(size)
	return t, nil
}

// fail answers with an error and gives the task back.
func (t *task) fail(err error) { t.finish(err, 0, nil) }

// parameters decodes what stands before a method's own parameters, of which there must be so many. It answers, and says
// no, if the request is malformed or late.
func (c *conn) parameters(t *task, r *wire.Reader, own int) bool {
	exactly(r, 2+own, "parameters")
	c.p.observe(r)
	sent := r.Int(0, math.MaxInt64/2)
	if err := r.Err(); err != nil {
		t.fail(malformed(err))
		return false
	}
	now, physical := c.p.times()
	left := time.Duration(sent - c.offset.Load() - physical.UnixNano())
	if left <= 0 {
		t.fail(errLate)
		return false
	}
	t.deadline = now.Add(min(left, timeoutMax))
	return true
}

// errLate: the deadline had passed when the request arrived, or when its turn came; nothing was done.
var errLate = &coordinator.WriteError{Effect: wire.EffectNone, Err: context.DeadlineExceeded}

func malformed(err error) error {
	return &wire.Fault{Code: wire.CodeBadRequest, Effect: wire.EffectNone, Message: "malformed request: " + err.Error()}
}

func (c *conn) onStore(t *task, r *wire.Reader) {
	if !c.parameters(t, r, 1) {
		return
	}
	items := decodeItems(r)
	if err := r.Done(); err != nil {
		t.fail(malformed(err))
		return
	}
	c.p.opt.Local.Store(t.deadline, items, t.storeDone)
}

// onHint keeps copies for another member.
func (c *conn) onHint(t *task, r *wire.Reader) {
	if !c.parameters(t, r, hintFields) {
		return
	}
	target, items := decodeHint(r)
	if err := r.Done(); err != nil {
		t.fail(malformed(err))
		return
	}
	if c.p.remotes[target] == nil {
		t.fail(&wire.Fault{Code: wire.CodeBadRequest, Effect: wire.EffectNone, Message: "a hint for who is no other member"})
		return
	}
	c.p.opt.Hint(t.deadline, target, items, func(err error) {
		t.storeDone(coordinator.StoreAck{Actor: c.p.opt.Local.Actor()}, err)
	})
}

func (c *conn) onRead(t *task, r *wire.Reader) {
	if !c.parameters(t, r, 2) {
		return
	}
	t.want = coordinator.ReadWant(r.Uint(uint64(coordinator.WantHeads)))
	t.keys = decodeKeys(r)
	if len(t.keys) > readInlineMax {
		c.hand(t, r, c.p.reads)
		return
	}
	if err := r.Done(); err != nil {
		t.fail(malformed(err))
		return
	}
	t.read()
}

func (t *task) read() { t.c.p.opt.Local.Read(t.deadline, t.keys, t.want, t.readDone) }

func (t *task) runScan() {
	t.c.p.opt.Local.Scan(t.deadline, t.scan, func(page *coordinator.ScanPage, err error) {
		t.finish(err, scanPageFields, func(w *wire.Writer) { encodePage(w, page) })
	})
}

// onPing answers a ping.
func (c *conn) onPing(id uint32, r *wire.Reader) error {
	arrived := c.p.opt.Now()
	exactly(r, 1+pingFields, "a ping's parameters")
	clock := causal.Timestamp(r.Uint64())
	p := decodePing(r)
	if err := r.Done(); err != nil {
		return err
	}
	c.remote.changeActor(c, p.named)
	if c.in(open) { // who was dialled may have let us in before we have judged it
		c.p.opt.Clock.Observe(clock)
		if p.hasOffset && !c.dialled {
			c.offset.Store(int64(-p.offset))
		}
		// Who pings has let us in, too: its messages may be long from now on.
		c.link.SetMessageBytesMax(c.p.opt.MessageBytesMax)
	}
	c.reply(id, pongFields, func(w *wire.Writer) {
		answer := pong{named: c.p.name(), arrived: arrived, answered: c.p.opt.Now()}
		answer.encode(w)
	})
	return nil
}

// hand gives a decoded task to the workers.
func (c *conn) hand(t *task, r *wire.Reader, queue chan<- *task) {
	if err := r.Done(); err != nil {
		t.fail(malformed(err))
		return
	}
	select {
	case queue <- t:
	default:
		t.fail(coordinator.ErrOverloaded)
	}
}

// runToTheEnd runs one task of a queue after another, each until it is answered: so there are never more at once than
// workers.
func (p *Peers) runToTheEnd(ctx context.Context, queue <-chan *task, run func(*task)) {
	ended := make(chan struct{}, 1)
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-queue:
			if !t.deadline.After(time.Now()) {
				t.fail(errLate)
				continue
			}
			t.ended = ended
			run(t)
			select {
			case <-ended:
			case <-ctx.Done():
				return
			}
		}
	}
}

// handWrites hands forwarded writes to the coordinator, which does not wait for their end.
func (p *Peers) handWrites(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-p.writes:
			if !t.deadline.After(time.Now()) {
				t.fail(errLate)
				continue
			}
			t.write.Deadline = t.deadline
			p.opt.Coordinate(t.deadline, t.write, func(outcomes []coordinator.Outcome, err error) {
				t.finish(err, 1, func(w *wire.Writer) { encodeOutcomes(w, outcomes) })
			})
		}
	}
}
