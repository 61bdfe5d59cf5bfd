package coordinator

import (
	"testing"
	"time"
)

func TestTheHedgeDelayFollowsTheTailOfWhoWasAskedWithinItsBounds(t *testing.T) {
	for _, tc := range []struct {
		tail, least, most, want time.Duration
	}{
		{0, 0, 0, 25 * time.Millisecond}, // not known
		{time.Millisecond, 0, 0, 5 * time.Millisecond},
		{4 * time.Millisecond, 0, 0, 8 * time.Millisecond},
		{time.Second, 0, 0, 25 * time.Millisecond},
		{time.Millisecond, time.Millisecond, 0, 2 * time.Millisecond},
		{time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond}, // fixed
		{time.Millisecond, 0, 3 * time.Millisecond, 3 * time.Millisecond},
	} {
		tune := func(o *Options) { o.HedgeDelay, o.HedgeDelayMin = tc.most, tc.least }
		bubble(t, tune, func(t *testing.T, c *cluster) {
			for _, n := range c.nodes {
				n.set("k", obj("a1=v"))
			}
			c.nodes[1].silent = true
			c.nodes[1].health.Tail = tc.tail
			began := time.Now()
			if got := c.nodes[0].get(t, "k", LevelDefault); got.Err != nil || time.Since(began) != tc.want {
				t.Errorf("%+v: hedged after %v, %v", tc, time.Since(began), got.Err)
			}
		})
	}
}

func TestASlowReplicaIsNotReadWhereAnotherIs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.set("k", obj("a1=v"))
		}
		c.nodes[1].health.Slow = true
		c.nodes[1].silent = true
		began := time.Now()
		if got := c.nodes[0].get(t, "k", LevelDefault); got.Err != nil || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), got.Err)
		}
		// It still counts where it is needed.
		c.nodes[1].cause(func(t *trouble) { t.silent = false })
		c.nodes[2].cause(func(t *trouble) { t.down = true })
		if got := c.nodes[0].get(t, "k", LevelDefault); got.Err != nil {
			t.Error(got.Err)
		}
	})
}

func TestAWriteIsForwardedToAReplicaThatIsWell(t *testing.T) {
	for name, ill := range map[string]Health{"slow": {Slow: true}, "reluctant": {Reluctant: true}, "both": {Slow: true, Reluctant: true}} {
		t.Run(name, func(t *testing.T) {
			sixNodes(t, nil, func(t *testing.T, c *cluster) {
				key := c.foreign(c.nodes[0])
				replicas := c.replicasOf(key)
				replicas[0].health, replicas[0].silent = ill, true
				if out := c.nodes[0].put(t, put(key, "v")); out.Receipt.Replicas[0] != replicas[1].id {
					t.Errorf("coordinated by %s", out.Receipt.Replicas[0])
				}
				replicas[0].cause(func(t *trouble) { t.silent = false })
				replicas[1].cause(func(t *trouble) { t.serving = ErrNotServing })
				replicas[2].cause(func(t *trouble) { t.down = true })
				if out := c.nodes[0].put(t, put(key, "w")); out.Receipt.Replicas[0] != replicas[0].id {
					t.Errorf("coordinated by %s, where only %s was left", out.Receipt.Replicas[0], replicas[0].id)
				}
			})
		})
	}
}

func TestAReluctantReplicaIsReadLikeAnyOther(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.set("k", obj("a1=v"))
		}
		c.nodes[1].health.Reluctant = true
		c.nodes[0].get(t, "k", LevelDefault)
		if c.nodes[1].calls["heads"] != 1 || len(c.nodes[2].calls) != 0 {
			t.Errorf("n2 was asked %v, n3 %v", c.nodes[1].calls, c.nodes[2].calls)
		}
	})
}

func TestTheOtherReplicasAreGivenLongerThanWhoAsked(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		n := c.nodes[0].coord
		soon := time.Now().Add(time.Millisecond)
		if got := n.spreadDeadline(soon); !got.Equal(time.Now().Add(n.opt.Timeout)) {
			t.Errorf("%v", time.Until(got))
		}
		late := time.Now().Add(time.Minute)
		if got := n.spreadDeadline(late); !got.Equal(late) {
			t.Errorf("%v", time.Until(got))
		}
	})
}
