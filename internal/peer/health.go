package peer

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/tail"
	"github.com/ringcask/ringcask/ring"
)

// health is how a remote does, as its foreground link shows. It makes others preferred to the remote and no more: what
// cannot be reached is another matter (remote.doubt).
type health struct {
	// hung: answers are due, and a ping out of turn was not answered at once, either.
	hung atomic.Bool
	// slow: its mean latency is far above that of the quickest peer.
	slow atomic.Bool
	// avoided: see Peers.Avoid.
	avoided atomic.Bool
	// reads is how long reads of few keys took.
	reads tail.Meter
	// sum and count are of the stores and reads answered since the last judgement; mean is what they came to then, zero
	// where there were too few.
	sum, count, mean atomic.Int64
}

const (
	// readsMeteredMax is the most keys of a read that counts for the tail of reads.
	readsMeteredMax = 16
	// meanSamplesMin is how many answers it takes to tell a mean.
	meanSamplesMin = 8
	// slowFactor is how many times the quickest peer's mean makes a peer slow.
	slowFactor = 5
)

// Health implements coordinator.Peer.
func (r *remote) Health() coordinator.Health {
	h := &r.health
	return coordinator.Health{Slow: h.hung.Load() || h.slow.Load(), Reluctant: h.avoided.Load(), Tail: h.reads.P99()}
}

// Avoid says whether a peer is to coordinate only where nobody else can: because it has said so itself by another way
// than its links, or is held for dead by those who watch it.
func (p *Peers) Avoid(id ring.NodeID, avoid bool) {
	if r, ok := p.remotes[id]; ok {
		r.health.avoided.Store(avoid)
	}
}

// measure takes the time of an answered call, or of one that expired, into account.
func (h *health) measure(c *call, took time.Duration) {
	switch {
	case c.read != nil && c.count <= readsMeteredMax:
		h.reads.Record(took)
	case c.store == nil:
		return
	}
	h.sum.Add(int64(took))
	h.count.Add(1)
}

// settle draws the mean of what was measured since it was last called.
func (h *health) settle() {
	sum, count := h.sum.Swap(0), h.count.Swap(0)
	mean := int64(0)
	if count >= meanSamplesMin {
		mean = max(1, sum/count)
	}
	h.mean.Store(mean)
}

// forget is for a link that has begun or ended: what was seen on the last one says nothing any more, and nobody is to be
// compared with it.
func (h *health) forget() {
	h.hung.Store(false)
	h.slow.Store(false)
	h.settle()
	h.mean.Store(0)
}

// judgeSpeed compares the remote with the others. Without answers enough there is nothing to hold against it: so one that
// was passed over for a while is tried again.
func (r *remote) judgeSpeed() {
	h := &r.health
	h.settle()
	mean, quickest := h.mean.Load(), int64(0)
	for _, other := range r.p.remotes {
		if m := other.health.mean.Load(); other != r && m > 0 && (quickest == 0 || m < quickest) {
			quickest = m
		}
	}
	slow := quickest > 0 && mean > int64(r.p.opt.SlowAfter) && mean > slowFactor*quickest
	if h.slow.Swap(slow) != slow {
		r.p.opt.Logger.Info("a peer's speed has changed", "peer", r.id, "slow", slow, "mean", time.Duration(mean))
	}
}

// watchInterval is how often a link is looked at on which answers are due.
const watchInterval = 10 * time.Millisecond

// keepAsking pings the other end when that is due, or when there is a doubt. It says when the next ping is due, and when
// the link is to be looked at next for another reason. The link's tender calls it.
func (c *conn) keepAsking(now, due time.Duration) (nextPing, look time.Duration) {
	again := false
	if c.class == foreground {
		var probe bool
		if probe, again = c.watch(now); probe {
			c.remote.sendPing(c)
			again = true
		}
	}
	if now >= due {
		c.remote.sendPing(c)
		due = now + c.pingInterval()
		if c.class == foreground {
			c.remote.judgeSpeed()
			again = true
		}
	}
	if again {
		return due, now + watchInterval
	}
	return due, never
}

// watch looks whether the peer of a foreground link still answers. It says whether it is to be pinged now, and whether
// the link is to be looked at again soon.
func (c *conn) watch(now time.Duration) (probe, again bool) {
	opt, h := &c.p.opt, &c.remote.health
	if !c.pingDue() {
		h.hung.Store(false)
		silence, due := c.calls.silence(now, time.Duration(c.heard.Load()))
		return silence >= opt.ProbeAfter, due
	}
	age := now - c.unanswered
	h.hung.Store(age >= opt.HungAfter)
	if age >= opt.PingInterval {
		// Only a ping that is sent now can settle a new doubt.
		probe = c.remote.doubt(fmt.Sprintf("no answer to a ping for %v", age.Round(time.Millisecond)))
	}
	return probe, age < opt.PingInterval
}

// pingInterval is the time between two pings of the link. A bulk link says nothing of its peer that its foreground link does not say
// sooner: it needs pings enough not to be taken for dead, and to tell the peer by how much the clocks differ.
func (c *conn) pingInterval() time.Duration {
	opt := &c.p.opt
	if c.class == foreground {
		return opt.PingInterval
	}
	return min(2*opt.PingInterval, opt.LinkTimeout/2)
}

// pingDue says whether an answer to a ping is due.
func (c *conn) pingDue() bool { return c.pinged > time.Duration(c.answered.Load()) }
