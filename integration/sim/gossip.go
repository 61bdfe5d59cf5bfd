package sim

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// packetsMax is how many datagrams wait to be read; more are lost, as with UDP.
const packetsMax = 256

// socket carries a node's gossip: datagrams that may be lost, repeated and held back, and connections.
type socket struct {
	port     *Port
	addr     string
	ln       net.Listener
	packets  chan *memberlist.Packet
	streams  chan net.Conn
	closed   chan struct{}
	once     sync.Once
	accepted sync.WaitGroup
}

var _ memberlist.Transport = (*socket)(nil)

// Gossip binds an address for gossip.
func (p *Port) Gossip(addr string) (memberlist.Transport, error) {
	ln, err := p.Listen(addr)
	if err != nil {
		return nil, err
	}
	s := &socket{
		port: p, addr: addr, ln: ln, packets: make(chan *memberlist.Packet, packetsMax), streams: make(chan net.Conn), closed: make(chan struct{}),
	}
	n := p.net
	n.mu.Lock()
	n.sockets[addr] = s
	n.mu.Unlock()
	s.accepted.Go(s.accept)
	p.atEnd(s.unbind)
	return s, nil
}

func (s *socket) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		select {
		case s.streams <- c:
		case <-s.closed:
			_ = c.Close()
			return
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (s *socket) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	return net.ParseIP(ip), port, nil
}

// WriteTo implements memberlist.Transport.
func (s *socket) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	n := s.port.net
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.paths[[2]int{s.port.place, placeOf(addr)}]
	if p.fate != pass || n.sockets[s.addr] != s || n.rng.Float64() < p.loss {
		return now, nil
	}
	wait := n.delayLocked(p)
	if n.rng.Float64() < p.reorder {
		wait += n.lateLocked()
	}
	s.sendLocked(b, addr, wait)
	if n.rng.Float64() < p.duplicate {
		s.sendLocked(b, addr, wait+n.lateLocked())
	}
	return now, nil
}

// sendLocked has a copy of a datagram arrive after a while. Who is given one may keep it.
func (s *socket) sendLocked(b []byte, addr string, wait time.Duration) {
	packet := &memberlist.Packet{Buf: append([]byte(nil), b...), From: address(s.addr)}
	time.AfterFunc(wait, func() { s.port.net.deliver(packet, addr) })
}

func (n *Network) deliver(packet *memberlist.Packet, addr string) {
	n.mu.Lock()
	to := n.sockets[addr]
	n.mu.Unlock()
	if to == nil {
		return
	}
	packet.Timestamp = time.Now()
	select {
	case to.packets <- packet:
	default:
	}
}

// PacketCh implements memberlist.Transport.
func (s *socket) PacketCh() <-chan *memberlist.Packet { return s.packets }

// DialTimeout implements memberlist.Transport.
func (s *socket) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.port.Dial(ctx, addr)
}

// StreamCh implements memberlist.Transport.
func (s *socket) StreamCh() <-chan net.Conn { return s.streams }

// Shutdown implements memberlist.Transport.
func (s *socket) Shutdown() error {
	s.unbind()
	s.accepted.Wait()
	return nil
}

func (s *socket) unbind() {
	s.once.Do(func() {
		n := s.port.net
		n.mu.Lock()
		if n.sockets[s.addr] == s {
			delete(n.sockets, s.addr)
		}
		n.mu.Unlock()
		close(s.closed)
		_ = s.ln.Close()
	})
}

// gossipAddr is where a node's gossip is reached.
func gossipAddr(node int) string { return net.JoinHostPort(hostOf(node), gossipPort) }
