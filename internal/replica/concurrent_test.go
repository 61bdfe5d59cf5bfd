package replica

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestConcurrentWritesAndStoresOfOneKeyLoseNoSibling runs both against a few keys and then judges what is held: it must
// be the join of everything that was handed out and stored. An update that was lost, or decided on an old state, would
// be in that join as a sibling that is not held, or the other way round.
func TestConcurrentWritesAndStoresOfOneKeyLoseNoSibling(t *testing.T) {
	const goroutines, each, keys = 8, 60, 3
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	opts := options(t, vfstest.New())
	opts.SiblingsMax = 1000
	r := mustOpen(t, opts)

	var mu sync.Mutex
	all := make([]causal.Object, keys)
	join := func(k int, o causal.Object) {
		mu.Lock()
		defer mu.Unlock()
		all[k] = causal.Join(all[k], o)
	}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			for i := range each {
				k := rng.IntN(keys)
				key := fmt.Sprint("key ", k)
				d := put(key, fmt.Sprint(g, "/", i))
				switch n := rng.IntN(10); {
				case n < 3:
					o := foreign(causal.Actor(g+1), causal.Timestamp(i+1), fmt.Sprint(g, "/", i))
					r.mustStore(t, item(key, o))
					join(k, o)
					continue
				case n < 6:
					mu.Lock()
					d.Context, d.HasContext = all[k].Vector, true
					mu.Unlock()
				case n < 8:
					d.HasContext = true // has seen nothing: a sibling of everything
				}
				out, _, err := r.writeNow(d)
				if err != nil || out[0].Err != nil {
					t.Error(err, out)
					return
				}
				join(k, out[0].Object)
			}
		})
	}
	wg.Wait()
	for k := range keys {
		if got := r.mustRead(t, fmt.Sprint("key ", k)); !got.Equal(all[k]) {
			t.Errorf("key %d holds %d siblings, and everything together has %d", k, len(got.Siblings), len(all[k].Siblings))
		}
	}
}

// TestWritesAreHandedOutInTheOrderOfTheLog pipelines writes of one key: each must have seen the ones handed out before.
func TestWritesAreHandedOutInTheOrderOfTheLog(t *testing.T) {
	r := newReplica(t)
	const writes = 200
	var last causal.Object
	var done sync.WaitGroup
	done.Add(writes)
	for i := range writes {
		ds := []coordinator.Decision{put("k", fmt.Sprint(i))}
		r.Write(noon.AddDate(1000, 0, 0), ds, func(out []coordinator.Decided) {
			o := out[0].Object
			if !o.Vector.CoversAll(last.Vector) || out[0].Dot.Time <= last.Vector.Get(r.Actor()) || len(o.Siblings) != 1 {
				t.Errorf("write %d was handed out as %v after %v", i, o, last)
			}
			last = o
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			done.Done()
		})
	}
	done.Wait()
	if got := r.mustRead(t, "k"); !got.Equal(last) {
		t.Fatalf("holds %v, handed out last %v", got, last)
	}
}
