package peer

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// puppet is the other end of a link in the hands of a test: it says what it is told and nothing else.
type puppet struct {
	t     testing.TB
	link  *wire.Link
	msgs  chan []byte
	ended chan error
}

// dialPuppet connects to a node; the end of the test disconnects.
func dialPuppet(t testing.TB, addr string) *puppet {
	nc, err := net.Dial("tcp", addr)
	must(t, err)
	return newPuppet(t, nc)
}

func newPuppet(t testing.TB, nc net.Conn) *puppet {
	p := &puppet{
		t: t, link: wire.NewLink(nc, wire.LinkOptions{Framing: wire.Framed}),
		msgs: make(chan []byte, 1024), ended: make(chan error, 1),
	}
	var running sync.WaitGroup
	running.Go(func() {
		p.ended <- p.link.Run(context.Background(), func(msg []byte) error { p.msgs <- msg; return nil }, nil)
	})
	t.Cleanup(func() {
		if err := p.link.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return p
}

func (p *puppet) send(build func(w *wire.Writer)) {
	p.t.Helper()
	must(p.t, p.link.Send(build))
}

// greet says hello and returns the answer.
func (p *puppet) greet(h *hello) (theirs *hello, verdict *HandshakeError) {
	p.t.Helper()
	p.hello(h)
	return p.verdict()
}

func (p *puppet) hello(h *hello) {
	p.t.Helper()
	p.send(func(w *wire.Writer) {
		encodeRequest(w, helloID, methodHello, 1)
		h.encode(w)
	})
}

func (p *puppet) verdict() (theirs *hello, verdict *HandshakeError) {
	p.t.Helper()
	r := wire.NewReader(wait(p.t, p.msgs))
	exactly(&r, 4, "an answer")
	r.Uint(kindAnswer)
	r.Uint(helloID)
	r.TryNil()
	theirs, verdict = decodeHelloAnswer(&r, r.ArrayLen(2))
	must(p.t, r.Done())
	return theirs, verdict
}

// open says hello, is let in, and takes the acceptor's ping and its answer to a ping.
func (p *puppet) open(h *hello) {
	p.t.Helper()
	if _, verdict := p.greet(h); verdict != nil {
		p.t.Fatal(verdict)
	}
	p.ping()
	wait(p.t, p.msgs)
	wait(p.t, p.msgs)
}

// ping sends a ping, as a dialler must once it has let the acceptor in.
func (p *puppet) ping() {
	p.send(func(w *wire.Writer) {
		encodeRequest(w, 1, methodPing, 1+pingFields)
		w.Uint(1)
		(&ping{named: named{1, 1}}).encode(w)
	})
}

// answerPings answers every ping until the link ends.
func (p *puppet) answerPings() {
	go func() {
		for msg := range p.msgs {
			r := wire.NewReader(msg)
			exactly(&r, 4, "a message")
			if kind, id := r.Uint(2), uint32(r.Uint64()); kind == kindRequest {
				_ = p.link.Send(func(w *wire.Writer) { // a link that has ended needs no answer
					encodeAnswer(w, id, 1+pongFields)
					w.Uint(1)
					(&pong{named: named{1, 1}, arrived: time.Now(), answered: time.Now()}).encode(w)
				})
			}
		}
	}()
	p.t.Cleanup(func() { close(p.msgs) })
}

// helloOf is the hello with which member i of the cluster that n belongs to would greet n, in a run after others of which each
// had ten times its incarnation as its boot.
func helloOf(n *testNode, i int, incarnation, boot uint64) *hello {
	m := n.opt.Members[i]
	var earlier []Run
	for before := uint64(1); before < incarnation; before++ {
		earlier = append(earlier, Run{before, 10 * before})
	}
	return &hello{
		earlier:     earlier,
		protocolMin: protocolMin, protocolMax: protocolMax, to: n.opt.Self.ID,
		identity: identity{id: m.ID, incarnation: incarnation, boot: boot}, now: time.Now(),
		table: n.opt.Table, members: places(n.opt.Members), zone: m.Zone, rpcAddr: "rpc", httpAddr: "http", peerAddr: m.Addr,
	}
}

// lonely runs the first of n members; the others are for puppets to play.
func lonely(t testing.TB, members int, change func(o *Options)) *testNode {
	all, listeners := listen(t, members)
	for _, ln := range listeners[1:] {
		must(t, ln.Close())
	}
	o := testOptions(t, all, 0)
	if change != nil {
		change(&o)
	}
	return start(t, o, listeners[0])
}
