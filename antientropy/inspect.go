package antientropy

import (
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// Digest is a short name of a rule: rules with different ones are different.
func (r Rule) Digest() uint64 {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+16*len(r.Stable)), uint64(r.Expired))
	for _, e := range r.Stable {
		b = binary.BigEndian.AppendUint64(b, uint64(e.Actor))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Time))
	}
	return xxhash.Sum64(b)
}

// PeerStats says how far the exchanges with a peer have come in this run.
type PeerStats struct {
	// Shared partitions are held by both. Needs of them are known to need repair, and NeededSince is when the first of those was found
	// to; zero if there is none.
	Shared, Needs int
	NeededSince   time.Time
	// Never of the shared partitions were exchanged completely. Oldest and Newest are the ends of the last complete exchanges of the
	// others.
	Never          int
	Oldest, Newest time.Time
}

// PeerStats describes the exchanges with a peer; all is zero for one that shares no partition with this node.
func (x *Exchanger) PeerStats(peer ring.NodeID) (stats PeerStats) {
	s := x.peers[peer]
	if s == nil {
		return stats
	}
	stats.Shared = len(s.shared)
	s.mu.Lock()
	stats.Needs = len(s.needs)
	for _, since := range s.needs {
		stats.NeededSince = earlier(stats.NeededSince, since)
	}
	s.mu.Unlock()

	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range s.shared {
		at := x.last[pairing{p, peer}]
		if at.IsZero() {
			stats.Never++
			continue
		}
		stats.Oldest = earlier(stats.Oldest, at)
		if at.After(stats.Newest) {
			stats.Newest = at
		}
	}
	return stats
}

// earlier is the earlier of two times, of which either may be zero for none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// NeededSince is when a partition was found to need repair with a peer; zero if it is not known to.
func (x *Exchanger) NeededSince(p ring.PartitionID, peer ring.NodeID) time.Time {
	s := x.peers[peer]
	if s == nil {
		return time.Time{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.needs[p]
}

// Retiring are the actors whose events in a partition only exchanges may still bring, until all of them are known to be stable.
func (x *Exchanger) Retiring(p ring.PartitionID) []causal.Actor {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.retiringLocked(p)
}
