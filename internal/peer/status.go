package peer

import (
	"errors"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// Status is one other member as this node sees it.
type Status struct {
	ID   ring.NodeID
	Zone string
	// PeerAddr is the member list's; RPCAddr and HTTPAddr are what the member announced, empty before it was met.
	PeerAddr, RPCAddr, HTTPAddr string
	Reachable                   bool
	// Reason is why it is not reachable.
	Reason string
	// Slow says that others are asked first, Avoided what Peers.Avoid said.
	Slow, Avoided bool
	// Measured says that a ping was answered. RTT is the best round trip of the last pings, and Offset the peer's
	// physical clock less ours; zero before.
	Measured    bool
	RTT, Offset time.Duration
	// Incarnation and Actor are the last heard of, since this process started.
	Incarnation uint64
	Actor       causal.Actor
	// InFlight and InFlightBytes are the requests sent to it that are not answered.
	InFlight      int
	InFlightBytes int64
}

// Status is the state of all other members, in the order of the member list.
func (p *Peers) Status() []Status {
	all := make([]Status, 0, len(p.remotes))
	for _, m := range p.opt.Members {
		if r, ok := p.remotes[m.ID]; ok {
			all = append(all, r.status())
		}
	}
	return all
}

func (r *remote) status() Status {
	s := Status{
		ID: r.id, Zone: r.member.Zone, PeerAddr: r.member.Addr, Reachable: r.Reachable(), Actor: r.Actor(),
	}
	h := r.Health()
	s.Slow, s.Avoided = h.Slow, h.Reluctant
	for cls := range classCount {
		if c := r.links[cls].Load(); c != nil {
			count, bytes := c.calls.load()
			s.InFlight += count
			s.InFlightBytes += bytes
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.Reachable {
		s.Reason = errNotConnected.Error()
		if r.why != nil {
			s.Reason = r.why.Error()
		}
	}
	if r.announced != nil {
		s.RPCAddr, s.HTTPAddr, s.Incarnation = r.announced.rpcAddr, r.announced.httpAddr, r.announced.identity.incarnation
	}
	s.Measured, s.RTT, s.Offset = r.filter.count > 0, r.filter.best.rtt, r.filter.best.offset
	return s
}

// ClockOffset is this node's physical clock less the median of all members' clocks, this node's included, as far as
// they answered a ping lately.
func (p *Peers) ClockOffset() time.Duration {
	offsets := []time.Duration{0}
	now := p.elapsed()
	for _, r := range p.remotes {
		r.mu.Lock()
		if r.filter.count > 0 && now-r.lastPong < offsetFresh*p.opt.PingInterval {
			offsets = append(offsets, r.filter.best.offset)
		}
		r.mu.Unlock()
	}
	return -median(offsets)
}

// offsetFresh is for how many ping intervals a measured offset is believed.
const offsetFresh = 20

// noteRefusal logs a refusal, once for each cause, and reports one that means that this node must stop, or begin anew. It says
// whether err was a refusal.
func (p *Peers) noteRefusal(err error) bool {
	var refused *HandshakeError
	if !errors.As(err, &refused) {
		return false
	}
	if p.firstTime(refused) {
		p.opt.Logger.Error("handshake refused", "peer", refused.Node, "addr", refused.Addr, "reason", refused.Reason,
			"by_peer", refused.ByPeer, "detail", refused.Detail)
	}
	if refused.ByPeer && refused.Fatal() && p.opt.Refused != nil {
		p.refusedOnce.Do(func() { p.opt.Refused(refused) })
	}
	if now, _ := p.opt.Runs(); refused.ByPeer && refused.Reason == ReasonOutdated && refused.Last.Boot != now.Boot && p.opt.Outdated != nil {
		p.opt.Outdated(refused)
	}
	return true
}

// saidMax bounds the memory of what was logged; past it all is forgotten, and so may be said again.
const saidMax = 256

func (p *Peers) firstTime(e *HandshakeError) bool {
	cause := string(e.Node) + "\x00" + e.Reason.String() + "\x00" + e.Detail
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.said[cause]; ok {
		return false
	}
	if len(p.said) >= saidMax {
		clear(p.said)
	}
	p.said[cause] = struct{}{}
	return true
}

// noteLoss keeps and logs why a link that this node dialled has ended, or never came to be.
func (p *Peers) noteLoss(r *remote, cls class, opened bool, err error) {
	if cls == foreground {
		r.setWhy(err)
	}
	switch {
	case p.noteRefusal(err):
	case opened:
		p.opt.Logger.Warn("lost the connection to a peer", "peer", r.id, "class", cls, "error", err)
	default:
		p.opt.Logger.Debug("cannot connect to a peer", "peer", r.id, "class", cls, "error", err)
	}
}
