package peer

import (
	"slices"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

const (
	helloID = 0 // the id of the hello's request; calls count from 1
	// helloBytesMax bounds the messages of who has not yet said who it is.
	helloBytesMax = 1 << 20
	// partingGrace is how long a refusal may take to be written.
	partingGrace = time.Second
)

// hello is what this node says of itself to another one.
func (p *Peers) hello(to ring.NodeID, cls class) *hello {
	o := &p.opt
	now, earlier := o.Runs()
	return &hello{
		protocolMin: protocolMin, protocolMax: protocolMax, to: to, class: cls,
		identity: identity{id: o.Self.ID, incarnation: now.Incarnation, boot: now.Boot, actor: o.Local.Actor()}, earlier: earlier,
		clock: o.Clock.Last(), now: o.Now(), table: o.Table, members: p.places, zone: p.zone,
		peerAddr: o.Self.PeerAddr, rpcAddr: o.Self.RPCAddr, httpAddr: o.Self.HTTPAddr,
	}
}

// places are the members as hellos carry them.
func places(members []Member) []place {
	out := make([]place, len(members))
	for i, m := range members {
		out[i] = place{id: m.ID, zone: m.Zone}
	}
	slices.SortFunc(out, func(a, b place) int { return compareIDs(a.id, b.id) })
	return out
}

// sendHello begins the handshake from the dialler's side.
func (c *conn) sendHello() error {
	ours := c.p.hello(c.remote.id, c.class)
	return c.link.Send(func(w *wire.Writer) {
		encodeRequest(w, helloID, methodHello, 1)
		ours.encode(w)
	})
}

// onHello is the acceptor's part: the hello is judged away from the reader, because that may sync a file and wait for a
// ping.
func (c *conn) onHello(id uint32, r *wire.Reader) error {
	if method := r.StrBytes(); string(method) != methodHello {
		return c.protocolError("%.32q where a hello is expected", method)
	}
	exactly(r, 1, "a hello's parameters")
	theirs := decodeHello(r)
	if err := r.Done(); err != nil {
		return err
	}
	c.theirs, c.class = theirs, theirs.class
	c.phase.Store(int32(judging))
	c.work.Go(func() { c.judgeDialler(id) })
	return nil
}

func (c *conn) judgeDialler(id uint32) {
	c.offset.Store(int64(clampOffset(c.theirs.now.Sub(c.p.opt.Now()))))
	ours := c.p.hello(c.theirs.identity.id, c.class)
	ours.first = c.theirs.first
	verdict := refusal(ours, c.theirs)
	if verdict == nil {
		c.remote = c.p.remotes[c.theirs.identity.id]
		verdict = c.p.admission.admit(c, func() {
			c.p.leaveGreeting(c)
			c.answerHello(id, ours, nil)
		})
	}
	if verdict != nil {
		c.answerHello(id, ours, verdict)
		c.part(verdict)
	}
}

// answerHello says who this node is, and why it refuses the other one if it does.
func (c *conn) answerHello(id uint32, ours *hello, verdict *HandshakeError) {
	c.cutIfFull(c.link.Send(func(w *wire.Writer) { encodeHelloAnswer(w, id, ours, verdict) }))
}

func encodeHelloAnswer(w *wire.Writer, id uint32, ours *hello, verdict *HandshakeError) {
	encodeAnswer(w, id, 2)
	ours.encode(w)
	if verdict == nil {
		w.Nil()
		return
	}
	encodeVerdict(w, verdict)
}

func decodeHelloAnswer(r *wire.Reader, fields int) (theirs *hello, verdict *HandshakeError) {
	if fields != 2 {
		r.Fail("%d fields of a hello's answer", fields)
	}
	theirs = decodeHello(r)
	if !r.TryNil() {
		verdict = decodeVerdict(r)
	}
	return theirs, verdict
}

func encodeRefuse(w *wire.Writer, verdict *HandshakeError) {
	w.ArrayLen(3)
	w.Uint(kindNotice)
	w.Str(methodRefuse)
	w.ArrayLen(1)
	encodeVerdict(w, verdict)
}

func encodeVerdict(w *wire.Writer, v *HandshakeError) {
	if v.Reason == ReasonOutdated {
		w.ArrayLen(3)
	} else {
		w.ArrayLen(2)
	}
	w.Uint(uint64(v.Reason))
	writeText(w, v.Detail, detailBytesMax)
	if v.Reason == ReasonOutdated {
		encodeRun(w, v.Last)
	}
}

// decodeVerdict is why the other side refused us.
func decodeVerdict(r *wire.Reader) *HandshakeError {
	fields := r.ArrayLen(3)
	v := &HandshakeError{ByPeer: true, Reason: Reason(r.Uint(255)), Detail: text(r, detailBytesMax)}
	switch {
	case fields == 3 && v.Reason == ReasonOutdated:
		v.Last = decodeRun(r)
	case fields != 2 || v.Reason == ReasonOutdated:
		r.Fail("%d fields of a verdict for reason %d", fields, v.Reason)
	}
	return v
}

// onHelloAnswer is the dialler's part.
func (c *conn) onHelloAnswer(r *wire.Reader) error {
	if !r.TryNil() {
		return c.protocolError("an error in answer to a hello")
	}
	theirs, verdict := decodeHelloAnswer(r, r.ArrayLen(2))
	if err := r.Done(); err != nil {
		return err
	}
	c.theirs = theirs
	if verdict != nil {
		verdict.Node, verdict.Addr = theirs.identity.id, c.addr
		return verdict
	}
	c.link.SetMessageBytesMax(c.p.opt.MessageBytesMax)
	c.phase.Store(int32(judging))
	c.work.Go(c.judgeAcceptor)
	return nil
}

func (c *conn) judgeAcceptor() {
	verdict := refusal(c.p.hello(c.remote.id, c.class), c.theirs)
	if verdict == nil {
		verdict = c.p.admission.admit(c, func() {}) // the acceptor sees from the ping that it was let in
	}
	if verdict == nil {
		if c.class == foreground {
			c.p.opt.Logger.Info("connected to a peer", "peer", c.remote.id, "addr", c.addr, "identity", c.theirs.identity)
		}
		return
	}
	c.cutIfFull(c.link.Send(func(w *wire.Writer) { encodeRefuse(w, verdict) }))
	c.part(verdict)
}

// part ends a link to a node that this one refuses, once the refusal is written.
func (c *conn) part(verdict *HandshakeError) {
	verdict.Addr = c.addr
	c.refused = verdict
	if err := c.link.Shutdown(partingGrace); err != nil {
		c.p.opt.Logger.Debug("closing a refused connection", "addr", c.addr, "error", err)
	}
}

// onNotice takes the one notice there is: the dialler refuses us after all.
func (c *conn) onNotice(r *wire.Reader) error {
	if method := r.StrBytes(); string(method) != methodRefuse || c.dialled || !c.in(open) {
		return c.protocolError("unexpected notice %.32q", method)
	}
	exactly(r, 1, "a refusal's parameters")
	verdict := decodeVerdict(r)
	if err := r.Done(); err != nil {
		return err
	}
	verdict.Node, verdict.Addr = c.remote.id, c.addr
	return verdict
}

func clampOffset(d time.Duration) time.Duration { return min(max(d, -offsetMax), offsetMax) }
