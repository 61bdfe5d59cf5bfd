package node

import (
	"context"
	"time"

	"github.com/ringcask/ringcask/internal/cluster"
	"github.com/ringcask/ringcask/ring"
)

// conditionInterval is how often the node looks whether it still serves, to tell the others. A change of
// phase is told at once.
const conditionInterval = 250 * time.Millisecond

func (n *Node) livenessOptions() cluster.Options {
	members := make([]cluster.Peer, len(n.cfg.Members))
	for i, m := range n.cfg.Members {
		members[i] = cluster.Peer{ID: ring.NodeID(m.ID), Addr: m.gossipAddr()}
	}
	return cluster.Options{
		Self: ring.NodeID(n.cfg.ID), Members: members, BindAddr: n.cfg.GossipAddr,
		Fingerprint: uint64(n.table.Fingerprint()), Incarnation: n.replica.Incarnation(),
		Transport: n.gossip(), Changed: n.memberChanged, Logger: n.log,
	}
}

// memberChanged has writes coordinated elsewhere while a member is held for dead, or says that it would refuse. One that is alive
// gets what it has missed.
func (n *Node) memberChanged(m cluster.Member) {
	serves := m.State != cluster.Dead && m.Condition == cluster.Serving
	n.peers.Avoid(m.ID, !serves)
	if m.State == cluster.Alive {
		n.handoff.cameBack(m.ID)
	}
}

// tellCondition tells the other members whether this node serves, now and again and each time that its phase changes.
func (n *Node) tellCondition(ctx context.Context, tell func(cluster.Condition)) {
	tick := time.NewTicker(conditionInterval)
	defer tick.Stop()
	for {
		tell(n.condition())
		select {
		case <-n.turned:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// enter takes the node to a later phase; there is no way back.
func (n *Node) enter(phase int32) {
	for now := n.phase.Load(); now < phase; now = n.phase.Load() {
		if n.phase.CompareAndSwap(now, phase) {
			select {
			case n.turned <- struct{}{}:
			default: // it has not looked since the last turn
			}
		}
	}
}

func (n *Node) condition() cluster.Condition {
	switch n.phase.Load() {
	case phaseStarting:
		return cluster.Starting
	case phaseDraining:
		return cluster.Draining
	}
	switch {
	case n.mayCoordinate() != nil:
		return cluster.Barred
	case n.replica.Serving() != nil:
		return cluster.ReadOnly
	}
	return cluster.Serving
}
