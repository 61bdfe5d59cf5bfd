package antientropy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// plant is a rule of the replicas that is broken, for the checks of a walk to find.
type plant struct {
	// keepFilled has a replica that lost its disk vouch for what it does not hold.
	keepFilled bool
	// keepActor has a replica go on as the same actor after a crash, its clock forgotten.
	keepActor bool
	// rawVectors sends objects without what is stable.
	rawVectors bool
	// unfilledSeen has a replica that is being filled take itself for one that has seen what is stable.
	unfilledSeen bool
}

// TestWalksCatchPlantedBugs breaks one rule at a time and has walks find it. Other rules are missed so rarely by a walk that they have tests of their own.
func TestWalksCatchPlantedBugs(t *testing.T) {
	for name, bug := range map[string]plant{
		"keep filled": {keepFilled: true}, "keep actor": {keepActor: true}, "raw vectors": {rawVectors: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const seeds = 100
			for seed := range uint64(seeds) {
				if findings := walk(t, seed, bug); len(findings) > 0 {
					t.Logf("seed %d: %s", seed, findings[0])
					return
				}
			}
			t.Errorf("not found by %d walks", seeds)
		})
	}
}

var walks = flag.Int("walks", 60, "how many seeds TestFaultsLoseAndReviveNothing takes")

// TestFaultsLoseAndReviveNothing draws writes, deletes, messages that are lost, late or doubled, netsplits, crashes, and one lost disk, or loss at work, at a
// time, with exchanges running throughout. In the end the replicas are equal, hold every acknowledged write that no other has seen, and nothing
// that an acknowledged one has seen.
func TestFaultsLoseAndReviveNothing(t *testing.T) {
	seeds := *walks
	if testing.Short() {
		seeds = min(seeds, 15)
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			for _, finding := range walk(t, seed, plant{}) {
				t.Error(finding)
			}
		})
	}
}

type message struct {
	to  *fakeNode
	key string
	o   causal.Object
}

// write is a write as it truly was: what it superseded, and whether it was acknowledged.
type write struct {
	key       string
	tombstone bool
	over      []causal.Dot
	acked     bool
}

// walk is one history, and what was found wrong in the end.
func walk(t *testing.T, seed uint64, bug plant) (findings []string) {
	simulate(t, func(*testing.T) { findings = walkInBubble(seed, bug) })
	return findings
}

func walkInBubble(seed uint64, bug plant) (findings []string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := newFakeCluster(3, 2, Options{Period: 20 * time.Second, CompareTries: 2}, bug)
	writes := make(map[causal.Dot]*write)
	var late []message
	stop := c.start()
	wiped := -1
	for range 120 {
		time.Sleep(time.Duration(rng.IntN(8000)) * time.Millisecond)
		n := c.nodes[rng.IntN(3)]
		switch k := rng.IntN(24); {
		case k < 9:
			late = append(late, c.writeSome(rng, n, writes)...)
		case k < 14:
			findings = append(findings, c.get(rng, n, writes)...)
		case k < 17 && len(late) > 0:
			m := late[rng.IntN(len(late))]
			_ = m.to.deliver(m.key, m.o)
		case k < 19:
			c.isolate(n, rng.IntN(2) == 0)
		case k < 20:
			c.cutPair(n, c.nodes[rng.IntN(3)], rng.IntN(2) == 0)
		case k < 21:
			n.crash()
		case k < 22:
			n.reclaim()
		case k < 24 && (wiped < 0 || c.allFilled()):
			wiped = rng.IntN(3)
			if rng.IntN(2) == 0 {
				c.nodes[wiped].lose()
			} else {
				c.nodes[wiped].wipe()
			}
		}
	}
	for _, n := range c.nodes {
		c.isolate(n, false)
	}
	for _, m := range late {
		_ = m.to.deliver(m.key, m.o)
	}
	time.Sleep(5 * time.Minute)
	if differ := c.disagreement(); differ != "" {
		findings = append(findings, differ)
	}
	stop()
	for _, n := range c.nodes {
		n.reclaim() // what came late and is settled is in no tree, and shows nothing
	}
	findings = append(findings, c.judge(writes)...)
	for _, n := range c.nodes {
		for key, o := range n.objects {
			if o.Settled(n.rules[c.partition([]byte(key))].Stable, 0) || n.tombstonesOnly(key) {
				findings = append(findings, fmt.Sprintf("%s: the tombstone of %s is left: %v", n.id, key, o))
			}
		}
	}
	return findings
}

func (n *fakeNode) tombstonesOnly(key string) bool {
	return !slices.ContainsFunc(n.objects[key].Siblings, func(s causal.Sibling) bool { return !s.Tombstone })
}

func (c *fakeCluster) allFilled() bool {
	for _, n := range c.nodes {
		for p := range n.parts {
			if !n.Filled(ring.PartitionID(p)) {
				return false
			}
		}
	}
	return true
}

// writeSome writes at a node that vouches for the key, delivers to some of the others, and returns what is still on its way.
func (c *fakeCluster) writeSome(rng *rand.Rand, n *fakeNode, writes map[causal.Dot]*write) (late []message) {
	key := fmt.Sprint("key", rng.IntN(5))
	if !n.Filled(c.partition([]byte(key))) {
		return nil
	}
	if rng.IntN(2) == 0 { // an ordered write: it joins another replica's vector first
		other := c.nodes[rng.IntN(3)]
		if other != n && !c.isCut(n.id, other.id) && other.Filled(c.partition([]byte(key))) {
			items, _ := other.Held([][]byte{[]byte(key)}, 0)
			_ = n.deliver(key, items[0].Object)
		}
	}
	before := n.object(key)
	tombstone := rng.IntN(3) == 0
	o := n.write(key, tombstone)
	newest, _ := o.Winner()
	dot := newest.Dot
	w := &write{key: key, tombstone: tombstone}
	for _, s := range before.Siblings {
		w.over = append(w.over, s.Dot)
	}
	writes[dot] = w
	for _, to := range c.nodes {
		if to == n {
			continue
		}
		if m := (message{to, key, o}); rng.IntN(3) > 0 && !c.isCut(n.id, to.id) {
			w.acked = to.deliver(key, o) == nil || w.acked
		} else {
			late = append(late, m)
		}
	}
	return late
}

// get is a quorum read of two replicas, with its repair: what it shows was promised, as if its write had been acknowledged.
func (c *fakeCluster) get(rng *rand.Rand, n *fakeNode, writes map[causal.Dot]*write) (findings []string) {
	key := fmt.Sprint("key", rng.IntN(5))
	other := c.nodes[rng.IntN(3)]
	p := c.partition([]byte(key))
	if other == n || c.isCut(n.id, other.id) || !n.Filled(p) || !other.Filled(p) {
		return nil
	}
	mine, _ := n.Held([][]byte{[]byte(key)}, 0)
	theirs, _ := other.Held([][]byte{[]byte(key)}, 0)
	o := causal.Join(mine[0].Object, theirs[0].Object)
	for dot, w := range writes {
		shown := slices.ContainsFunc(o.Siblings, func(s causal.Sibling) bool { return s.Dot == dot })
		if w.key == key && w.acked && !shown && !w.tombstone && !over(writes, dot) {
			findings = append(findings, fmt.Sprintf("the write %v of %s was acknowledged or read, and a get does not find it", dot, key))
		}
	}
	for _, to := range []*fakeNode{n, other} {
		if to.deliver(key, o) != nil {
			return findings // the get fails
		}
	}
	for _, s := range o.Siblings {
		writes[s.Dot].acked = true
	}
	return findings
}

// over says whether some write has seen another one.
func over(writes map[causal.Dot]*write, dot causal.Dot) bool {
	for _, w := range writes {
		if slices.Contains(w.over, dot) {
			return true
		}
	}
	return false
}

// judge says what is wrong with what the replicas hold in the end.
func (c *fakeCluster) judge(writes map[causal.Dot]*write) (findings []string) {
	overAcked := make(map[causal.Dot]bool) // seen by an acknowledged one
	for _, w := range writes {
		for _, d := range w.over {
			overAcked[d] = overAcked[d] || w.acked
		}
	}
	n := c.nodes[0]
	for dot, w := range writes {
		held := slices.ContainsFunc(n.objects[w.key].Siblings, func(s causal.Sibling) bool { return s.Dot == dot })
		if w.acked && !held && !w.tombstone && !over(writes, dot) {
			findings = append(findings, fmt.Sprintf("the write %v of %s was acknowledged, and is lost: %v", dot, w.key, n.objects[w.key]))
		}
		if held && overAcked[dot] {
			findings = append(findings, fmt.Sprintf("the write %v of %s is back, although an acknowledged one has seen it", dot, w.key))
		}
	}
	return findings
}
