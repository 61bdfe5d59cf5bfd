package sim

import (
	"slices"
	"syscall"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
)

// blow is a fault that is under way on the network.
type blow struct {
	fault.Fault
	// fate is what a netsplit does to messages, and cuts the ways that it does it to.
	fate fate
	cuts [][2]int
	// throttle is that of a bound of the bandwidth.
	throttle *throttle
}

// Begin lets a fault of the network strike, and returns what ends it. Netsplits hold messages, lose them, or refuse: that is drawn. One that
// leaves a way open whose way back it cuts refuses nothing, for that would cut both.
func (n *Network) Begin(f fault.Fault) (end func()) {
	b := &blow{Fault: f, cuts: f.Cuts(n.nodes)}
	switch {
	case f.Kind == fault.Pause:
		b.fate = hold
	case f.Kind == fault.Bandwidth:
		b.throttle = &throttle{bytesPerSecond: f.BytesPerSecond}
	case b.oneWay():
		b.fate = []fate{hold, lose}[n.drawInt(2)]
	case len(b.cuts) > 0:
		b.fate = []fate{hold, lose, refuse}[n.drawInt(3)]
	}
	n.change(func() { n.blows = append(n.blows, b) })
	return func() {
		n.change(func() { n.blows = slices.DeleteFunc(n.blows, func(o *blow) bool { return o == b }) })
	}
}

// oneWay says that a netsplit cuts some way and not the way back.
func (b *blow) oneWay() bool {
	return slices.ContainsFunc(b.cuts, func(way [2]int) bool { return !slices.Contains(b.cuts, [2]int{way[1], way[0]}) })
}

// SetDark says that a node's machine has no power, or has it again.
func (n *Network) SetDark(node int, dark bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for pair, p := range n.paths {
		if pair[1] == node {
			p.set(func() { p.dark = dark })
		}
	}
	n.announceLocked()
}

// change changes what is under way, and what that does to paths and open connections.
func (n *Network) change(how func()) {
	n.mu.Lock()
	how()
	struck := make(map[*path]fate)
	for pair, p := range n.paths {
		was := p.fate
		p.set(func() { n.shapeLocked(p, pair[0], pair[1]) })
		if p.fate != was {
			struck[p] = p.fate
		}
	}
	flows := make([]*flow, 0, len(n.flows))
	for f := range n.flows {
		flows = append(flows, f)
	}
	n.announceLocked()
	n.mu.Unlock()
	for _, f := range flows {
		f.suffer(struck)
	}
}

// suffer does to an open connection what has become of its paths.
func (f *flow) suffer(struck map[*path]fate) {
	there, thereStruck := struck[f.path]
	back, backStruck := struck[f.back]
	switch {
	case thereStruck && there == refuse || backStruck && back == refuse:
		f.fail(syscall.ECONNRESET)
	case thereStruck && there == lose:
		f.vanish()
	case thereStruck || backStruck:
		f.look()
	}
}

func (p *path) set(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
}

// shapeLocked makes a path from one place to another what the faults under way have it be.
func (n *Network) shapeLocked(p *path, from, to int) {
	p.fate, p.slower, p.throttles = pass, 0, nil
	p.loss, p.duplicate, p.reorder = 0, 0, 0
	for _, b := range n.blows {
		touched := slices.Contains(b.Nodes, from) || slices.Contains(b.Nodes, to)
		between := from != clients && to != clients
		switch b.Kind {
		case fault.Latency:
			if touched {
				p.slower += b.Delay
			}
		case fault.Bandwidth:
			if touched {
				p.throttles = append(p.throttles, b.throttle)
			}
		case fault.Pause:
			if touched {
				p.fate = max(p.fate, b.fate)
			}
		case fault.Loss:
			if between {
				p.loss = b.Share
			}
		case fault.Duplicate:
			if between {
				p.duplicate = b.Share
			}
		case fault.Reorder:
			if between {
				p.reorder = b.Share
			}
		default:
			if slices.Contains(b.cuts, [2]int{from, to}) {
				p.fate = max(p.fate, b.fate)
			}
		}
	}
}

// Reset breaks the open connections of a node, each with a chance of one half.
func (n *Network) Reset(node int) {
	n.mu.Lock()
	var broken []*flow
	chosen := make(map[*path]bool)
	for pair, p := range n.paths {
		if pair[0] == node || pair[1] == node {
			chosen[p] = true
		}
	}
	for f := range n.flows {
		if chosen[f.path] && n.rng.IntN(2) == 0 {
			broken = append(broken, f)
		}
	}
	n.mu.Unlock()
	for _, f := range broken {
		f.fail(syscall.ECONNRESET)
	}
}

func (n *Network) drawInt(bound int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.IntN(bound)
}

// late is how much later than others a message arrives that is held back or repeated, at most.
const late = 100 * time.Millisecond

// late draws such a time.
func (n *Network) late() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lateLocked()
}

func (n *Network) lateLocked() time.Duration { return time.Duration(n.rng.Int64N(int64(late))) }
