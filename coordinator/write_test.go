package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

func TestAPutIsOnAllReplicasAndSaysSo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		out := c.nodes[0].put(t, put("k", "v"))
		synctest.Wait()
		for _, n := range c.nodes {
			if got := values(n.object("k")); got != "v" {
				t.Errorf("%s holds %q", n.id, got)
			}
		}
		if r := out.Receipt.Replicas; len(r) < 2 || r[0] != "n1" || out.Receipt.Dot.Actor != 1 || !out.Context.Covers(out.Receipt.Dot) {
			t.Errorf("receipt %+v with context %v", out.Receipt, out.Context)
		}
	})
}

func TestTheReceiptRepeatsThatTheClientRetried(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		if out := c.nodes[0].write(t, WriteRequest{Retried: true}, put("k", "v")); !out[0].Receipt.Retried {
			t.Errorf("receipt %+v", out[0].Receipt)
		}
	})
}

func TestConcurrentPutsWithOneContextLeaveTwoSiblingsAndTheirJointContextOne(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.delay = 3 * time.Millisecond
		c.nodes[0].put(t, put("k", "old"))
		cc := c.nodes[1].get(t, "k", LevelDefault).Object.Vector
		var both sync.WaitGroup
		for i, n := range c.nodes[:2] {
			both.Go(func() { n.put(t, put("k", fmt.Sprint("v", i)).with(cc)) })
		}
		both.Wait()
		got := c.nodes[2].get(t, "k", LevelDefault).Object
		if values(got) != "v0 v1" {
			t.Fatalf("after two puts with the same context: %q", values(got))
		}
		c.nodes[2].put(t, put("k", "one").with(got.Vector))
		if got := c.nodes[0].get(t, "k", LevelDefault).Object; values(got) != "one" {
			t.Errorf("after a put with the joint context: %q", values(got))
		}
	})
}

func TestAContextReturnedByAPutCoversNoSiblingThatItLeft(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[0].put(t, put("k", "other"))
		out := c.nodes[0].put(t, put("k", "mine").with(nil)) // has seen nothing: leaves "other", by the same actor
		c.nodes[0].put(t, put("k", "next").with(out.Context))
		got := values(c.nodes[1].get(t, "k", LevelDefault).Object)
		if got != "mine next other" {
			t.Errorf("a put whose writer never saw %q left %q", "other", got)
		}
	})
}

func TestAnOrderedPutAndADeleteLeaveNothingOlderBehind(t *testing.T) {
	for name, second := range map[string]func(c *cluster) Op{
		"put":    func(*cluster) Op { return put("k", "new") },
		"delete": func(*cluster) Op { return del("k") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(o *Options) { o.Ordered = true }, func(t *testing.T, c *cluster) {
				old := obj("c9=old") // durable on two of three; the coordinator of the second write has not heard of it
				c.nodes[1].set("k", old)
				c.nodes[2].set("k", old)
				c.nodes[0].put(t, second(c))
				want := map[string]string{"put": "new", "delete": "†"}[name]
				if got := values(c.nodes[1].get(t, "k", LevelAll).Object); got != want {
					t.Errorf("the replicas show %q, want %q", got, want)
				}
			})
		})
	}
}

func TestARequestOverridesTheClustersOrdered(t *testing.T) {
	for _, through := range []int{0, 3} { // a replica, and a node that has to forward
		sixNodes(t, func(o *Options) { o.Ordered = true }, func(t *testing.T, c *cluster) {
			key, replicas := "", []*fakeNode(nil)
			for i := 0; key == "" || slices.Contains(replicas, c.nodes[through]) == (through == 3); i++ {
				key = fmt.Sprint("k", i)
				replicas = c.replicasOf(key)
			}
			for _, n := range replicas {
				n.set(key, obj("c9=old"))
			}
			for _, ordered := range []wire.Choice{wire.ChoiceNo, wire.ChoiceDefault} {
				heads := 0
				for _, n := range replicas {
					heads -= n.called("heads")
				}
				if out := c.nodes[through].write(t, WriteRequest{Ordered: ordered}, put(key, "new")); out[0].Err != nil {
					t.Fatal(out[0].Err)
				}
				for _, n := range replicas {
					heads += n.called("heads")
				}
				if (heads > 0) != (ordered == wire.ChoiceDefault) {
					t.Errorf("through %s, ordered %v: %d replicas were asked for heads", c.nodes[through].id, ordered, heads)
				}
			}
		})
	}
}

func TestThePlainPutOverwritesWhatItsCoordinatorHoldsOnly(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		old := obj("c9=old")
		c.nodes[1].set("k", old)
		c.nodes[2].set("k", old)
		c.nodes[0].put(t, put("k", "new"))
		if got := values(c.nodes[1].get(t, "k", LevelAll).Object); got != "new old" {
			t.Errorf("the replicas show %q", got)
		}
	})
}

func TestTheJoinBeforeAnOrderedPutCountsKnownAnswersOnly(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].quar["k"] = true
		c.nodes[2].set("k", obj("c9=old"))
		c.nodes[0].put(t, del("k"))
		if got := values(c.nodes[0].get(t, "k", LevelDefault).Object); got != "†" {
			t.Errorf("the replicas show %q", got)
		}
		c.nodes[2].quar["k"] = true
		before := len(c.nodes[0].issued)
		out := c.nodes[0].write(t, WriteRequest{Ordered: wire.ChoiceYes}, put("k", "x"))[0]
		var q *QuorumError
		if !errors.As(out.Err, &q) || q.Op != "join" || q.Got != 1 || EffectOf(out.Err) != wire.EffectNone {
			t.Errorf("one known answer of two: %+v", out.Err)
		}
		if n := len(c.nodes[0].issued) - before; n != 0 {
			t.Errorf("%d dots issued", n)
		}
	})
}

func TestABatchIsOneFrameOnEachReplica(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		var ops []Op
		for i := range 50 {
			ops = append(ops, put(fmt.Sprint("k", i), "v"))
		}
		for i, o := range c.nodes[0].write(t, WriteRequest{}, ops...) {
			if o.Err != nil || len(o.Receipt.Replicas) < 2 {
				t.Errorf("op %d: %+v", i, o)
			}
		}
		synctest.Wait()
		for _, n := range c.nodes[1:] {
			if n.calls["store"] != 1 || len(n.dur) != 50 {
				t.Errorf("%s was sent %d stores and holds %d keys", n.id, n.calls["store"], len(n.dur))
			}
		}
	})
}

func TestAnOpOfABatchFailsAlone(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		n.siblings = 1
		n.put(t, put("full", "a"))
		synctest.Wait() // a quorum has it by now; so do all
		out := n.write(t, WriteRequest{}, put("a", "1"), put("full", "b").with(nil), put("b", "2"))
		if out[0].Err != nil || out[2].Err != nil || !errors.Is(out[1].Err, ErrTooManySiblings) {
			t.Errorf("outcomes %v, %v, %v", out[0].Err, out[1].Err, out[2].Err)
		}
		if EffectOf(out[1].Err) != wire.EffectNone || values(c.nodes[1].object("full")) != "a" {
			t.Errorf("a refused op left %q", values(c.nodes[1].object("full")))
		}
	})
}

// sixNodes is a cluster where a node is a replica of half of the keys.
func sixNodes(t *testing.T, tune func(*Options), f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(newFakeTable(6, 3, 12), 6, tune)
		f(t, c)
		c.wait.Wait()
	})
}

// foreign finds a key that node n is no replica of.
func (c *cluster) foreign(n *fakeNode) string {
	for i := 0; ; i++ {
		k := fmt.Sprint("f", i)
		if !n.coord.isReplica(c.table, []byte(k)) {
			return k
		}
	}
}

func (c *cluster) replicasOf(key string) (nodes []*fakeNode) {
	for _, id := range c.table.Replicas(c.table.Partition([]byte(key))) {
		nodes = append(nodes, c.node(id))
	}
	return nodes
}

func TestAWriteIsForwardedOnceToAReplica(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		key := c.foreign(n)
		out := n.put(t, put(key, "v"))
		if c.forwards != 1 || len(n.issued) != 0 || out.Receipt.Replicas[0] != c.replicasOf(key)[0].id {
			t.Errorf("%d forwards, %d dots issued here, receipt %+v", c.forwards, len(n.issued), out.Receipt)
		}
	})
}

func TestAForwardThatNeverLeftGoesToAnotherReplica(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		key := c.foreign(c.nodes[0])
		replicas := c.replicasOf(key)
		replicas[0].down = true
		out := c.nodes[0].put(t, put(key, "v"))
		if out.Receipt.Replicas[0] != replicas[1].id {
			t.Errorf("coordinated by %s", out.Receipt.Replicas[0])
		}
	})
}

func TestAForwardOfUnknownEffectIsNotRetried(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		key := c.foreign(c.nodes[0])
		c.replicasOf(key)[0].silent = true
		out := c.nodes[0].write(t, WriteRequest{}, put(key, "v"))[0]
		if !errors.Is(out.Err, context.DeadlineExceeded) || EffectOf(out.Err) != wire.EffectUnknown || c.forwards != 1 {
			t.Errorf("%d forwards: %v, effect %s", c.forwards, out.Err, EffectOf(out.Err))
		}
	})
}

func TestAReplicaThatDoesNotServeHandsOn(t *testing.T) {
	for name, fail := range map[string]func(n *fakeNode, key string){
		"not serving": func(n *fakeNode, _ string) { n.serving = errors.New("clock is off") },
		"lost key":    func(n *fakeNode, key string) { n.quar[key] = true },
		"log refuses": func(n *fakeNode, _ string) { n.failDone = errors.New("read-only") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, c *cluster) {
				fail(c.nodes[0], "k")
				if out := c.nodes[0].put(t, put("k", "v")); out.Receipt.Replicas[0] == "n1" || c.forwards != 1 {
					t.Errorf("receipt %+v after %d forwards", out.Receipt, c.forwards)
				}
				out := c.nodes[0].write(t, WriteRequest{}, put("k", "w"), put("k2", "w"))
				for i := range out {
					if out[i].Err != nil {
						t.Errorf("op %d of a batch: %v", i, out[i].Err)
					}
				}
			})
		})
	}
}

func TestWhatAPeerForwardedIsNeverForwardedAgain(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		foreign, own := c.foreign(n), ""
		for i := 0; own == ""; i++ {
			if k := fmt.Sprint("o", i); n.coord.isReplica(c.table, []byte(k)) {
				own = k
			}
		}
		answer := func(req *WriteRequest) (out []Outcome, err error) {
			done := make(chan struct{})
			n.coord.CoordinateForPeer(time.Now().Add(time.Second), req, func(o []Outcome, e error) { out, err = o, e; close(done) })
			<-done
			return out, err
		}
		out, err := answer(&WriteRequest{Ops: []Op{put(foreign, "v"), put(own, "v")}})
		if err != nil || !errors.Is(out[0].Err, ErrNotReplica) || out[1].Err != nil || c.forwards != 0 {
			t.Errorf("%d forwards, %v: %+v", c.forwards, err, out)
		}
		n.serving = errors.New("draining")
		if _, err := answer(&WriteRequest{Ops: []Op{put(own, "v")}}); !errors.Is(err, ErrNotServing) || EffectOf(err) != wire.EffectNone {
			t.Errorf("a node that does not serve answered %v", err)
		}
	})
}

func TestTooFewReachableReplicasRefuseAWriteBeforeAnythingIsWritten(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].down, c.nodes[2].down = true, true
		began := time.Now()
		out := c.nodes[0].write(t, WriteRequest{}, put("k", "v"))[0]
		var q *QuorumError
		if !errors.As(out.Err, &q) || q.Need != 2 || q.Got != 1 || len(q.Causes) != 2 || EffectOf(out.Err) != wire.EffectNone {
			t.Errorf("got %v, effect %s", out.Err, EffectOf(out.Err))
		}
		if len(c.nodes[0].issued) != 0 || time.Since(began) != 0 {
			t.Errorf("%d dots issued after %s", len(c.nodes[0].issued), time.Since(began))
		}
		if out := c.nodes[0].write(t, WriteRequest{W: LevelOne}, put("k", "v"))[0]; out.Err != nil {
			t.Errorf("w=1: %v", out.Err)
		}
	})
}

func TestAWriteOnTooFewReplicasSaysWhatWasNeededAndThatItIsApplied(t *testing.T) {
	for name, fail := range map[string]func(n *fakeNode){
		"silent until the deadline": func(n *fakeNode) { n.silent = true },
		"refusing":                  func(n *fakeNode) { n.onStore = func(ring.NodeID, []Item) error { return ErrOverloaded } },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, c *cluster) {
				fail(c.nodes[1])
				fail(c.nodes[2])
				out := c.nodes[0].write(t, WriteRequest{}, put("k", "v"))[0]
				var q *QuorumError
				if !errors.As(out.Err, &q) || q.Need != 2 || q.Got != 1 || len(q.Causes) != 2 || q.Effect != wire.EffectApplied {
					t.Fatalf("got %v, effect %s", out.Err, EffectOf(out.Err))
				}
				if !out.Context.Covers(out.Receipt.Dot) || !slices.Equal(out.Receipt.Replicas, []ring.NodeID{"n1"}) {
					t.Errorf("receipt %+v, context %v", out.Receipt, out.Context)
				}
			})
		})
	}
}

func TestALogThatFailsAfterSendingLeavesTheEffectUnknown(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		broken := errors.New("fsync failed")
		c.nodes[0].failSync = broken
		out := c.nodes[0].write(t, WriteRequest{}, put("k", "v"))[0]
		if !errors.Is(out.Err, broken) || EffectOf(out.Err) != wire.EffectUnknown || c.forwards != 0 {
			t.Errorf("got %v, effect %s, %d forwards", out.Err, EffectOf(out.Err), c.forwards)
		}
	})
}

func TestADeadlineThatPassedBeforeTheDecisionWritesNothing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		out := c.nodes[0].write(t, WriteRequest{Deadline: time.Now()}, put("k", "v"))[0]
		if !errors.Is(out.Err, context.DeadlineExceeded) || EffectOf(out.Err) != wire.EffectNone || len(c.nodes[0].issued) != 0 {
			t.Errorf("got %v, effect %s", out.Err, EffectOf(out.Err))
		}
	})
}

func TestACallerWhoGoesAwayIsAnsweredAtOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].silent, c.nodes[2].silent = true, true
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, cancel)
		began := time.Now()
		out, err := c.nodes[0].coord.Write(ctx, &WriteRequest{Ops: []Op{put("k", "v")}})
		if err != nil || EffectOf(out[0].Err) != wire.EffectApplied || time.Since(began) != 10*time.Millisecond {
			t.Errorf("after %s: %v, %v", time.Since(began), err, out)
		}
	})
}

// An ack of a replica that has forgotten what it acknowledged must not count. skip plants the bug.
func ackOfAForgetfulReplica(t *testing.T, skip bool) (acked bool) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[2].silent = true
		c.nodes[0].syncTime = 20 * time.Millisecond // both acks come before the local write is durable
		c.nodes[1].onStore = func(ring.NodeID, []Item) error {
			c.wait.Go(func() {
				time.Sleep(5 * time.Millisecond)
				if !skip {
					c.nodes[1].newActor()
				}
				c.nodes[1].mu.Lock()
				delete(c.nodes[1].dur, "k")
				c.nodes[1].mu.Unlock()
			})
			return nil
		}
		out := c.nodes[0].write(t, WriteRequest{}, put("k", "v"))[0]
		acked = out.Err == nil
		if !acked && (EffectOf(out.Err) != wire.EffectApplied || c.nodes[0].coord.metrics.VoidedAcks.Load() != 1) {
			t.Errorf("got %v, effect %s", out.Err, EffectOf(out.Err))
		}
	})
	return acked
}

func TestAnAckIsVoidOnceItsGiverHasAnotherActor(t *testing.T) {
	if ackOfAForgetfulReplica(t, false) {
		t.Error("acknowledged with W=2, and one replica holds it")
	}
	if !ackOfAForgetfulReplica(t, true) {
		t.Error("the test would not see an ack that counts although it is void")
	}
}

func TestALocalWriteIsVoidOnceThisNodeHasAnotherActor(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].syncTime = 0
		c.delay = 20 * time.Millisecond
		n := c.nodes[0]
		for _, to := range c.nodes[1:] {
			to.onStore = func(ring.NodeID, []Item) error { n.newActor(); return nil }
		}
		out := n.write(t, WriteRequest{}, put("k", "v"))[0]
		if out.Err == nil || EffectOf(out.Err) != wire.EffectUnknown {
			t.Errorf("got %v, effect %s", out.Err, EffectOf(out.Err))
		}
	})
}

func TestBadWritesAreRefusedWhole(t *testing.T) {
	bubble(t, func(o *Options) { o.KeyBytesMax, o.ValueBytesMax, o.BatchOpsMax, o.BatchBytesMax = 8, 8, 20, 100 }, func(t *testing.T, c *cluster) {
		var many, twice, heavy []Op
		for i := range 12 {
			heavy = append(heavy, put(string(rune('a'+i)), "12345678"))
		}
		for i := range 21 {
			many = append(many, put(fmt.Sprint(i), ""))
			twice = append(twice[:i/2*2], put(fmt.Sprint(i/2), ""), put("x", ""))
		}
		for name, tc := range map[string]struct {
			req  WriteRequest
			want error
		}{
			"no op":          {WriteRequest{}, ErrBadRequest},
			"empty key":      {WriteRequest{Ops: []Op{put("", "v")}}, ErrBadRequest},
			"long key":       {WriteRequest{Ops: []Op{put("123456789", "v")}}, ErrTooLarge},
			"long value":     {WriteRequest{Ops: []Op{put("k", "123456789")}}, ErrTooLarge},
			"many":           {WriteRequest{Ops: many}, ErrTooLarge},
			"bytes":          {WriteRequest{Ops: heavy}, ErrTooLarge},
			"twice":          {WriteRequest{Ops: []Op{put("k", "1"), del("k")}}, ErrBadRequest},
			"twice in many":  {WriteRequest{Ops: twice[:20]}, ErrBadRequest},
			"deleted value":  {WriteRequest{Ops: []Op{{Kind: OpDelete, Key: []byte("k"), Value: []byte("v")}}}, ErrBadRequest},
			"kind":           {WriteRequest{Ops: []Op{{Kind: 9, Key: []byte("k")}}}, ErrBadRequest},
			"expiry":         {WriteRequest{Ops: []Op{{Key: []byte("k"), ExpiresAt: -1}}}, ErrBadRequest},
			"unsorted":       {WriteRequest{Ops: []Op{put("k", "v").with(causal.Vector{{Actor: 2, Time: 1}, {Actor: 1, Time: 1}})}}, ErrBadRequest},
			"w of four":      {WriteRequest{Ops: []Op{put("k", "v")}, W: 4}, ErrBadRequest},
			"r of four":      {WriteRequest{Ops: []Op{put("k", "v")}, R: 4}, ErrBadRequest},
			"unknown levels": {WriteRequest{Ops: []Op{put("k", "v")}, W: -9}, ErrBadRequest},
		} {
			out, err := c.nodes[0].coord.Write(context.Background(), &tc.req)
			if !errors.Is(err, tc.want) || out != nil || EffectOf(err) != wire.EffectNone {
				t.Errorf("%s: got %v, %v", name, out, err)
			}
		}
	})
}

func TestAReplicaThatBreaksItsDeadlineHoldsNobodyUp(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		n := c.nodes[0]
		foreign := c.foreign(n)
		for _, r := range c.nodes[1:] {
			r.deaf = true
		}
		began := time.Now()
		out := n.write(t, WriteRequest{}, put(foreign, "v"), put("k1", "v"), put("k2", "v"), put("k3", "v"))
		for i := range out {
			if out[i].Err == nil || EffectOf(out[i].Err) == wire.EffectNone {
				t.Errorf("op %d: %v, effect %s", i, out[i].Err, EffectOf(out[i].Err))
			}
		}
		if n.get(t, foreign, LevelDefault).Err == nil || time.Since(began) != 2*time.Second {
			t.Errorf("after %s", time.Since(began))
		}
	})
}

func TestAForwardedWriteIsAnsweredByItsDeadline(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].deaf, c.nodes[2].deaf = true, true
		for _, ordered := range []bool{false, true} {
			began, answered := time.Now(), make(chan Outcome, 1)
			req := &WriteRequest{Ops: []Op{put("k", "v")}, Ordered: wire.ChoiceOf(ordered)}
			c.nodes[0].coord.CoordinateForPeer(began.Add(time.Second), req, func(out []Outcome, err error) { answered <- out[0] })
			out := <-answered
			want := wire.EffectApplied
			if ordered {
				want = wire.EffectNone // it came to no decision
			}
			if out.Err == nil || EffectOf(out.Err) != want || time.Since(began) != time.Second {
				t.Errorf("ordered %v, after %s: %v, effect %s", ordered, time.Since(began), out.Err, EffectOf(out.Err))
			}
		}
	})
}

func TestAnOrderedPutHedgesItsJoin(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].silent = true
		began := time.Now()
		c.nodes[0].put(t, del("k"))
		if time.Since(began) != 25*time.Millisecond {
			t.Errorf("after %s", time.Since(began))
		}
	})
}
