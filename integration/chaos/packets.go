package chaos

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// packets passes on UDP packets in one direction, under conditions.
type packets struct {
	in      *net.UDPConn
	out     io.WriteCloser
	mu      sync.Mutex
	imposed map[string]condition
	late    chan latePacket
	running sync.WaitGroup
}

type latePacket struct {
	due  time.Time
	data []byte
}

const (
	packetBytesMax = 64 << 10
	// latePacketsMax bounds the packets that are held back; more are lost.
	latePacketsMax = 1024
)

func forwardPackets(from, to string) (*packets, error) {
	at, err := net.ResolveUDPAddr("udp", from)
	if err != nil {
		return nil, err
	}
	dest, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return nil, err
	}
	p := &packets{imposed: map[string]condition{}, late: make(chan latePacket, latePacketsMax)}
	if p.in, err = net.ListenUDP("udp", at); err != nil {
		return nil, err
	}
	if p.out, err = net.DialUDP("udp", nil, dest); err != nil {
		return nil, errors.Join(err, p.in.Close())
	}
	p.running.Go(p.receive)
	p.running.Go(p.sendLate)
	return p, nil
}

func (p *packets) close() error {
	err := p.in.Close()
	p.running.Wait()
	return errors.Join(err, p.out.Close())
}

func (p *packets) impose(id string, c condition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.imposed[id] = c
}

func (p *packets) lift(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.imposed, id)
}

// receive ends when the socket is closed.
func (p *packets) receive() {
	defer close(p.late)
	buf := make([]byte, packetBytesMax)
	for {
		n, err := p.in.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.pass(buf[:n])
	}
}

// pass passes on a packet, holds it back, or loses it.
func (p *packets) pass(packet []byte) {
	delay, passes := p.judge()
	switch {
	case !passes:
	case delay == 0:
		_, _ = p.out.Write(packet) // nobody may listen there now, and then it is lost
	default:
		select {
		case p.late <- latePacket{time.Now().Add(delay), bytes.Clone(packet)}:
		default:
		}
	}
}

// judge says what becomes of a packet now.
func (p *packets) judge() (delay time.Duration, passes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.imposed {
		if c.cut {
			return 0, false
		}
		if c.delay > 0 {
			delay += c.delay/2 + rand.N(c.delay)
		}
	}
	return delay, true
}

// sendLate sends what was held back, in the order of its arrival.
func (p *packets) sendLate() {
	for packet := range p.late {
		<-time.After(time.Until(packet.due))
		_, _ = p.out.Write(packet.data) // as above
	}
}
