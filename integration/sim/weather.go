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
	// fate is what a netsplit does to messages.
	fate fate
	// throttle is that of a bound of the bandwidth.
	throttle *throttle
}

// Begin lets a fault of the network strike, and returns what ends it. Netsplits hold messages, lose them, or refuse: that is drawn.
func (n *Network) Begin(f fault.Fault) (end func()) {
	b := &blow{Fault: f, fate: []fate{hold, lose, refuse}[n.drawInt(3)]}
	switch f.Kind {
	case fault.Pause:
		b.fate = hold
	case fault.OneWay:
		b.fate = []fate{hold, lose}[n.drawInt(2)]
	case fault.Bandwidth:
		b.throttle = &throttle{bytesPerSecond: f.BytesPerSecond}
	}
	n.change(func() { n.blows = append(n.blows, b) })
	return func() {
		n.change(func() { n.blows = slices.DeleteFunc(n.blows, func(o *blow) bool { return o == b }) })
	}
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
			if between && from != to && parted(b.Fault, from, to, n.nodes) {
				p.fate = max(p.fate, b.fate)
			}
		}
	}
}

// parted says whether a netsplit lets no message pass from one node to another.
func parted(f fault.Fault, from, to, nodes int) bool {
	a, b := slices.Index(f.Nodes, from), slices.Index(f.Nodes, to)
	switch f.Kind {
	case fault.Halves, fault.Isolate:
		return (a >= 0) != (b >= 0)
	case fault.OneWay:
		return a == 0 && b == 1
	case fault.CutLink:
		return a >= 0 && b >= 0
	case fault.MajorityRing:
		return parting(a, b, nodes)
	}
	return false
}

// parting says whether two places on a ring are too far from each other to hear each other: each hears as many neighbours on either side as
// make up a majority with itself. Three nodes, who would all be neighbours, stand in a row.
func parting(a, b, nodes int) bool {
	d := max(a, b) - min(a, b)
	if nodes <= 3 {
		return d > 1
	}
	reach := (nodes/2 + 1) / 2
	return min(d, nodes-d) > reach
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

func (n *Network) draw(most time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.rng.Int64N(int64(most)))
}
