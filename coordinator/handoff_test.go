package coordinator

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

func TestAReplicaThatMissesAWriteGetsAHint(t *testing.T) {
	for name, break3 := range map[string]func(c *cluster){
		"unreachable": func(c *cluster) { c.nodes[2].cause(func(w *trouble) { w.down = true }) },
		"silent":      func(c *cluster) { c.nodes[2].cause(func(w *trouble) { w.silent = true }) },
		"refuses":     func(c *cluster) { c.nodes[2].onStore = func(ring.NodeID, []Item) error { return errors.New("broken") } },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, c *cluster) {
				break3(c)
				began := time.Now()
				c.nodes[0].put(t, put("k", "v"))
				if took := time.Since(began); took >= time.Second {
					t.Errorf("the write waited %v for the replica that is away", took)
				}
				c.wait.Wait()
				if got := c.nodes[0].kept(c.nodes[0].hints, "n3", "k"); got != "v" {
					t.Errorf("the hint for n3 is %q", got)
				}
				if n := len(c.nodes[0].hints) + len(c.nodes[1].hints); n != 1 || c.nodes[0].called("hint") != 1 {
					t.Errorf("%d hints in %d calls, want one", n, c.nodes[0].called("hint"))
				}
			})
		})
	}
}

// The callback that tells of decided objects may run under a lock of the log, where nothing else must be waited for.
func TestNoHintIsAskedForBeforeTheLocalLogIsDurable(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[0].syncTime = 10 * time.Millisecond
		c.nodes[2].cause(func(w *trouble) { w.down = true })
		c.wait.Go(func() {
			time.Sleep(5 * time.Millisecond)
			if n := c.nodes[0].called("hint"); n != 0 {
				t.Errorf("%d hints while the log syncs", n)
			}
		})
		c.nodes[0].put(t, put("k", "v"))
		c.wait.Wait()
		if n := c.nodes[0].called("hint"); n != 1 {
			t.Errorf("%d hints, want one", n)
		}
	})
}

func TestNoHintIsKeptWhereAllReplicasAcknowledge(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[0].put(t, put("k", "v"))
		c.wait.Wait()
		if n := c.nodes[0].called("hint"); n != 0 {
			t.Errorf("%d hints", n)
		}
	})
}

func TestAHintIsInTheReceiptIfItIsKeptByThen(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[2].cause(func(w *trouble) { w.down = true })
		c.nodes[1].onStore = func(ring.NodeID, []Item) error { // the local replica has had its last word by then
			time.Sleep(time.Millisecond)
			return nil
		}
		out := c.nodes[0].put(t, put("k", "v"))
		if want := []KeptHint{{Target: "n3", Node: "n1"}}; !slices.Equal(out.Receipt.Hints, want) {
			t.Errorf("hints %v, want %v", out.Receipt.Hints, want)
		}
		c.nodes[0].cause(func(w *trouble) { w.failHint = errors.New("overloaded") })
		if out := c.nodes[0].put(t, put("k", "w")); len(out.Receipt.Hints) != 0 {
			t.Errorf("hints %v that could not be kept", out.Receipt.Hints)
		}
	})
}

func TestAWriteThatMissesItsQuorumIsHintedToo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		for _, n := range c.nodes[1:] {
			n.cause(func(w *trouble) { w.silent = true })
		}
		out := c.nodes[0].write(t, WriteRequest{}, put("k", "v"))[0]
		if EffectOf(out.Err) != wire.EffectApplied {
			t.Fatalf("%v", out.Err)
		}
		c.wait.Wait()
		for _, id := range []ring.NodeID{"n2", "n3"} {
			if got := c.nodes[0].kept(c.nodes[0].hints, id, "k"); got != "v" {
				t.Errorf("the hint for %s is %q", id, got)
			}
		}
	})
}

func TestAVoidedAckIsHinted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[0].syncTime = 20 * time.Millisecond
		c.wait.Go(func() {
			time.Sleep(10 * time.Millisecond) // the others have acknowledged, the coordinating replica is not durable yet
			c.nodes[1].newActor()
		})
		c.nodes[0].put(t, put("k", "v"))
		c.wait.Wait()
		if got := c.nodes[0].kept(c.nodes[0].hints, "n2", "k"); got != "v" {
			t.Errorf("the hint for n2 is %q", got)
		}
	})
}

// sloppyNodes is a cluster of five nodes with three replicas of each key, and a key that the first three hold.
func sloppyNodes(t *testing.T, f func(t *testing.T, c *cluster, key string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(newFakeTable(5, 3, 10), 5, nil)
		key := "k"
		for c.table.Partition([]byte(key)) != 0 {
			key += "k"
		}
		f(t, c, key)
		c.wait.Wait()
	})
}

func TestFallbacksCountInASloppyWrite(t *testing.T) {
	for name, fault := range map[string]func(*trouble){
		"down, as is known":  func(w *trouble) { w.down = true },
		"down, as turns out": func(w *trouble) { w.down, w.unnoticed = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			sloppyNodes(t, func(t *testing.T, c *cluster, key string) {
				for _, n := range c.nodes[1:3] {
					n.cause(fault)
				}
				if out := c.nodes[0].write(t, WriteRequest{}, put(key, "strict"))[0]; out.Err == nil {
					t.Fatal("a strict write was acknowledged with one replica")
				}
				out := c.nodes[0].write(t, WriteRequest{Sloppy: wire.ChoiceYes, W: LevelAll}, put(key, "v"))[0]
				if out.Err != nil {
					t.Fatal(out.Err)
				}
				if !slices.Equal(out.Receipt.Replicas, []ring.NodeID{"n1"}) {
					t.Errorf("replicas %v", out.Receipt.Replicas)
				}
				for target, node := range map[ring.NodeID]ring.NodeID{"n2": "n4", "n3": "n5"} {
					if !slices.Contains(out.Receipt.Hints, KeptHint{Target: target, Node: node, Counted: true}) {
						t.Errorf("no copy for %s at %s: %v", target, node, out.Receipt.Hints)
					}
					if got := c.node(node).kept(c.node(node).copies, target, key); got != "v" {
						t.Errorf("%s keeps %q for %s", node, got, target)
					}
				}
			})
		})
	}
}

func TestASloppyWriteUsesNoFallbackThatItDoesNotNeed(t *testing.T) {
	sloppyNodes(t, func(t *testing.T, c *cluster, key string) {
		c.nodes[1].cause(func(w *trouble) { w.down = true })
		out := c.nodes[0].write(t, WriteRequest{Sloppy: wire.ChoiceYes}, put(key, "v"))[0]
		c.wait.Wait()
		if out.Err != nil || len(c.nodes[3].copies)+len(c.nodes[4].copies) != 0 {
			t.Errorf("%v; copies %v and %v", out.Err, c.nodes[3].copies, c.nodes[4].copies)
		}
	})
}

func TestAFallbackWithoutRoomDoesNotCountAndTheNextOneIsAsked(t *testing.T) {
	sloppyNodes(t, func(t *testing.T, c *cluster, key string) {
		for _, n := range c.nodes[1:3] {
			n.cause(func(w *trouble) { w.down = true })
		}
		full := func(w *trouble) { w.failHint = errors.New("full") }
		c.nodes[3].cause(full)
		out := c.nodes[0].write(t, WriteRequest{Sloppy: wire.ChoiceYes}, put(key, "v"))[0]
		if out.Err != nil || !slices.Contains(out.Receipt.Hints, KeptHint{Target: "n2", Node: "n5", Counted: true}) {
			t.Fatalf("%v, %+v", out.Err, out.Receipt)
		}
		c.nodes[4].cause(full)
		out = c.nodes[0].write(t, WriteRequest{Sloppy: wire.ChoiceYes}, put(key, "w"))[0]
		var q *QuorumError
		if !errors.As(out.Err, &q) || q.Got != 1 || q.Effect != wire.EffectApplied {
			t.Errorf("without room on any fallback: %v", out.Err)
		}
	})
}

func TestACopyIsVoidWhoseGiverHasAnotherActor(t *testing.T) {
	sloppyNodes(t, func(t *testing.T, c *cluster, key string) {
		for _, n := range c.nodes[1:3] {
			n.cause(func(w *trouble) { w.down = true })
		}
		c.nodes[0].syncTime = 20 * time.Millisecond
		c.wait.Go(func() {
			time.Sleep(10 * time.Millisecond)
			c.nodes[3].newActor()
		})
		out := c.nodes[0].write(t, WriteRequest{Sloppy: wire.ChoiceYes}, put(key, "v"))[0]
		if out.Err != nil || slices.ContainsFunc(out.Receipt.Hints, func(h KeptHint) bool { return h.Node == "n4" }) {
			t.Errorf("%v, %+v", out.Err, out.Receipt)
		}
	})
}

// A node that is no replica hands the choice on.
func TestASloppyWriteIsForwardedAsOne(t *testing.T) {
	for name, tune := range map[string]func(*Options){
		"by request":         nil,
		"by the own setting": func(o *Options) { o.Sloppy = o.Self == "n5" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(newFakeTable(5, 3, 10), 5, tune)
				key := "k"
				for c.table.Partition([]byte(key)) != 0 {
					key += "k"
				}
				for _, n := range c.nodes[1:3] {
					n.cause(func(w *trouble) { w.down = true })
				}
				req := WriteRequest{}
				if tune == nil {
					req.Sloppy = wire.ChoiceYes
				}
				out := c.nodes[4].write(t, req, put(key, "v"))[0]
				if out.Err != nil || countedIn(out.Receipt) != 1 || out.Receipt.Replicas[0] != "n1" {
					t.Errorf("%v, %+v", out.Err, out.Receipt)
				}
				c.wait.Wait()
			})
		})
	}
}

// The keys of a batch have different replicas and different fallbacks; each copy goes to the right one.
func TestASloppyBatchSendsEachKeyToItsOwnFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(newFakeTable(5, 3, 10), 5, func(o *Options) { o.Sloppy = true })
		for _, n := range c.nodes[1:3] {
			n.cause(func(w *trouble) { w.down = true })
		}
		var ops []Op
		for i := range 40 {
			ops = append(ops, put(string(rune('a'+i)), "v"))
		}
		out, err := c.nodes[0].coord.Write(context.Background(), &WriteRequest{Ops: ops})
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range out {
			key := string(ops[i].Key)
			replicas := c.table.Replicas(c.table.Partition(ops[i].Key))
			if o.Err != nil || len(o.Receipt.Replicas)+countedIn(o.Receipt) < 2 {
				t.Errorf("%s on %v: %v, %+v", key, replicas, o.Err, o.Receipt)
			}
			for _, h := range o.Receipt.Hints {
				if h.Counted && (slices.Contains(replicas, h.Node) || !slices.Contains(replicas, h.Target) ||
					c.node(h.Node).kept(c.node(h.Node).copies, h.Target, key) != "v") {
					t.Errorf("%s on %v has the hint %+v", key, replicas, h)
				}
			}
		}
		c.wait.Wait()
	})
}

func countedIn(r Receipt) (n int) {
	for _, h := range r.Hints {
		if h.Counted {
			n++
		}
	}
	return n
}
