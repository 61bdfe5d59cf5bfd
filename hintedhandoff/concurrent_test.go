package hintedhandoff

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestManyAddersAndReplaysLoseNothing has adders, replays, joins and flapping targets at once, in real time. Each writer's last
// object of a key covers the ones before it: the targets must have all of the last ones in the end.
func TestManyAddersAndReplaysLoseNothing(t *testing.T) {
	const adders, keys, rounds = 8, 20, 150
	w := newWorld()
	o := w.options(vfstest.New())
	o.PollInterval, o.BatchItemsMax, o.BackoffMin, o.BackoffMax = time.Millisecond, 7, time.Microsecond, time.Millisecond
	o.PoisonMin, o.PoisonMax = time.Millisecond, 2*time.Millisecond
	w.onSend = func(_ ring.NodeID, _ []Item, done func(error)) bool {
		if rand.IntN(4) == 0 {
			done(errRefused)
			return true
		}
		return false
	}
	s := mustOpen(t, o)
	start(t, s)
	var adding sync.WaitGroup
	for a := range adders {
		adding.Go(func() {
			for round := range rounds {
				target := ring.NodeID(fmt.Sprint("n", 1+round%3))
				w.setDown(target, round%20 < 5)
				for k := range keys / 5 {
					it := item(fmt.Sprint("key ", (round+k)%keys), written(causal.Actor(a+1), causal.Timestamp(round+1), "v"))
					if err := s.addNow(target, a%2 == 0, it); err != nil {
						t.Error(err)
					}
					s.HasHints(partition(it.Key))
				}
				s.Stats()
			}
		})
	}
	adding.Wait()
	for _, target := range []ring.NodeID{"n1", "n2", "n3"} {
		w.setDown(target, false)
	}
	deadline := time.Now().Add(time.Minute)
	for s.Stats().Hints > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) // until the condition
	}
	for a := range adders {
		for round := rounds - keys; round < rounds; round++ {
			target, key := ring.NodeID(fmt.Sprint("n", 1+round%3)), fmt.Sprint("key ", round%keys)
			if at := w.object(target, key).Vector.Get(causal.Actor(a + 1)); at < causal.Timestamp(round+1) {
				t.Fatalf("%s has %s of actor %d up to %d, want %d", target, key, a+1, at, round+1)
			}
		}
	}
	s.checkBook(t)
}
