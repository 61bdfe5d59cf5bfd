package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

func TestAGetOfEqualReplicasIsOneRoundTripAndOneDiskRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.set("k", obj("a1=v"))
		}
		if got := values(c.nodes[0].get(t, "k", LevelDefault).Object); got != "v" {
			t.Fatalf("got %q", got)
		}
		for i, want := range []map[string]int{{"values": 1}, {"heads": 1}, {}} {
			if fmt.Sprint(c.nodes[i].calls) != fmt.Sprint(want) {
				t.Errorf("n%d was asked %v, want %v", i+1, c.nodes[i].calls, want)
			}
		}
	})
}

func TestAQuorumGetRepairsBeforeItReturns(t *testing.T) {
	for reader := range 3 {
		bubble(t, nil, func(t *testing.T, c *cluster) {
			c.nodes[0].set("k", obj("a1=old"))
			c.nodes[1].set("k", obj("b2=new/a1"))
			c.nodes[2].set("k", obj("a1=old"))
			if reader == 2 {
				c.nodes[0].down = true
			}
			got := c.nodes[reader].get(t, "k", LevelDefault)
			holding := 0
			for _, n := range c.nodes {
				if values(n.object("k")) == values(got.Object) {
					holding++
				}
			}
			if got.Err != nil || holding < 2 {
				t.Errorf("n%d returned %q, %v, which %d replicas hold", reader+1, values(got.Object), got.Err, holding)
			}
		})
	}
}

func TestAReplicaThatCannotBeRepairedIsReplacedOrTheGetFails(t *testing.T) {
	refuse := func(ring.NodeID, []Item) error { return errors.New("read-only") }
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[0].set("k", obj("a2=new/a1"))
		c.nodes[1].onStore = refuse
		if got := c.nodes[0].get(t, "k", LevelDefault); got.Err != nil || values(c.nodes[2].object("k")) != "new" {
			t.Errorf("got %v, the third replica holds %q", got.Err, values(c.nodes[2].object("k")))
		}
	})
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[0].set("k", obj("a2=new/a1"))
		c.nodes[1].onStore, c.nodes[2].onStore = refuse, refuse
		var q *QuorumError
		if got := c.nodes[0].get(t, "k", LevelDefault); !errors.As(got.Err, &q) || q.Op != "repair" || q.Need != 2 || q.Got != 1 {
			t.Errorf("got %q, %v", values(got.Object), got.Err)
		}
	})
}

func TestTwoNodesDownFailAQuorumGetAtOnceAndLeaveGetsFromOne(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.set("k", obj("a1=v"))
		}
		c.nodes[1].down, c.nodes[2].down = true, true
		began := time.Now()
		var q *QuorumError
		got := c.nodes[0].get(t, "k", LevelQuorum)
		if !errors.As(got.Err, &q) || q.Need != 2 || q.Got != 1 || len(q.Causes) != 2 || time.Since(began) != 0 {
			t.Errorf("after %s: %v", time.Since(began), got.Err)
		}
		if got := c.nodes[0].get(t, "k", LevelOne); got.Err != nil || values(got.Object) != "v" {
			t.Errorf("r=1: %q, %v", values(got.Object), got.Err)
		}
	})
}

func TestASlowReplicaIsHedged(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes {
			n.set("k", obj("a1=v"))
		}
		c.nodes[1].silent = true
		began := time.Now()
		got := c.nodes[0].get(t, "k", LevelDefault)
		if got.Err != nil || time.Since(began) != 25*time.Millisecond || c.nodes[0].coord.metrics.Hedges.Load() != 1 {
			t.Errorf("after %s: %v", time.Since(began), got.Err)
		}
	})
}

func TestASilentQuorumFailsAtTheDeadline(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].silent, c.nodes[2].silent = true, true
		began := time.Now()
		var q *QuorumError
		got := c.nodes[0].get(t, "k", LevelDefault)
		if !errors.As(got.Err, &q) || q.Got != 1 || time.Since(began) != time.Second {
			t.Errorf("after %s: %v", time.Since(began), got.Err)
		}
	})
}

func TestAGetFromANodeThatIsNoReplicaAsksOneForValues(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		key := c.foreign(c.nodes[0])
		replicas := c.replicasOf(key)
		for _, n := range replicas {
			n.set(key, obj("a1=v"))
		}
		got := c.nodes[0].get(t, key, LevelDefault)
		asked := replicas[0].calls["values"] + replicas[1].calls["heads"]
		if values(got.Object) != "v" || asked != 2 || len(replicas[2].calls) != 0 {
			t.Errorf("got %q, calls %v, %v, %v", values(got.Object), replicas[0].calls, replicas[1].calls, replicas[2].calls)
		}
	})
}

func TestAMultiGetAsksEachReplicaOnceForEachKind(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		var keys [][]byte
		for i := range 100 {
			k := fmt.Sprint("k", i)
			keys = append(keys, []byte(k))
			for _, n := range c.nodes {
				n.set(k, obj("a1="+k))
			}
		}
		c.nodes[1].set("k7", obj("b2=newer/a1")) // one of the others may be it for k7: then it is read and repaired
		res, err := c.nodes[0].coord.Read(context.Background(), &ReadRequest{Keys: keys, R: LevelAll})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range res {
			want := string(keys[i])
			if want == "k7" {
				want = "newer"
			}
			if r.Err != nil || values(r.Object) != want {
				t.Errorf("%s: %q, %v", keys[i], values(r.Object), r.Err)
			}
		}
		for i, want := range []map[string]int{{"values": 1, "store": 1}, {"heads": 1, "values": 1}, {"heads": 1, "store": 1}} {
			if fmt.Sprint(c.nodes[i].calls) != fmt.Sprint(want) {
				t.Errorf("n%d was asked %v, want %v", i+1, c.nodes[i].calls, want)
			}
		}
	})
}

func TestWhatAWeakReadFindsStaleIsRepairedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(newFakeTable(4, 4, 8), 4, nil)
		c.nodes[0].set("k", obj("a2=new/a1"))
		ctx, stop := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- c.nodes[0].coord.Run(ctx) }()
		c.nodes[0].get(t, "k", 2)
		synctest.Wait()
		for _, n := range c.nodes {
			if values(n.object("k")) != "new" {
				t.Errorf("%s holds %q", n.id, values(n.object("k")))
			}
		}
		stop()
		if err := <-ran; err != nil || c.nodes[0].coord.metrics.BackgroundRepairs.Load() != 1 {
			t.Errorf("Run: %v", err)
		}
		c.wait.Wait()
	})
}

func TestTheRepairQueueIsBoundedAndHoldsAKeyOnce(t *testing.T) {
	var q repairQueue
	var m Metrics
	q.init(2)
	q.add([][]byte{[]byte("a"), []byte("a"), []byte("b"), []byte("c")}, &m)
	a, _ := q.take()
	q.add([][]byte{[]byte("a")}, &m)
	b, _ := q.take()
	again, _ := q.take()
	if _, ok := q.take(); a != "a" || b != "b" || again != "a" || ok || m.RepairsDropped.Load() != 1 {
		t.Errorf("took %q %q %q, dropped %d", a, b, again, m.RepairsDropped.Load())
	}
}

func TestBadReadsAreRefused(t *testing.T) {
	bubble(t, func(o *Options) { o.ReadKeysMax = 2 }, func(t *testing.T, c *cluster) {
		k := []byte("k")
		for name, tc := range map[string]struct {
			req  ReadRequest
			want error
		}{
			"no key":    {ReadRequest{}, ErrBadRequest},
			"empty key": {ReadRequest{Keys: [][]byte{nil}}, ErrBadRequest},
			"long key":  {ReadRequest{Keys: [][]byte{make([]byte, 5000)}}, ErrTooLarge},
			"many":      {ReadRequest{Keys: [][]byte{k, k, k}}, ErrTooLarge},
			"r of four": {ReadRequest{Keys: [][]byte{k}, R: 4}, ErrBadRequest},
			"too late":  {ReadRequest{Keys: [][]byte{k}, Deadline: time.Now()}, context.DeadlineExceeded},
		} {
			if _, err := c.nodes[0].coord.Read(context.Background(), &tc.req); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

func TestAMultiGetIsBoundedInBytes(t *testing.T) {
	for name, tune := range map[string]struct{ replica, results int }{
		"by its results": {0, 10}, "by each replica": {10, 0},
	} {
		bubble(t, func(o *Options) { o.ReadBytesMax = tune.results }, func(t *testing.T, c *cluster) {
			var keys [][]byte
			for i := range 6 {
				k := fmt.Sprintf("k%d", i)
				keys = append(keys, []byte(k))
				for _, n := range c.nodes {
					n.set(k, obj("a1=four"))
					n.readMax = tune.replica
				}
			}
			var got []string
			for len(keys) > 0 {
				results, err := c.nodes[0].coord.Read(context.Background(), &ReadRequest{Keys: keys})
				if err != nil || results[0].Err != nil {
					t.Fatalf("%s: %v, first key: %v", name, err, results[0].Err)
				}
				var left [][]byte
				for i, r := range results {
					switch {
					case r.Err == nil && len(left) == 0:
						got = append(got, string(keys[i]))
					case errors.Is(r.Err, ErrTooLarge) && EffectOf(r.Err) == wire.EffectNone:
						left = append(left, keys[i])
					default:
						t.Errorf("%s: %s: %v", name, keys[i], r.Err)
					}
				}
				if len(keys)-len(left) > 3 {
					t.Errorf("%s: %d values of four bytes at once", name, len(keys)-len(left))
				}
				keys = left
			}
			if strings.Join(got, " ") != "k0 k1 k2 k3 k4 k5" {
				t.Errorf("%s: got %v", name, got)
			}
		})
	}
}
