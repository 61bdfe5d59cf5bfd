package coordinator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

var chaosSeed = flag.Uint64("chaos.seed", 0, "replay the chaos tests with this seed only")

// seeds are those that a chaos test runs with.
func seeds(t *testing.T) (list []uint64) {
	if *chaosSeed != 0 {
		return []uint64{*chaosSeed}
	}
	n := uint64(150)
	if testing.Short() {
		n = 30
	}
	for s := range n {
		list = append(list, s+1)
	}
	return list
}

// chaos is a cluster under random failures, with what was promised to clients on the side.
type chaos struct {
	*cluster
	t    *testing.T
	seed uint64
	mode readMode // of gets: readPlain plants the bug of not repairing

	mu     sync.Mutex
	told   []promise
	broken []string
}

// promise is what a client was told of one write.
type promise struct {
	key, value string
	outcome    Outcome
}

func (c *chaos) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// client writes and reads a few keys through nodes at random. Whatever it was told, or has read, it must find again.
func (c *chaos) client(id int, rnd *rand.Rand) {
	must := map[string]causal.Vector{} // what its reads may not go back behind
	for step := range 12 {
		n := c.nodes[rnd.IntN(len(c.nodes))]
		key := fmt.Sprint("k", rnd.IntN(3))
		if rnd.IntN(3) == 0 {
			c.read(n, key, must)
			continue
		}
		req := &WriteRequest{Ordered: wire.ChoiceOf(rnd.IntN(2) == 0), Deadline: time.Now().Add(time.Duration(rnd.IntN(60)) * time.Millisecond)}
		for i := range 1 + rnd.IntN(3) {
			op := put(fmt.Sprint("k", (rnd.IntN(3)+i)%3), fmt.Sprintf("c%d.%d.%d", id, step, i))
			if rnd.IntN(4) == 0 {
				op = op.with(must[string(op.Key)])
			}
			req.Ops = append(req.Ops, op)
		}
		out, err := n.coord.Write(context.Background(), req)
		if err != nil {
			if !errors.Is(err, ErrBadRequest) { // a batch may name a key twice
				c.fail("write: %v", err)
			}
			continue
		}
		for i, o := range out {
			c.mu.Lock()
			c.told = append(c.told, promise{key: string(req.Ops[i].Key), value: string(req.Ops[i].Value), outcome: o})
			c.mu.Unlock()
			if o.Err == nil {
				must[string(req.Ops[i].Key)] = must[string(req.Ops[i].Key)].Join(causal.Vector{o.Receipt.Dot})
			}
		}
	}
}

func (c *chaos) read(n *fakeNode, key string, must map[string]causal.Vector) {
	op := n.coord.newReadOp(c.table, [][]byte{[]byte(key)}, 2, c.mode, time.Now().Add(50*time.Millisecond))
	op.run(context.Background())
	res := op.results()[0]
	if res.Err != nil {
		return
	}
	for _, e := range must[key] {
		if !res.Object.Vector.Covers(e) {
			c.fail("a get of %s through %s went back behind %v: %v", key, n.id, e, res.Object.Vector)
		}
	}
	for _, s := range res.Object.Siblings {
		must[key] = must[key].Join(causal.Vector{s.Dot})
	}
}

// trouble changes what is wrong with the nodes from time to time, and in the end nothing.
func (c *chaos) trouble(rnd *rand.Rand) {
	for range 20 {
		time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
		n := c.nodes[rnd.IntN(len(c.nodes))]
		switch rnd.IntN(8) {
		case 0:
			n.newActor() // it crashed: what was not synced is gone
		case 1:
			n.cause(func(w *trouble) { w.down = true })
		case 2:
			n.cause(func(w *trouble) { w.silent = true })
		case 3:
			n.cause(func(w *trouble) { w.failSync = errors.New("fsync failed") })
		case 4:
			n.cause(func(w *trouble) { w.failDone = errors.New("read-only") })
		default:
			n.cause(func(w *trouble) { *w = trouble{} })
		}
	}
}

// check compares what clients were told with what is there.
func (c *chaos) check() {
	for _, p := range c.told {
		var issued causal.Dot
		covering := 0
		for _, n := range c.nodes {
			if d, ok := n.decidedFor[p.key+" "+p.value]; ok {
				issued = d
			}
		}
		for _, n := range c.nodes {
			if issued.Actor != 0 && n.object(p.key).Vector.Covers(issued) {
				covering++
			}
		}
		switch effect := EffectOf(p.outcome.Err); {
		case p.outcome.Err == nil && covering < 2:
			c.fail("%s=%s was acknowledged and is on %d replicas", p.key, p.value, covering)
		case p.outcome.Err == nil && p.outcome.Receipt.Dot != issued:
			c.fail("%s=%s: the receipt says %v, it is %v", p.key, p.value, p.outcome.Receipt.Dot, issued)
		case p.outcome.Err != nil && effect == wire.EffectNone && issued.Actor != 0:
			c.fail("%s=%s is said to be nowhere and was decided: %v", p.key, p.value, p.outcome.Err)
		case p.outcome.Err != nil && effect == wire.EffectApplied && covering == 0:
			c.fail("%s=%s is said to be applied and is nowhere: %v", p.key, p.value, p.outcome.Err)
		}
	}
}

// run is one history; it returns what was broken, and how many writes had which effect.
func runChaos(t *testing.T, seed uint64, mode readMode) (broken []string, effects map[string]int) {
	effects = map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		c := &chaos{cluster: newCluster(newFakeTable(4, 3, 8), 4, nil), t: t, seed: seed, mode: mode}
		c.rand = rand.New(rand.NewPCG(seed, 8))
		c.lose, c.twice = rnd.Float64()*0.3, 0.2
		c.delay = time.Duration(1+rnd.IntN(10)) * time.Millisecond
		for _, n := range c.nodes {
			n.syncTime = time.Duration(rnd.IntN(10)) * time.Millisecond
		}
		var clients sync.WaitGroup
		for id := range 4 {
			r := rand.New(rand.NewPCG(seed, uint64(100+id)))
			clients.Go(func() { c.client(id, r) })
		}
		clients.Go(func() { c.trouble(rnd) })
		clients.Wait()
		c.wait.Wait()
		c.check()
		broken = c.broken
		for _, p := range c.told {
			name := "done"
			if p.outcome.Err != nil {
				name = EffectOf(p.outcome.Err).String()
			}
			effects[name]++
		}
	})
	return broken, effects
}

func TestWhatClientsAreToldIsTrueUnderRandomFailures(t *testing.T) {
	total := map[string]int{}
	for _, seed := range seeds(t) {
		broken, effects := runChaos(t, seed, readRepair)
		for _, b := range broken {
			t.Errorf("seed %d: %s (replay with -chaos.seed %d)", seed, b, seed)
		}
		for name, n := range effects {
			total[name] += n
		}
	}
	t.Log(total)
	for _, name := range []string{"done", "none", "applied", "unknown"} {
		if total[name] == 0 && *chaosSeed == 0 {
			t.Errorf("no write ended as %q: the failures are too tame", name)
		}
	}
}

func TestReadsGoBackWithoutRepair(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		if broken, _ := runChaos(t, seed, readPlain); len(broken) > 0 {
			return // the checker can fail
		}
	}
	t.Error("gets that repair nothing went unnoticed")
}
