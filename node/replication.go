package node

import (
	"fmt"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// replicationStatus says how far the node's partitions are from being held alike by all of their replicas.
func (n *Node) replicationStatus() wire.ReplicationStatus {
	c := n.exchanger.Counters()
	s := wire.ReplicationStatus{
		Healed: n.healer.healed.Load(), Paused: n.exchanger.Paused(),
		Exchanges: c.Exchanges.Load(), ExchangesFailed: c.ExchangesFailed.Load(), Complete: c.Complete.Load(),
		KeysFetched: c.KeysFetched.Load(), KeysPushed: c.KeysPushed.Load(),
		BytesSent: c.BytesSent.Load(), BytesReceived: c.BytesReceived.Load(),
		Stable: c.Stable.Load(), Retired: c.Retired.Load(), Filled: c.Filled.Load(),
	}
	var lag lag
	for _, p := range n.held() {
		s.Partitions++
		if !n.forest.Stands(p) {
			s.WithoutTree++
		}
		if n.forest.Poisoned(p) {
			s.Poisoned++
		}
		if since := n.replica.UnfilledSince(p); !since.IsZero() {
			s.Unfilled++
			lag.add(since, "partition %d is not filled", p)
		}
	}
	for _, m := range n.table.Members() {
		stats := n.exchanger.PeerStats(m.ID)
		if stats.Shared == 0 {
			continue
		}
		lag.add(stats.NeededSince, "a partition needs repair with %s", m.ID)
		s.Peers = append(s.Peers, wire.ExchangeStatus{
			ID: string(m.ID), Partitions: stats.Shared, Needs: stats.Needs, NeededSince: epochMillis(stats.NeededSince),
			Never: stats.Never, OldestComplete: epochMillis(stats.Oldest), NewestComplete: epochMillis(stats.Newest),
		})
	}
	waiting, since, mending := n.healer.status()
	s.Healing, s.Mending = int64(waiting), !mending.IsZero()
	lag.add(since, "a key cannot be read here")
	lag.add(mending, "what was found damaged is not made up for")
	s.UnderReplicatedSince, s.UnderReplicatedWhy = epochMillis(lag.since), lag.why
	return s
}

// held are the partitions that the node is a replica of, in order.
func (n *Node) held() []ring.PartitionID { return n.table.Partitions(ring.NodeID(n.cfg.ID)) }

// lag is the earliest time at which something came to be known that keeps a write from being on all of its replicas.
type lag struct {
	since time.Time
	why   string
}

// add takes another such time into account; zero is none.
func (l *lag) add(since time.Time, why string, args ...any) {
	if !since.IsZero() && (l.since.IsZero() || since.Before(l.since)) {
		l.since, l.why = since, fmt.Sprintf(why, args...)
	}
}

// epochMillis is a time in milliseconds since the Unix epoch; zero for none.
func epochMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
