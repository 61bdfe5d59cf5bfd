package antientropy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

func TestANeedIsKnownFromWhenItWasFoundUntilItIsSeenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(3, 4, Options{Period: time.Hour}, plant{})
		a, b := c.nodes[0], c.nodes[1]
		stop := c.start()
		defer stop()
		time.Sleep(time.Minute)
		if s := a.x.PeerStats(b.id); s.Shared != 4 || s.Needs != 0 || s.Never != 0 || s.Oldest.IsZero() || s.Newest.Before(s.Oldest) {
			t.Fatalf("after the first round: %+v", s)
		}
		c.isolate(b, true)
		found := time.Now()
		a.x.Hurry(b.id, 2)
		time.Sleep(time.Minute)
		a.x.Hurry(b.id, 2, 3)
		time.Sleep(time.Minute)
		if s := a.x.PeerStats(b.id); s.Needs != 2 || !s.NeededSince.Equal(found) {
			t.Errorf("cut off: %+v, want two needs since %v", s, found)
		}
		if at := a.x.NeededSince(3, b.id); !at.Equal(found.Add(time.Minute)) {
			t.Errorf("partition 3 needs repair since %v", at)
		}
		c.isolate(b, false)
		a.x.Hurry(b.id)
		time.Sleep(time.Minute)
		if s := a.x.PeerStats(b.id); s.Needs != 0 || !s.NeededSince.IsZero() || a.x.Urgent(b.id) != 0 {
			t.Errorf("after it was seen to: %+v", s)
		}
	})
}

func TestWhatIsFoundWhileAnExchangeRunsIsANeedStill(t *testing.T) {
	s := newPeerState()
	at := time.Unix(1000, 0)
	s.needLocked(1, at)
	s.shared = []ring.PartitionID{1}
	if taken := s.takeUrgent(); len(taken) != 1 {
		t.Fatalf("%v is taken", taken)
	}
	s.needLocked(1, at.Add(time.Second))
	s.needLocked(1, at.Add(2*time.Second))
	s.repaired([]ring.PartitionID{1})
	if got := s.needs[1]; !got.Equal(at.Add(time.Second)) {
		t.Errorf("needs repair since %v", got)
	}
}

func TestRulesThatDifferHaveOtherDigests(t *testing.T) {
	seen := make(map[uint64]Rule)
	for _, r := range []Rule{
		{}, {Expired: 1}, {Stable: causal.Vector{{Actor: 1, Time: 2}}}, {Stable: causal.Vector{{Actor: 2, Time: 1}}},
		{Stable: causal.Vector{{Actor: 1, Time: 2}, {Actor: 2, Time: 1}}}, {Stable: causal.Vector{{Actor: 1, Time: 2}}, Expired: 1},
	} {
		if other, taken := seen[r.Digest()]; taken {
			t.Errorf("%v and %v have the same", r, other)
		}
		seen[r.Digest()] = r
	}
}
