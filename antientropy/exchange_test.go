package antientropy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// contents is what a node holds, without vectors.
func (n *fakeNode) contents() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[string]string)
	for key, o := range n.objects {
		dots := ""
		for _, s := range o.Siblings {
			dots += fmt.Sprintf("%x+%d %v ", uint64(s.Dot.Actor), s.Dot.Time, s.Tombstone)
		}
		all[key] = dots
	}
	return all
}

// mustAgree waits until the trees are equal.
func (c *fakeCluster) mustAgree(t *testing.T, when string) {
	t.Helper()
	if differ := c.disagreement(); differ != "" {
		t.Fatalf("%s: %s", when, differ)
	}
}

// disagreement waits, for ten minutes at most, until the trees are equal, and says what is not.
func (c *fakeCluster) disagreement() string {
	for range 600 {
		if c.agree() {
			return ""
		}
		time.Sleep(time.Second)
	}
	for p := range c.partitions {
		for _, n := range c.nodes[1:] {
			if a, b := c.nodes[0].sums(ring.PartitionID(p)), n.sums(ring.PartitionID(p)); a != b {
				return fmt.Sprintf("partition %d: %s and %s differ in %v", p, c.nodes[0].id, n.id, difference2(c.nodes[0].contents(), n.contents()))
			}
		}
	}
	return ""
}

func (c *fakeCluster) agree() bool {
	for p := range c.partitions {
		for _, n := range c.nodes[1:] {
			if c.nodes[0].sums(ring.PartitionID(p)) != n.sums(ring.PartitionID(p)) {
				return false
			}
		}
	}
	return true
}

// difference2 is what two nodes hold of the keys that they do not hold alike.
func difference2(a, b map[string]string) (out []string) {
	for _, key := range slices.Sorted(maps.Keys(maps.Collect(func(yield func(string, bool) bool) {
		for _, m := range []map[string]string{a, b} {
			for k := range m {
				yield(k, true)
			}
		}
	}))) {
		if a[key] != b[key] {
			out = append(out, fmt.Sprintf("%s: %q and %q", key, a[key], b[key]))
		}
	}
	return out
}

// put writes at a node and delivers to others.
func put(t *testing.T, key string, tombstone bool, at *fakeNode, to ...*fakeNode) causal.Object {
	t.Helper()
	o := at.write(key, tombstone)
	for _, n := range to {
		if err := n.deliver(key, o); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestReplicasBecomeEqual(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 4, Options{Period: time.Minute}, plant{})
		for i := range 300 {
			n := c.nodes[i%3]
			put(t, fmt.Sprint("key", i/2), i%7 == 0, n)
		}
		stop := c.start()
		time.Sleep(2 * time.Minute)
		c.mustAgree(t, "after a round")
		stop()
		if got := len(c.nodes[0].contents()); got < 100 {
			t.Errorf("%d keys", got)
		}
	})
}

func TestAnExchangeSaysBeforeItBeginsWhatItIsAboutAndAfterwardsWhatIsEqual(t *testing.T) {
	simulate(t, func(t *testing.T) {
		type round struct{ asked, equal int }
		var mu sync.Mutex
		var rounds []round
		c := newFakeCluster(2, 4, Options{Period: time.Hour, Begin: func(_ ring.NodeID, ps []ring.PartitionID) func([]ring.PartitionID) {
			asked := len(ps)
			return func(equal []ring.PartitionID) {
				mu.Lock()
				defer mu.Unlock()
				rounds = append(rounds, round{asked, len(equal)})
			}
		}}, plant{})
		put(t, "key", false, c.nodes[0])
		c.isolate(c.nodes[0], true)
		stop := c.start()
		time.Sleep(time.Minute)
		c.isolate(c.nodes[0], false)
		time.Sleep(time.Minute)
		stop()
		equal := 0
		for _, r := range rounds {
			if r.asked == 0 || r.equal > r.asked {
				t.Errorf("%d partitions are equal after an exchange about %d", r.equal, r.asked)
			}
			equal += r.equal
		}
		if equal < 2*4 {
			t.Errorf("%d partitions were made equal: %v", equal, rounds)
		}
	})
}

func TestWorkIsProportionalToTheDifference(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 16, Options{Period: time.Hour}, plant{})
		for i := range 3000 {
			put(t, fmt.Sprint("key", i), false, c.nodes[0], c.nodes[1:]...)
		}
		stop := c.start()
		time.Sleep(time.Minute)
		quiet := c.moved()
		before := c.nodes[1].storedItems()
		put(t, "key7", false, c.nodes[0])
		put(t, "key8", false, c.nodes[2])
		for _, n := range c.nodes {
			for _, id := range c.ids {
				n.exchanger().Hurry(id)
			}
		}
		time.Sleep(time.Minute)
		c.mustAgree(t, "after two changes")
		stop()
		if quiet > 16<<10 {
			t.Errorf("a round over what is equal took %d bytes", quiet)
		}
		if moved := c.nodes[1].storedItems() - before; moved > 4 {
			t.Errorf("%d objects were stored for two changes", moved)
		}
		if extra := c.moved() - quiet; extra > 64<<10 {
			t.Errorf("two differing keys took %d bytes", extra)
		}
	})
}

func TestWipedReplicaIsFilledBeforeItVouches(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 4, Options{Period: time.Minute}, plant{})
		for i := range 200 {
			put(t, fmt.Sprint("key", i), i%9 == 0, c.nodes[i%3], c.nodes[(i+1)%3]) // each on two of three
		}
		victim := c.nodes[0]
		victim.wipe()
		c.isolate(c.nodes[1], true)
		stop := c.start()
		time.Sleep(5 * time.Minute)
		for p := range c.partitions {
			if victim.Filled(ring.PartitionID(p)) {
				t.Fatalf("partition %d is filled by one other replica", p)
			}
		}
		c.isolate(c.nodes[1], false)
		defer stop()
		time.Sleep(2 * time.Minute)
		for p := range c.partitions {
			if !victim.Filled(ring.PartitionID(p)) {
				t.Errorf("partition %d is not filled", p)
			}
		}
		c.mustAgree(t, "after the refill")
	})
}

func TestTombstonesGoWhenAllHoldThemAndStayDeleted(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 4, Options{Period: time.Minute}, plant{})
		a, b, away := c.nodes[0], c.nodes[1], c.nodes[2]
		for i := range 50 {
			put(t, fmt.Sprint("key", i), false, c.nodes[i%3], c.nodes...)
		}
		stop := c.start()
		time.Sleep(5 * time.Minute)
		c.isolate(away, true)
		var late []causal.Object
		for i := range 50 {
			late = append(late, put(t, fmt.Sprint("key", i), true, a, b))
		}
		time.Sleep(10 * time.Minute)
		if left := a.reclaim(); left != 50 {
			t.Fatalf("%d of 50 tombstones are left while a replica is away that holds the values", left)
		}
		c.isolate(away, false)
		time.Sleep(5 * time.Minute)
		for _, n := range c.nodes {
			if left := n.reclaim(); left != 0 {
				t.Errorf("%s: %d tombstones are left", n.id, left)
			}
		}
		for i, o := range late { // a hint comes late, and again
			if err := away.deliver(fmt.Sprint("key", i), o); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		stop()
		for _, n := range c.nodes {
			if left := n.reclaim(); left != 0 {
				t.Errorf("%s: %v came back", n.id, n.contents())
			}
		}
	})
}

func TestActorsThatAreGoneAreRetired(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 2, Options{Period: time.Minute}, plant{})
		a, b := c.nodes[0], c.nodes[1]
		lost := put(t, "lost", false, a) // it stays in the network
		for i := range 20 {
			put(t, fmt.Sprint("key", i), false, a, c.nodes...)
			put(t, fmt.Sprint("key", i), true, a, c.nodes...)
		}
		was := a.actor
		a.mu.Lock()
		delete(a.objects, "lost")
		a.mu.Unlock()
		a.crash()
		stop := c.start()
		defer stop()
		time.Sleep(10 * time.Minute)
		for _, n := range c.nodes {
			if left := n.reclaim(); left != 0 {
				t.Errorf("%s: %d tombstones of an actor that is gone are left", n.id, left)
			}
			for p := range c.partitions {
				if n.Stable(ring.PartitionID(p)).Get(was) == 0 {
					t.Errorf("%s: partition %d: the actor is not retired", n.id, p)
				}
			}
		}
		if err := b.deliver("lost", lost); err != nil {
			t.Log(err) // refused, or taken for what everyone has seen: either will do
		}
		if got := b.contents()["lost"]; got != "" {
			t.Errorf("an event of a retired actor was taken: %s", got)
		}
	})
}

// awaitRefusal waits until a node refuses the events of an actor.
func (n *fakeNode) awaitRefusal(t *testing.T, a causal.Actor) {
	t.Helper()
	for range 3600 {
		if n.Refused(0).Get(a) != 0 {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("%s does not refuse the events of an actor that is gone", n.id)
}

func TestHintsHoldRetirementUp(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 1, Options{Period: time.Minute}, plant{})
		put(t, "key", true, c.nodes[0], c.nodes...)
		was := c.nodes[0].actor
		c.nodes[0].crash()
		stop := c.start()
		c.nodes[1].awaitRefusal(t, was)
		c.nodes[2].setHints(true)
		time.Sleep(10 * time.Minute)
		if c.nodes[1].Stable(0).Get(was) != 0 {
			t.Error("retired while there are hints")
		}
		stop()
		c.nodes[2].setHints(false)
		stop = c.start()
		time.Sleep(10 * time.Minute)
		stop()
		if c.nodes[1].Stable(0).Get(was) == 0 {
			t.Error("not retired although there are no hints any more")
		}
	})
}

// TestTheLastCopyIsNotRefused has a hint be the only copy that is left of a write that was acknowledged: it counted, and the disk of the replica
// that coordinated the write is lost.
func TestTheLastCopyIsNotRefused(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 1, Options{Period: time.Minute}, plant{})
		put(t, "other", false, c.nodes[0], c.nodes...)
		hint := put(t, "key", false, c.nodes[0])
		c.nodes[0].wipe()
		c.nodes[2].setHints(true)
		stop := c.start()
		defer stop()
		time.Sleep(10 * time.Minute)
		if err := c.nodes[1].deliver("key", hint); err != nil {
			t.Fatalf("the last copy of an acknowledged write: %v", err)
		}
		c.nodes[2].setHints(false)
		time.Sleep(10 * time.Minute)
		for _, n := range c.nodes {
			if n.contents()["key"] == "" {
				t.Errorf("%s does not hold it", n.id)
			}
		}
		if stable := c.nodes[1].Stable(0); !slices.ContainsFunc(stable, func(e causal.Entry) bool { return e.Time.IsFinal() }) {
			t.Errorf("its actor is not retired: %v", stable)
		}
	})
}

// TestAMembersNewActorIsNotRefused has a node hear of events of another's new actor before it hears of the actor.
func TestAMembersNewActorIsNotRefused(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 1, Options{Period: time.Minute}, plant{})
		a, b := c.nodes[0], c.nodes[1]
		was := b.actor
		b.crash()
		put(t, "key", false, b, c.nodes...)
		heard := false
		known := a.x.opt.Actors
		a.x.opt.Actors = func() (map[causal.Actor]bool, bool) {
			actors, all := known()
			if !heard {
				heard = true
				delete(actors, b.actor)
				actors[was] = true
			}
			return actors, all
		}
		stop := c.start()
		time.Sleep(10 * time.Minute)
		stop()
		if !heard || a.Refused(0).Get(b.actor) != 0 {
			t.Errorf("refused for good: %v", a.Refused(0))
		}
		if err := a.deliver("key", b.write("key", true)); err != nil {
			t.Errorf("a write of a member: %v", err)
		}
	})
}

func TestReplicaThatCouldNotKeepWhatIsStableIsToldAgain(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 4, Options{Period: time.Hour}, plant{})
		for i := range 20 {
			put(t, fmt.Sprint("key", i), false, c.nodes[i%2], c.nodes...)
		}
		last := c.nodes[2]
		last.setDiskFull(true)
		stop := c.start()
		time.Sleep(time.Minute)
		last.setDiskFull(false)
		time.Sleep(10 * time.Second)
		stop()
		for p := range ring.PartitionID(4) {
			first := c.nodes[0]
			if v := first.Stable(p); len(v) == 0 || !first.Rule(p).Equal(last.Rule(p)) {
				t.Errorf("partition %d: trees under %v and %v", p, first.Rule(p), last.Rule(p))
			}
		}
	})
}

func TestReplicaThatCannotReadAKeyVouchesForNothing(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 1, Options{Period: time.Minute}, plant{})
		put(t, "key", true, c.nodes[0], c.nodes...)
		put(t, "other", false, c.nodes[0])
		c.nodes[1].unread["key"] = true
		stop := c.start()
		time.Sleep(10 * time.Minute)
		if v := c.nodes[0].Stable(0); len(v) > 0 {
			t.Errorf("stable is %v", v)
		}
		if c.nodes[1].contents()["other"] == "" {
			t.Error("what can be read was not exchanged")
		}
		c.nodes[1].mu.Lock()
		clear(c.nodes[1].unread)
		c.nodes[1].mu.Unlock()
		time.Sleep(10 * time.Minute)
		stop()
		if v := c.nodes[0].Stable(0); len(v) == 0 {
			t.Error("nothing is stable although all can be read")
		}
	})
}

func TestTheOnlyReplicaForgetsWhatIsDeleted(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(1, 1, Options{Period: time.Minute}, plant{})
		n := c.nodes[0]
		put(t, "key", true, n)
		n.crash()
		put(t, "other", true, n)
		stop := c.start()
		time.Sleep(10 * time.Minute)
		stop()
		if left := n.reclaim(); left != 0 {
			t.Errorf("%d tombstones are left; %v are stable", left, n.Stable(0))
		}
	})
}

// missingUnread is a replica that cannot read some keys, and cannot list them: nobody knows which were lost.
type missingUnread struct {
	*fakeNode
	unlisted map[string]bool
}

func (m missingUnread) Keys(ctx context.Context, leaves []Leaf, fn func(Leaf, []byte, uint64, bool)) error {
	return m.fakeNode.Keys(ctx, leaves, func(leaf Leaf, key []byte, hash uint64, unknown bool) {
		if !m.unlisted[string(key)] {
			fn(leaf, key, hash, unknown)
		}
	})
}

func (m missingUnread) Store(ctx context.Context, items []Item) error {
	for i := range items {
		if m.unlisted[string(items[i].Key)] {
			return fmt.Errorf("store: %w", ErrUnreadable)
		}
	}
	return m.fakeNode.Store(ctx, items)
}

// TestAKeyThatCannotBeReadHoldsUpItsPartitionOnly has a peer hold a key that this side may have lost, without knowing so. The others are
// exchanged all the same, and the key is named, to be healed.
func TestAKeyThatCannotBeReadHoldsUpItsPartitionOnly(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(2, 8, Options{}, plant{})
		here, there := c.nodes[0], c.nodes[1]
		for i := range 80 {
			put(t, fmt.Sprint("key", i), false, there)
		}
		bad := "key7"
		here.unread[bad] = true
		var noted []string
		o := here.x.opt
		o.Unreadable = func(keys [][]byte) {
			for _, key := range keys {
				noted = append(noted, string(key))
			}
		}
		x, err := New(missingUnread{here, map[string]bool{bad: true}}, here, o)
		if err != nil {
			t.Fatal(err)
		}
		var all []ring.PartitionID
		for p := range ring.PartitionID(8) {
			all = append(all, p)
		}
		e := x.newExchange(there.id, fakeLink{here, there, here.now()})
		if err := e.run(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		held := c.partition([]byte(bad))
		for _, p := range all {
			if e.complete[p] != (p != held) || e.failed[p] != (p == held) {
				t.Errorf("partition %d: complete %v, failed %v; %s is in %d", p, e.complete[p], e.failed[p], bad, held)
			}
		}
		if !slices.Contains(noted, bad) {
			t.Errorf("noted %v, want %s", noted, bad)
		}
	})
}
