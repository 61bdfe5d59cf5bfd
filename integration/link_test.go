package integration

import (
	"net"
	"sync"
	"testing"
	"time"
)

// link carries what one node sends to the peer port of another, until it is cut.
type link struct {
	t            testing.TB
	addr, target string
	running      sync.WaitGroup

	mu sync.Mutex
	// listener is nil while connections are refused.
	listener net.Listener
	conns    map[net.Conn]bool
	// passing is closed, but for a silence.
	passing chan struct{}
}

// startLink listens at addr until the test ends.
func startLink(t testing.TB, addr, target string) *link {
	t.Helper()
	l := &link{t: t, addr: addr, target: target, conns: make(map[net.Conn]bool)}
	l.hush()
	l.restore()
	t.Cleanup(func() {
		l.refuse()
		l.running.Wait()
	})
	return l
}

// linkPair has the first two nodes, which are yet to be started, reach each other by links only. Their gossip goes on, as it would by way of
// the third node.
func (c *cluster) linkPair() []*link {
	c.t.Helper()
	var links []*link
	a, b := c.nodes[0], c.nodes[1]
	for from, to := range map[*testNode]*testNode{a: b, b: a} {
		links = append(links, startLink(c.t, to.link, to.peer))
		from.args = with(from.args, "--members", c.members(map[*testNode]string{to: to.link + "+" + to.gossip}))
	}
	return links
}

// cut has the first two nodes not reach each other for a while, of which both take note.
func (c *cluster) cut(links []*link, how func(*link), d time.Duration) {
	c.t.Helper()
	each(links, how)
	wait(c.t, d)
	a, b := c.nodes[0], c.nodes[1]
	for from, to := range map[*testNode]*testNode{a: b, b: a} {
		if m, err := c.liveness(c.direct(from), from, to); err != nil || m.Reachable {
			c.t.Errorf("%s still reaches %s: %+v, %v", from.id, to.id, m, err)
		}
	}
	each(links, (*link).restore)
}

func each(links []*link, do func(*link)) {
	for _, l := range links {
		do(l)
	}
}

// hush has nothing pass, and nobody told.
func (l *link) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passing = make(chan struct{})
}

// refuse resets all connections, and refuses new ones.
func (l *link) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passLocked()
	l.listener.Close()
	l.listener = nil
	for c := range l.conns {
		_ = c.(*net.TCPConn).SetLinger(0) // so that it ends with a reset
		c.Close()
	}
}

// restore ends either.
func (l *link) restore() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passLocked()
	if l.listener != nil {
		return
	}
	listener, err := net.Listen("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.listener = listener
	l.running.Go(func() { l.accept(listener) })
}

func (l *link) passLocked() {
	select {
	case <-l.passing:
	default:
		close(l.passing)
	}
}

func (l *link) accept(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.serve(near) })
	}
}

func (l *link) serve(near net.Conn) {
	defer l.drop(near)
	if !l.hold(near) {
		return
	}
	l.await()
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer l.drop(far)
	if !l.hold(far) {
		return
	}
	l.running.Go(func() { l.carry(near, far) })
	l.carry(far, near)
}

// hold says whether a connection may stay.
func (l *link) hold(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
	return l.listener != nil
}

func (l *link) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Close()
	delete(l.conns, c)
}

// await returns at once, or when a silence is over.
func (l *link) await() {
	l.mu.Lock()
	passing := l.passing
	l.mu.Unlock()
	<-passing
}

// carry moves bytes. What is sent into a silence arrives when that is over, as what TCP sends again does; and so does the end of a connection.
func (l *link) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		l.await()
		if n > 0 {
			if _, failed := to.Write(buf[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
