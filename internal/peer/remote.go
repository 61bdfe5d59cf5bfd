package peer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

var errNotConnected = errors.New("not connected")

// remote is another member: the coordinator's view of it, and what is known of it.
type remote struct {
	p      *Peers
	id     ring.NodeID
	member Member
	// links are the dialled ones that are open.
	links  [classCount]atomic.Pointer[conn]
	health health
	// doubtful says that the peer may be hung: it has not answered in time, nor a ping since.
	doubtful atomic.Bool
	actor    atomic.Uint64 // changed under mu, with count
	// back tells the dial loops that the peer has just dialled us: so it is up.
	back [classCount]chan struct{}

	mu    sync.Mutex
	conns map[*conn]struct{} // all that are open
	// count is that of the present boot's actor (see named); 0 if only hellos have named one.
	count     uint64
	announced *hello // the last that was let in
	filter    offsetFilter
	lastPong  time.Duration
	// doubtedAt is when doubtful was set; why is the reason that the peer is not reachable, also before it ever was.
	doubtedAt time.Duration
	why       error
}

func newRemote(p *Peers, m Member) *remote {
	r := &remote{p: p, id: m.ID, member: m, conns: make(map[*conn]struct{}), why: errNotConnected}
	for cls := range r.back {
		r.back[cls] = make(chan struct{}, 1)
	}
	return r
}

// Store implements coordinator.Replica.
func (r *remote) Store(deadline time.Time, items []coordinator.Item, done func(coordinator.StoreAck, error)) {
	t, err := r.begin(foreground, deadline)
	if err != nil {
		done(coordinator.StoreAck{}, err)
		return
	}
	t.waiting.store = done
	for i := range items {
		t.waiting.bytes += len(items[i].Key) + causal.ObjectLen(items[i].Object)
	}
	t.conn.call(t.waiting, func(w *wire.Writer, id uint32) {
		t.encode(w, id, methodStore, 1)
		encodeItems(w, items)
	})
}

// Hint implements coordinator.Peer.
func (r *remote) Hint(deadline time.Time, target ring.NodeID, items []coordinator.Item, done func(coordinator.StoreAck, error)) {
	t, err := r.begin(foreground, deadline)
	if err != nil {
		done(coordinator.StoreAck{}, err)
		return
	}
	t.waiting.store = done
	t.waiting.bytes += len(target)
	for i := range items {
		t.waiting.bytes += len(items[i].Key) + causal.ObjectLen(items[i].Object)
	}
	t.conn.call(t.waiting, func(w *wire.Writer, id uint32) {
		t.encode(w, id, methodHint, hintFields)
		encodeHint(w, target, items)
	})
}

// Read implements coordinator.Replica.
func (r *remote) Read(
	deadline time.Time, keys [][]byte, want coordinator.ReadWant, done func([]coordinator.ReadItem, error),
) {
	t, err := r.begin(foreground, deadline)
	if err != nil {
		done(nil, err)
		return
	}
	t.waiting.read, t.waiting.count = done, len(keys)
	for _, k := range keys {
		t.waiting.bytes += len(k)
	}
	t.conn.call(t.waiting, func(w *wire.Writer, id uint32) {
		t.encode(w, id, methodRead, 2)
		w.Uint(uint64(want))
		encodeKeys(w, keys)
	})
}

// Scan implements coordinator.Replica.
func (r *remote) Scan(deadline time.Time, req coordinator.ScanRequest, done func(*coordinator.ScanPage, error)) {
	t, err := r.begin(bulk, deadline)
	if err != nil {
		done(nil, err)
		return
	}
	t.waiting.scan = done
	t.waiting.bytes += len(req.Start) + len(req.End) + 4*len(req.Partitions)
	t.conn.call(t.waiting, func(w *wire.Writer, id uint32) {
		t.encode(w, id, methodScan, scanFields)
		encodeScan(w, &req)
	})
}

// Coordinate implements coordinator.Peer.
func (r *remote) Coordinate(deadline time.Time, req *coordinator.WriteRequest, done func([]coordinator.Outcome, error)) {
	t, err := r.begin(foreground, deadline)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = &coordinator.WriteError{Effect: wire.EffectNone, Err: err}
		}
		done(nil, err)
		return
	}
	t.waiting.coordinate, t.waiting.count = done, len(req.Ops)
	for i := range req.Ops {
		t.waiting.bytes += len(req.Ops[i].Key) + len(req.Ops[i].Value) + 16*len(req.Ops[i].Context)
	}
	t.conn.call(t.waiting, func(w *wire.Writer, id uint32) {
		t.encode(w, id, methodCoordinate, writeFields)
		encodeWrite(w, req)
	})
}

// Reachable implements coordinator.Peer.
func (r *remote) Reachable() bool { return r.links[foreground].Load() != nil && !r.doubtful.Load() }

// Actor implements coordinator.Peer.
func (r *remote) Actor() causal.Actor { return causal.Actor(r.actor.Load()) }

// request is one that is about to be sent.
type request struct {
	conn    *conn
	waiting call
	clock   causal.Timestamp
	// deadline is in nanoseconds since the Unix epoch, by this node's physical clock (Options.Now).
	deadline int64
}

// messageBytes is what a request has besides its keys and values, near enough for a bound.
const messageBytes = 64

// begin finds the link for a request. Errors: *coordinator.UnreachableError, context.DeadlineExceeded; neither has an
// effect.
func (r *remote) begin(cls class, deadline time.Time) (request, error) {
	now, physical := r.p.times()
	left := deadline.Sub(now)
	if left <= 0 {
		return request{}, context.DeadlineExceeded
	}
	c := r.links[cls].Load()
	if c == nil {
		return request{}, &coordinator.UnreachableError{Node: r.id, Err: r.reason()}
	}
	sent := now.Sub(r.p.epoch)
	left = min(left, timeoutMax)
	return request{
		conn: c, waiting: call{deadline: sent + left, sent: sent, bytes: messageBytes},
		clock: r.p.opt.Clock.Last(), deadline: physical.UnixNano() + int64(left),
	}, nil
}

// timeoutMax is the longest that a request may take.
const timeoutMax = time.Hour

// encode begins the message: clock, deadline, and so many parameters of the method's own.
func (t *request) encode(w *wire.Writer, id uint32, method string, params int) {
	encodeRequest(w, id, method, 2+params)
	w.Uint(uint64(t.clock))
	w.Int(t.deadline)
}

// add enters a link, of either direction. The first message after the handshake is a ping: it names this node's actor, which
// may have changed since the hello; it shows an acceptor that the dialler has let it in, too, and the offset of the clocks.
func (r *remote) add(c *conn) {
	r.enter(c) // before the ping: tellActor must know of a link that has named an actor
	if c.dialled {
		r.sendPing(c)
	} else {
		c.tellActor()
	}
	r.use(c)
}

func (r *remote) enter(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meetLocked(c)
	for old := range r.conns {
		// A dialler has one link of each class: an older one that it has given up is of no further use to it.
		if old.dialled == c.dialled && old.class == c.class {
			old.stop(errReplaced)
			delete(r.conns, old)
		}
	}
	r.conns[c] = struct{}{}
}

// use has requests sent on a link that was dialled, and tells the dial loops of one that was not.
func (r *remote) use(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.dialled {
		r.tellDiallers()
		return
	}
	r.links[c.class].Store(c)
	if c.class == foreground {
		r.why = nil
		r.doubtful.Store(false)
		r.health.forget()
	}
}

// meetLocked takes note of what the hello on a link says, or what has been said on it since. A hello names the actor that its sender
// had at some time of its boot: it counts as long as nothing else does. The ping that follows it names the present one.
func (r *remote) meetLocked(c *conn) {
	if r.announced == nil || r.announced.identity.boot != c.theirs.identity.boot {
		r.count = 0
		r.actor.Store(uint64(c.theirs.identity.actor))
	}
	r.announced = c.theirs
	r.changeActorLocked(c.named)
	if r.Actor() != c.theirs.identity.actor {
		r.p.noteActorChanged() // admission goes by the hello
	}
}

// changeActorLocked has the present boot have the actor that it has named, unless a later one is known. It says whether the actor
// has changed.
func (r *remote) changeActorLocked(n named) (changed bool) {
	if n.count <= r.count {
		return false
	}
	r.count = n.count
	return causal.Actor(r.actor.Swap(uint64(n.actor))) != n.actor
}

func (r *remote) tellDiallers() {
	for _, back := range r.back {
		select {
		case back <- struct{}{}:
		default: // it is told already
		}
	}
}

// drop takes a link out, if it is in.
func (r *remote) drop(c *conn) {
	if r.links[c.class].CompareAndSwap(c, nil) && c.class == foreground {
		r.health.forget()
	}
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
}

// tellActor tells the member this node's actor on all links to it.
func (r *remote) tellActor() {
	r.mu.Lock()
	links := slices.Collect(maps.Keys(r.conns))
	r.mu.Unlock()
	for _, c := range links {
		c.tellActor()
	}
}

// otherBoots are the open links to another boot of the node.
func (r *remote) otherBoots(boot uint64) (links []*conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		if c.theirs.identity.boot != boot {
			links = append(links, c)
		}
	}
	return links
}

// sendPing asks the other end of a dialled link for a sign of life. The link's tender calls it, and before the link is open whoever enters it.
func (r *remote) sendPing(c *conn) {
	sent, pinged := r.p.opt.Now(), r.p.elapsed()
	if !c.pingDue() {
		c.unanswered = pinged
	}
	c.pinged = pinged
	c.ping(call{deadline: never, sent: pinged, ping: func(answer pong, err error) {
		if err == nil {
			c.answered.Store(int64(pinged))
			r.onPong(c, sent, pinged, answer)
		}
	}})
}

// onPong takes a pong into account.
func (r *remote) onPong(c *conn, sent time.Time, pinged time.Duration, answer pong) {
	r.changeActor(c, answer.named)
	if c.class != foreground {
		return
	}
	r.health.hung.Store(false)
	s := measure(sent, answer.arrived, answer.answered, answer.back)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.filter.add(s)
	r.lastPong = r.p.elapsed()
	// Only a ping that was sent after the doubt arose can settle it.
	if r.doubtful.Load() && pinged >= r.doubtedAt {
		r.doubtful.Store(false)
		r.why = nil
	}
}

// doubt marks the peer unreachable until it answers a ping that is sent from now on. It says whether the doubt is new.
func (r *remote) doubt(why string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = errors.New(why)
	if r.doubtful.Load() {
		return false
	}
	r.doubtedAt = r.p.elapsed()
	r.doubtful.Store(true)
	return true
}

// offset is the peer's physical clock less ours, if it was ever measured.
func (r *remote) offset() (offset time.Duration, measured bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return clampOffset(r.filter.best.offset), r.filter.count > 0
}

// changeActor takes note of the actor that a ping or pong on a link names. A link that was replaced may speak for an
// earlier boot: its word would bring back an actor that is gone, and with it the acks that are void.
func (r *remote) changeActor(c *conn, n named) {
	r.mu.Lock()
	_, open := r.conns[c]
	changed := open && r.changeActorLocked(n)
	if n.count > c.named.count {
		c.named = n
	}
	r.mu.Unlock()
	if changed {
		r.p.noteActorChanged()
	}
}

// present is the boot and actor of the node that was last let in; false if none was.
func (r *remote) present() (boot uint64, actor causal.Actor, met bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.announced == nil {
		return 0, 0, false
	}
	return r.announced.identity.boot, r.Actor(), true
}

func (r *remote) setWhy(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = err
}

func (r *remote) reason() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
}
