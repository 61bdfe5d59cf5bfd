package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

// clients is the place on the network that all clients share. Nodes have the places from 0.
const clients = -1

// backlogMax is how many connections wait to be accepted.
const backlogMax = 256

// Network carries the connections and datagrams between the nodes, and those of the clients. It is made inside the bubble whose time it
// goes by.
type Network struct {
	nodes int
	// base and jitter are the way of a message that nothing slows down.
	base, jitter time.Duration

	mu        sync.Mutex
	rng       *rand.Rand
	listeners map[string]*listener
	sockets   map[string]*socket
	// paths are what becomes of messages from the one place to the other.
	paths map[[2]int]*path
	// blows are the faults under way.
	blows []*blow
	// flows are the directions of open connections.
	flows map[*flow]struct{}
	// changed is closed, and made anew, when a path changes or somebody listens.
	changed chan struct{}
}

// NewNetwork makes a network for so many nodes. The delays of messages are drawn from the seed.
func NewNetwork(nodes int, seed uint64, base, jitter time.Duration) *Network {
	n := &Network{
		nodes: nodes, base: base, jitter: jitter, rng: rand.New(rand.NewPCG(seed, 0x2e7)),
		listeners: make(map[string]*listener), sockets: make(map[string]*socket),
		paths: make(map[[2]int]*path), flows: make(map[*flow]struct{}), changed: make(chan struct{}),
	}
	for from := clients; from < nodes; from++ {
		for to := clients; to < nodes; to++ {
			n.paths[[2]int{from, to}] = &path{}
		}
	}
	return n
}

// announceLocked wakes whoever waits for the network to be another.
func (n *Network) announceLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// delay is how long a message takes on a path.
func (n *Network) delay(p *path) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.delayLocked(p)
}

func (n *Network) delayLocked(p *path) time.Duration {
	d := n.base + time.Duration(n.rng.Int64N(int64(n.jitter)+1))
	if p.slower > 0 {
		d += p.slower/2 + time.Duration(n.rng.Int64N(int64(p.slower)))
	}
	return d
}

// dice says whether something happens that does for a share of all messages.
func (n *Network) dice(share float64) bool {
	if share == 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Float64() < share
}

// Port is a place on the network as one run of one process has it. Close ends all that the process had there.
type Port struct {
	net   *Network
	place int

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	ends   []func()
}

// Attach gives a process its place on the network: a node's number, or that of the clients.
func (n *Network) Attach(place int) *Port {
	return &Port{net: n, place: place, conns: make(map[*conn]struct{})}
}

// enter notes a connection of the process; false if the process has ended.
func (p *Port) enter(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

func (p *Port) leave(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// atEnd has f called when the process ends; at once if it has.
func (p *Port) atEnd(f func()) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.ends = append(p.ends, f)
	}
	p.mu.Unlock()
	if closed {
		f()
	}
}

// Close ends the process' place. Who talks to it hears of it, as of a process that was killed, unless silent is set: then it hears nothing, as of
// a machine without power.
func (p *Port) Close(silent bool) {
	p.mu.Lock()
	conns, ends := p.conns, p.ends
	p.closed, p.conns, p.ends = true, nil, nil
	p.mu.Unlock()
	for _, end := range ends {
		end()
	}
	for c := range conns {
		c.sever(silent)
	}
}

// Listen binds an address.
func (p *Port) Listen(addr string) (net.Listener, error) {
	l := &listener{port: p, addr: addr, backlog: make(chan *conn, backlogMax), closed: make(chan struct{})}
	n := p.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "sim", Addr: address(addr), Err: syscall.EADDRINUSE}
	}
	n.listeners[addr] = l
	n.announceLocked()
	p.atEnd(func() { _ = l.Close() })
	return l, nil
}

// Dial connects to an address, as long as it takes until ctx is done: a place that does not answer is asked again when the network changes.
func (p *Port) Dial(ctx context.Context, addr string) (net.Conn, error) {
	for {
		c, wait, changed, err := p.net.connect(p, addr)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "sim", Addr: address(addr), Err: err}
		}
		over := (<-chan time.Time)(nil)
		if c != nil {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			over, changed = timer.C, nil
		}
		select {
		case <-over:
			return c, p.arrive(c)
		case <-changed:
		case <-ctx.Done():
			if c != nil {
				_ = c.Close()
			}
			return nil, &net.OpError{Op: "dial", Net: "sim", Addr: address(addr), Err: ctx.Err()}
		}
	}
}

func (p *Port) arrive(c *conn) error {
	if !p.enter(c) {
		_ = c.Close()
		return net.ErrClosed
	}
	return nil
}

// connect makes a connection that stands once the wait is over. Without one and without an error there is no answer until the network has changed.
func (n *Network) connect(p *Port, addr string) (c *conn, wait time.Duration, changed <-chan struct{}, err error) {
	n.mu.Lock()
	l := n.listeners[addr]
	to := placeOf(addr)
	there, back := n.paths[[2]int{p.place, to}], n.paths[[2]int{to, p.place}]
	switch {
	case there.fate == refuse || back.fate == refuse:
		n.mu.Unlock()
		return nil, 0, nil, syscall.ECONNREFUSED
	case there.fate != pass || back.fate != pass, l == nil && there.dark:
		defer n.mu.Unlock()
		return nil, 0, n.changed, nil
	case l == nil:
		n.mu.Unlock()
		return nil, 0, nil, syscall.ECONNREFUSED
	}
	wait = n.delayLocked(there) + n.delayLocked(back)
	framed := p.place != clients && isPeerAddr(addr)
	out, in := newFlow(n, there, back, framed), newFlow(n, back, there, framed)
	n.flows[out], n.flows[in] = struct{}{}, struct{}{}
	n.mu.Unlock()
	near := &conn{port: p, in: in, out: out, local: address(fmt.Sprintf("%s:1", hostOf(p.place))), remote: address(addr)}
	far := &conn{port: l.port, in: out, out: in, local: near.remote, remote: near.local}
	if !l.port.enter(far) || !l.offer(far) {
		_ = far.Close()
		return nil, 0, nil, syscall.ECONNREFUSED
	}
	return near, wait, nil, nil
}

// listener is a bound address.
type listener struct {
	port    *Port
	addr    string
	backlog chan *conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) offer(c *conn) bool {
	select {
	case <-l.closed:
		return false
	default:
	}
	select {
	case l.backlog <- c:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		n := l.port.net
		n.mu.Lock()
		delete(n.listeners, l.addr)
		n.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.backlog:
				c.sever(false)
			default:
				return
			}
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.addr) }

type address string

func (a address) Network() string { return "sim" }
func (a address) String() string  { return string(a) }
