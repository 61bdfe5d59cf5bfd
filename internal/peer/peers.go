package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// Peers is this node's links to all other members.
type Peers struct {
	opt Options
	// ownClock says that the physical clock is not time.Now.
	ownClock  bool
	epoch     time.Time
	places    []place
	zone      string
	remotes   map[ring.NodeID]*remote // never changes
	admission *admission
	// receive bounds what all links together hold in long messages that have not arrived whole.
	receive *wire.Budget
	// servingBytesMax bounds a link's requests under way here: what its peer may send, and what goes with it.
	servingBytesMax int64
	tasks           sync.Pool
	// reads, scans, writes and exchanges wait for workers: reads of many keys, scans, forwarded writes, what exchanges ask.
	reads, scans, writes, exchanges chan *task
	// actorChanged tells Run that some remote has a new actor.
	actorChanged chan struct{}
	refusedOnce  sync.Once

	naming sync.Mutex
	// last is what name returned last.
	last named

	mu sync.Mutex
	// greetings are the accepted connections that are not through their handshake, oldest first.
	greetings []*conn
	// said are the refusals that were logged.
	said map[string]struct{}
}

// New prepares the links and reads the memory of the peers' incarnations. It starts nothing.
// Errors: bad options; *MemoryError, or the file system's, for a memory file that cannot be used.
func New(o Options) (*Peers, error) {
	ownClock := o.Now != nil
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	p := &Peers{
		ownClock: ownClock, opt: o, epoch: time.Now(), places: places(o.Members), remotes: make(map[ring.NodeID]*remote),
		receive: wire.NewBudget(o.ReceiveBytesMax), servingBytesMax: 2 * o.InFlightBytesMax,
		tasks: sync.Pool{New: func() any { return newTask() }},
		reads: make(chan *task, o.WorkQueueMax), scans: make(chan *task, o.WorkQueueMax), writes: make(chan *task, o.WorkQueueMax),
		exchanges:    make(chan *task, o.WorkQueueMax),
		actorChanged: make(chan struct{}, 1), said: make(map[string]struct{}),
	}
	for _, m := range o.Members {
		if m.ID == o.Self.ID {
			p.zone = m.Zone
			continue
		}
		p.remotes[m.ID] = newRemote(p, m)
	}
	var err error
	p.admission, err = openAdmission(o.FS, o.Dir)
	return p, err
}

// elapsed is the time since New, by the monotonic clock: what the tables of calls count in.
func (p *Peers) elapsed() time.Duration { return time.Since(p.epoch) }

// times is the present, by time.Now and by the physical clock: one look at the clock where they are the same.
func (p *Peers) times() (now, physical time.Time) {
	now = time.Now()
	if p.ownClock {
		return now, p.opt.Now()
	}
	return now, now
}

// observe decodes a message's clock and advances ours past it.
func (p *Peers) observe(r *wire.Reader) {
	if t := causal.Timestamp(r.Uint64()); r.Err() == nil {
		p.opt.Clock.Observe(t)
	}
}

// Peer is the member as the coordinator sees it; nil for this node and for who is no member.
func (p *Peers) Peer(id ring.NodeID) coordinator.Peer {
	if r, ok := p.remotes[id]; ok {
		return r
	}
	return nil
}

// name is this node's present actor, as pings name it.
func (p *Peers) name() named {
	p.naming.Lock()
	defer p.naming.Unlock()
	if actor := p.opt.Local.Actor(); p.last.count == 0 || actor != p.last.actor {
		p.last = named{actor: actor, count: p.last.count + 1}
	}
	return p.last
}

// TellActor tells all members that Local has a new actor, ahead of all that is sent to them once it has returned: whoever answers a request
// of this node, or gets its answer, no longer counts what it has acknowledged under the former one. It does not wait for them.
func (p *Peers) TellActor() {
	for _, r := range p.remotes {
		r.tellActor()
	}
}

// Run dials every other member and keeps dialling, until ctx is done. It returns, with nil, when all that it started
// has ended. It may be called once.
func (p *Peers) Run(ctx context.Context) error {
	var dialling sync.WaitGroup
	n := uint64(0)
	for _, r := range p.remotes {
		for cls := range classCount {
			jitter := rand.New(rand.NewPCG(p.opt.Seed, n))
			n++
			dialling.Go(func() { p.dialLoop(ctx, r, cls, jitter) })
		}
	}
	p.rememberActors(ctx)
	dialling.Wait()
	return nil
}

// noteActorChanged has Run make a remote's new actor durable.
func (p *Peers) noteActorChanged() {
	select {
	case p.actorChanged <- struct{}{}:
	default: // Run is told already
	}
}

// rememberActors makes the actors durable that remotes draw while they run.
func (p *Peers) rememberActors(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.actorChanged:
		}
		for _, r := range p.remotes {
			boot, actor, met := r.present()
			if !met {
				continue
			}
			if err := p.admission.changeActor(r.id, boot, actor); err != nil {
				p.opt.Logger.Error("cannot remember a peer's actor", "peer", r.id, "error", err)
			}
		}
	}
}

// dialLoop keeps one link to a remote up.
func (p *Peers) dialLoop(ctx context.Context, r *remote, cls class, jitter *rand.Rand) {
	wait := p.opt.BackoffMin
	for ctx.Err() == nil {
		started := p.elapsed()
		opened, err := p.dial(ctx, r, cls)
		if ctx.Err() != nil {
			return
		}
		// A peer that lets us in only to hang up at once is not dialled all the time.
		if opened && p.elapsed()-started > p.opt.BackoffMax {
			wait = p.opt.BackoffMin
		}
		p.noteLoss(r, cls, opened, err)
		pause(ctx, wait/2+time.Duration(jitter.Int64N(int64(wait))), r.back[cls])
		wait = min(2*wait, p.opt.BackoffMax)
	}
}

// redialMin is the least time between two attempts where the peer's own links end the wait: two nodes that let each other
// in only to hang up do not keep each other busy.
const redialMin = 20 * time.Millisecond

// pause waits for so long, or, once redialMin has passed, until the peer is known to be back.
func pause(ctx context.Context, long time.Duration, back <-chan struct{}) {
	over := time.NewTimer(long)
	defer over.Stop()
	select {
	case <-ctx.Done():
		return
	case <-over.C:
		return
	case <-time.After(redialMin):
	}
	select {
	case <-ctx.Done():
	case <-over.C:
	case <-back:
	}
}

// dial makes a link and carries it until it ends. It says whether the handshake succeeded, and why the link ended.
func (p *Peers) dial(ctx context.Context, r *remote, cls class) (opened bool, err error) {
	dialling, cancel := context.WithTimeout(ctx, p.opt.HandshakeTimeout)
	nc, err := p.opt.Dial(dialling, r.member.Addr)
	cancel()
	if err != nil {
		return false, err
	}
	c := p.newConn(ctx, nc, r.member.Addr)
	c.dialled, c.class, c.remote = true, cls, r
	if cls == foreground {
		c.calls.expired = r.health.measure
	}
	if err := c.sendHello(); err != nil {
		c.stop(err)
		return false, errors.Join(err, nc.Close())
	}
	err = c.run()
	return c.in(open), greetingError(c, r.id, err)
}

// greetingError is why a handshake failed: as a *HandshakeError if the other side speaks, but not our language.
func greetingError(c *conn, id ring.NodeID, err error) error {
	var frame *wire.FrameError
	if !c.in(open) && errors.As(err, &frame) {
		return &HandshakeError{Node: id, Addr: c.addr, Reason: ReasonProtocol, Detail: frame.Error()}
	}
	if c.in(greeting) {
		return fmt.Errorf("handshake with %s: %w", c.addr, err)
	}
	return err
}

// Serve accepts connections of peers until ctx is done, and closes ln. It returns when all that it started has ended:
// nil after ctx is done, or the listener's error. It may be called once.
func (p *Peers) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	for range p.opt.Workers {
		serving.Go(func() { p.runToTheEnd(ctx, p.reads, (*task).read) })
		serving.Go(func() { p.runToTheEnd(ctx, p.scans, (*task).runScan) })
		serving.Go(func() { p.runToTheEnd(ctx, p.exchanges, (*task).runExchange) })
		serving.Go(func() { p.handWrites(ctx) })
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	err := p.accept(ctx, ln, &serving)
	cancel()
	serving.Wait()
	if stop() {
		err = errors.Join(err, ln.Close())
	}
	return err
}

// accept runs every connection until the listener fails or ctx is done.
func (p *Peers) accept(ctx context.Context, ln net.Listener, serving *sync.WaitGroup) error {
	for {
		nc, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = nc.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("peer: accept: %w", err)
		}
		if err != nil {
			// Out of file descriptors, or the connection was gone already: others must still be served, soon.
			p.opt.Logger.Warn("cannot accept a peer's connection", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(p.opt.BackoffMin):
			}
			continue
		}
		serving.Go(func() { p.serveConn(ctx, nc) })
	}
}

func (p *Peers) serveConn(ctx context.Context, nc net.Conn) {
	c := p.newConn(ctx, nc, nc.RemoteAddr().String())
	p.enterGreeting(c)
	err := c.run()
	p.leaveGreeting(c)
	if ctx.Err() != nil {
		return
	}
	if err = greetingError(c, "", err); !p.noteRefusal(err) {
		p.opt.Logger.Debug("accepted connection ended", "addr", c.addr, "peer", c.nodeID(), "class", c.class, "error", err)
	}
}

// enterGreeting counts a connection that has not said who it is. Past the limit the oldest one is closed: who is in
// earnest needs no longer than a round trip, so strangers cannot keep members out.
func (p *Peers) enterGreeting(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.greetings = append(p.greetings, c)
	if len(p.greetings) > p.opt.GreetingsMax {
		p.greetings[0].stop(errTooManyGreetings)
		p.greetings = slices.Delete(p.greetings, 0, 1)
	}
}

var errTooManyGreetings = errors.New("too many connections that have not said who they are")

// leaveGreeting is for a connection that was let in, or has ended.
func (p *Peers) leaveGreeting(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.greetings, c); i >= 0 {
		p.greetings = slices.Delete(p.greetings, i, i+1)
	}
}
