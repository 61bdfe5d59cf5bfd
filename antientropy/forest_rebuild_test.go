package antientropy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

func TestFailedRebuildLeavesWhatStood(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 1})
	s.set("key", metaOf(nil, live(1, 1)))
	before := f.Root(0)
	s.during = func(n int) error { return errPlanted }
	err := f.Rebuild(context.Background(), s, allPartitions(f), always(Rule{Expired: 5}))
	if !errors.Is(err, errPlanted) {
		t.Errorf("got %v", err)
	}
	rule, _ := f.under(0)
	if root := f.Root(0); !f.Stands(0) || root != before || !rule.Equal(Rule{}) || f.Stats(0).Rebuilding {
		t.Errorf("what stands is %x under %v, %+v", root, rule, f.Stats(0))
	}
}

func TestRebuildEndsWithItsContext(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 1})
	for i := range 2 * paceStep {
		s.set(fmt.Sprint(i), metaOf(nil, live(1, 1)))
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	s.during = func(int) error { cancel(why); return nil }
	if err := f.Rebuild(ctx, s, allPartitions(f), always(Rule{})); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestRebuildRefusesAPartitionThatIsNone(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 1})
	if err := f.Rebuild(context.Background(), s, []ring.PartitionID{1}, always(Rule{})); err == nil {
		t.Error("no error")
	}
}

type endedScanner struct{}

func (endedScanner) ScanObserved(storage.Range, func()) iter.Seq2[storage.Record, error] {
	return func(func(storage.Record, error) bool) {}
}

func TestScanThatNeverBeginsBuildsNothing(t *testing.T) {
	f := newForest(t, ForestOptions{Partitions: 1})
	if err := f.Rebuild(context.Background(), endedScanner{}, allPartitions(f), always(Rule{})); err == nil || f.Stands(0) {
		t.Errorf("a tree stands: %v, %v", f.Stands(0), err)
	}
}

func TestDamageWithoutKeysMakesATreeIncomplete(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 2})
	s.set("key", metaOf(nil, live(1, 1)))
	s.lostRange = true
	if err := f.Rebuild(context.Background(), s, []ring.PartitionID{1}, always(Rule{})); err != nil {
		t.Fatal(err)
	}
	if f.Stats(0).Incomplete || !f.Stats(1).Incomplete {
		t.Errorf("%+v, %+v", f.Stats(0), f.Stats(1))
	}
}

// TestAdvanceDuringARebuildIsRefused: the tree in the making would bring the older rule back.
func TestAdvanceDuringARebuildIsRefused(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 2})
	s.during = func(int) error {
		if f.Advance(0, Rule{Expired: 1}) || !f.Advance(1, Rule{Expired: 1}) {
			t.Error("advanced is what is built, or is not what is not")
		}
		return nil
	}
	if err := f.Rebuild(context.Background(), s, []ring.PartitionID{0}, always(Rule{})); err != nil {
		t.Fatal(err)
	}
}

func TestRebuildKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := grown(t, ForestOptions{Partitions: 1, RebuildKeysPerSecond: 1000})
		for i := range 10_000 {
			s.set(fmt.Sprint(i), metaOf(nil, live(1, 1)))
		}
		began := time.Now()
		rebuild(t, f, s, Rule{})
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("10,000 keys at 1000 a second took %v", took)
		}
	})
}

// TestConcurrentUseEndsWithTheTreesFromScratch has writers, readers and rebuilds side by side; it is for the race detector, too.
func TestConcurrentUseEndsWithTheTreesFromScratch(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 4, RebuildKeysPerSecond: -1})
	var writers, others sync.WaitGroup
	done := make(chan struct{})
	for w := range causal.Actor(2) {
		writers.Go(func() {
			for i := range 5000 {
				sibling := live(w+1, causal.Timestamp(i+1))
				sibling.Tombstone = i%3 == 0
				s.set(fmt.Sprint("key", i%200), metaOf(nil, sibling))
			}
		})
	}
	untilDone := func(work func(n int)) {
		others.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
					work(n)
				}
			}
		})
	}
	untilDone(func(n int) {
		f.Root(ring.PartitionID(n % 4))
		f.Leaves(ring.PartitionID(n%4), n%InnerCount)
		f.Stats(ring.PartitionID(n % 4))
		f.Settled(ring.PartitionID(n%4), metaOf(nil, tombstone(1, 1)))
	})
	ruleAt := func(n int) Rule { return Rule{Stable: causal.Vector{{Actor: 1, Time: causal.Timestamp(n + 1)}}} }
	for range 2 {
		untilDone(func(n int) {
			if err := f.Rebuild(context.Background(), s, allPartitions(f)[n%3:], always(ruleAt(n))); err != nil {
				t.Error(err)
			}
		})
	}
	untilDone(func(n int) {
		key := []byte(fmt.Sprint("key", n%200))
		f.Poison(key)
		f.Advance(ring.PartitionID(n%4), ruleAt(n))
		f.Unpoison(key)
	})
	writers.Wait()
	close(done)
	others.Wait()
	for _, p := range allPartitions(f) {
		rule, _ := f.under(p)
		if f.Stats(p).SpoiledLeaves > 0 { // a key was written while it was poisoned
			if err := f.Rebuild(context.Background(), s, []ring.PartitionID{p}, always(rule)); err != nil {
				t.Fatal(err)
			}
		}
		want, keys, mortal, _ := s.leavesUnder(t, f, p, rule)
		if st := f.Stats(p); leavesOf(t, f, p) != want || st.Keys != keys || st.Tombstones != mortal {
			t.Errorf("partition %d is not what it is from scratch: %+v, want %d keys, %d mortal", p, st, keys, mortal)
		}
	}
}

// TestDroppedTreeDoesNotStandUntilItIsBuiltAnew drops one tree that stands and one in the making.
func TestDroppedTreeDoesNotStandUntilItIsBuiltAnew(t *testing.T) {
	f := newForest(t, ForestOptions{Partitions: 2, RebuildKeysPerSecond: -1})
	build := func(s Scanner) {
		t.Helper()
		if err := f.Rebuild(t.Context(), s, allPartitions(f), always(Rule{})); err != nil {
			t.Fatal(err)
		}
	}
	build(manyKeys(100))
	f.Drop(0)
	if f.Stands(0) || !f.Stands(1) {
		t.Errorf("after a drop of the first: %v, %v", f.Stands(0), f.Stands(1))
	}
	build(droppingScanner{manyKeys(100), func() { f.Drop(1) }})
	if !f.Stands(0) || f.Stands(1) {
		t.Errorf("after a drop of the second while both were built: %v, %v", f.Stands(0), f.Stands(1))
	}
	build(manyKeys(100))
	if !f.Stands(1) || f.Stats(1).Keys == 0 {
		t.Error("it was not built anew")
	}
}

// droppingScanner drops something in the middle of a scan.
type droppingScanner struct {
	manyKeys
	drop func()
}

func (d droppingScanner) ScanObserved(r storage.Range, began func()) iter.Seq2[storage.Record, error] {
	return d.manyKeys.ScanObserved(r, func() {
		began()
		d.drop()
	})
}
