package hintedhandoff

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

var errRefused = errors.New("refused")

// refusing makes the targets refuse each batch that has one of the keys in it.
func (w *world) refusing(keys ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onSend = func(_ ring.NodeID, items []Item, done func(error)) bool {
		refused := slices.ContainsFunc(items, func(it Item) bool { return slices.Contains(keys, string(it.Key)) })
		if refused {
			done(errRefused)
		}
		return refused
	}
}

func TestReplayKeepsToKeyOrderBatchBoundsAndRate(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		w.setDown("n1", true)
		o := w.options(disk)
		o.BatchItemsMax, o.BatchBytesMax, o.BytesPerSecond = 50, 10<<10, 64<<10
		s := mustOpen(t, o)
		start(t, s)
		for i := range 640 {
			s.mustAdd(t, "n1", false, item(fmt.Sprintf("key %03d", i), written(1, 1, strings.Repeat("v", 1<<10))))
		}
		s.mustAdd(t, "n1", false, item("large", written(1, 1, strings.Repeat("v", 20<<10))))
		began := time.Now()
		w.setDown("n1", false)
		time.Sleep(4 * time.Second)
		if st := s.targetStats("n1"); st.State != ReplayRunning || st.BytesPerSecond < 40<<10 || st.BytesPerSecond > 90<<10 {
			t.Errorf("in the middle: %+v", st)
		}
		for w.holds("n1") < 641 {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took < 9*time.Second || took > 14*time.Second {
			t.Errorf("660 KiB at 64 KiB a second took %v", took)
		}
		last := ""
		for _, b := range w.sent() {
			if len(b.keys) > 50 || b.bytes > 10<<10 && len(b.keys) > 1 {
				t.Errorf("a batch of %d items, %d bytes", len(b.keys), b.bytes)
			}
			if !slices.IsSorted(b.keys) || b.keys[0] <= last {
				t.Errorf("%q after %q", b.keys, last)
			}
			last = b.keys[len(b.keys)-1]
		}
	})
}

func TestTargetsShareTheRateInTurns(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		o := w.options(disk)
		o.BatchItemsMax, o.BytesPerSecond = 10, 64<<10
		s := mustOpen(t, o)
		for target, n := range map[ring.NodeID]int{"n1": 2000, "n2": 100, "n3": 100} {
			for i := range n {
				s.mustAdd(t, target, false, item(fmt.Sprint("key ", i), written(1, 1, strings.Repeat("v", 1<<10))))
			}
		}
		start(t, s)
		time.Sleep(8 * time.Second) // three times what one of the small ones takes alone, and a little
		if n2, n3 := w.holds("n2"), w.holds("n3"); n2 < 100 || n3 < 100 {
			t.Errorf("the targets with few hints have %d and %d", n2, n3)
		}
		if n := w.holds("n1"); n > 400 {
			t.Errorf("the one with many has %d", n)
		}
	})
}

func TestSlowTargetHoldsUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		o := w.options(disk)
		o.BatchItemsMax, o.BatchesInFlightMax = 1, 3
		late := make(chan func(error), 100)
		w.onSend = func(target ring.NodeID, _ []Item, done func(error)) bool {
			if target == "n1" {
				late <- done
			}
			return target == "n1"
		}
		s := mustOpen(t, o)
		for i := range 10 {
			s.mustAdd(t, "n1", false, hintOf(fmt.Sprint("key ", i)))
			s.mustAdd(t, "n2", false, hintOf(fmt.Sprint("key ", i)))
		}
		stop := start(t, s)
		time.Sleep(time.Second)
		if w.holds("n2") != 10 {
			t.Error("the other target waits")
		}
		if len(late) != 3 {
			t.Errorf("%d batches are under way", len(late))
		}
		time.Sleep(10 * time.Second)
		if st := s.targetStats("n1"); st.LastError != errUnanswered.Error() || st.Hints != 10 {
			t.Errorf("unanswered: %+v", st)
		}
		for range len(late) {
			(<-late)(nil) // too late for most: ignored, for nobody knows any more what for
		}
		time.Sleep(time.Second)
		stop() // with batches that are never answered
		s.checkBook(t)
	})
}

func TestPoisonousHintsHoldUpNoOthersAndStay(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		s := mustOpen(t, w.options(disk))
		for i := range 2000 {
			s.mustAdd(t, "n1", false, hintOf(fmt.Sprintf("key %04d", i)))
		}
		w.refusing("key 0000", "key 0777", "key 1999")
		start(t, s)
		time.Sleep(20 * time.Second)
		if n := w.holds("n1"); n != 1997 {
			t.Fatalf("the target has %d of 1997", n)
		}
		st := s.targetStats("n1")
		if st.Hints != 3 || st.Poisoned != 3 || st.LastError != errRefused.Error() {
			t.Errorf("with poison: %+v", st)
		}
		before := len(w.sent())
		time.Sleep(time.Hour)
		if n := len(w.sent()) - before; n == 0 || n > 3*2*20 {
			t.Errorf("poison was sent %d times in an hour", n)
		}
		w.refusing()
		s.TargetUp("n1")
		time.Sleep(time.Second)
		if s.Stats().Hints != 0 || w.holds("n1") != 2000 {
			t.Error("what is taken now is still there")
		}
	})
}

func TestHintsThatCanNeverBeDeliveredBecomeNeedsUnlessTheyAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		s := mustOpen(t, w.options(disk))
		for i := range 500 {
			s.mustAdd(t, "n1", i == 321, hintOf(fmt.Sprintf("key %04d", i)))
		}
		retired := []string{"key 0000", "key 0123", "key 0321"}
		w.onSend = func(_ ring.NodeID, items []Item, done func(error)) bool {
			refused := slices.ContainsFunc(items, func(it Item) bool { return slices.Contains(retired, string(it.Key)) })
			if refused {
				done(fmt.Errorf("retired: %w", ErrUndeliverable))
			}
			return refused
		}
		start(t, s)
		time.Sleep(20 * time.Second)
		if n := w.holds("n1"); n != 497 {
			t.Fatalf("the target has %d of 497", n)
		}
		if st := s.Stats(); st.Totals.DroppedUndeliverable != 2 || st.Hints != 1 || st.Targets[0].Counted != 1 {
			t.Errorf("%+v", st)
		}
		for _, key := range retired[:2] {
			if _, is := s.NeedOf("n1", partition([]byte(key))); !is {
				t.Errorf("the partition of %s does not need repair", key)
			}
		}
		s.checkBook(t)
	})
}

func TestTargetThatRefusesEverythingIsAskedSeldomAndCatchesUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		o := w.options(disk)
		o.PoisonedMax = 16
		s := mustOpen(t, o)
		for i := range 5000 {
			s.mustAdd(t, "n1", false, hintOf(fmt.Sprint("key ", i)))
		}
		w.onSend = func(_ ring.NodeID, _ []Item, done func(error)) bool { done(errRefused); return true }
		start(t, s)
		time.Sleep(10 * time.Minute)
		if n := len(w.sent()); n > 10*60*4 {
			t.Errorf("%d batches in ten minutes", n)
		}
		w.refusing()
		time.Sleep(10 * time.Second)
		if left := s.Stats().Hints; left > 16 {
			t.Errorf("%d hints are left", left)
		}
		time.Sleep(o.withDefaults().PoisonMax)
		if left := s.Stats().Hints; left != 0 {
			t.Errorf("%d hints are left for good", left)
		}
	})
}

func TestFlappingTargetGetsEverythingInTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		o := w.options(disk)
		o.BatchItemsMax, o.BytesPerSecond = 10, 32<<10
		s := mustOpen(t, o)
		start(t, s)
		for i := range 3000 {
			s.mustAdd(t, "n1", false, hintOf(fmt.Sprintf("key %04d", i)))
		}
		for i := range 40 {
			w.setDown("n1", i%2 == 0)
			if i%2 == 1 {
				s.TargetUp("n1")
			}
			time.Sleep(700 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		if st := s.Stats(); w.holds("n1") != 3000 || st.Hints != 0 || st.Totals.Replayed != 3000 {
			t.Errorf("it has %d; %+v", w.holds("n1"), st.Totals)
		}
	})
}

func TestTargetThatWasDownGetsAtOnceWhatItRefusedBefore(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		o := w.options(disk)
		o.PoisonMin, o.PoisonMax = time.Hour, time.Hour
		s := mustOpen(t, o)
		s.mustAdd(t, "n1", false, hintOf("key"))
		w.refusing("key")
		start(t, s)
		time.Sleep(time.Minute)
		if st := s.targetStats("n1"); st.Poisoned != 1 {
			t.Fatalf("%+v", st)
		}
		w.setDown("n1", true) // a restart, say
		time.Sleep(time.Second)
		w.refusing()
		w.setDown("n1", false)
		time.Sleep(2 * time.Second)
		if w.holds("n1") != 1 {
			t.Error("it waits for the end of the hour")
		}
	})
}

func TestReplayPausesWhileTheStoreCannotRemove(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		disk.SetCapacity(64 << 20)
		o := w.options(disk)
		o.Storage.ReserveBytes = 16 << 20
		s := mustOpen(t, o)
		for i := range 1000 {
			s.mustAdd(t, "n1", false, hintOf(fmt.Sprint("key ", i)))
		}
		disk.SetCapacity(8 << 20)
		start(t, s)
		time.Sleep(time.Minute)
		if n := len(w.sent()); n > 31*4 {
			t.Errorf("%d batches were sent in a minute", n)
		}
		disk.SetCapacity(0)
		time.Sleep(20 * time.Second)
		if s.Stats().Hints != 0 || w.holds("n1") != 1000 {
			t.Errorf("%d hints are left", s.Stats().Hints)
		}
	})
}

func TestHundredThousandHintsAreReplayed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		const n = 100_000
		w.setDown("n1", true)
		s := mustOpen(t, w.options(disk))
		start(t, s)
		for i := 0; i < n; i += 100 {
			var items []Item
			for j := range 100 {
				items = append(items, hintOf(fmt.Sprint("key ", i+j)))
			}
			s.mustAdd(t, "n1", false, items...)
		}
		w.setDown("n1", false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := s.Stats(); w.holds("n1") != n || st.Hints != 0 || st.Totals.Replayed != n {
			t.Errorf("it has %d; %+v", w.holds("n1"), st.Totals)
		}
		s.checkBook(t)
	})
}
