package hintedhandoff

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestHintsAreReplayedWithinTwoSecondsOfTheTargetsReturn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		w.setDown("n1", true)
		s := mustOpen(t, w.options(disk))
		start(t, s)
		for i := range 1000 {
			s.mustAdd(t, "n1", false, hintOf(fmt.Sprint("key ", i)))
		}
		time.Sleep(time.Minute)
		if n := len(w.sent()); n != 0 {
			t.Fatalf("%d batches were sent to a target that is down", n)
		}
		if st := s.targetStats("n1"); st.Hints != 1000 || st.State != ReplayWaiting || time.Since(st.Oldest) < time.Minute {
			t.Fatalf("waiting: %+v", st)
		}
		w.setDown("n1", false)
		time.Sleep(2 * time.Second)
		if n := w.holds("n1"); n != 1000 {
			t.Fatalf("the target has %d hints", n)
		}
		for i := range 1000 {
			it := hintOf(fmt.Sprint("key ", i))
			if !w.object("n1", string(it.Key)).Equal(it.Object) {
				t.Fatalf("%s is not what was added", it.Key)
			}
		}
		if st := s.Stats(); st.Hints != 0 || st.Bytes != 0 || len(st.Targets) != 0 || st.Totals.Replayed != 1000 {
			t.Errorf("afterwards: %+v", st)
		}
		for p := range ring.PartitionID(testPartitions) {
			if s.HasHints(p) {
				t.Errorf("partition %d has hints", p)
			}
		}
		s.checkBook(t)
	})
}

func TestTargetUpStartsTheReplayAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		w.setDown("n1", true)
		o := w.options(disk)
		o.PollInterval = time.Hour
		s := mustOpen(t, o)
		start(t, s)
		s.mustAdd(t, "n1", false, hintOf("key"))
		synctest.Wait()
		w.setDown("n1", false)
		s.TargetUp("n1")
		synctest.Wait()
		if w.holds("n1") != 1 {
			t.Error("nothing was sent")
		}
	})
}

func TestSecondHintIsJoinedInPlace(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		s := mustOpen(t, w.options(disk))
		first := time.Now()
		a, b := written(1, 10, "a"), written(2, 20, "b")
		newer := causal.Object{Vector: causal.Vector{{Actor: 1, Time: 30}}, Siblings: written(1, 30, "newer").Siblings}
		s.mustAdd(t, "n1", false, item("key", a))
		time.Sleep(time.Minute)
		for _, step := range []struct {
			o       causal.Object
			counted bool
			want    causal.Object
			is      bool
		}{
			{a, false, a, false},
			{b, true, causal.Join(a, b), true},
			{newer, false, causal.Join(b, newer), true},
		} {
			s.mustAdd(t, "n1", step.counted, item("key", step.o))
			h, o, ok := s.stored(t, "n1", "key")
			if !ok || !o.Equal(step.want) || h.counted != step.is || h.noted != first.UnixMilli() {
				t.Fatalf("stored %+v %+v, want %+v, counted %v", h, o, step.want, step.is)
			}
		}
		if st := s.Stats(); st.Hints != 1 || st.Totals.Added != 1 || st.Totals.Joined != 3 || st.Targets[0].Counted != 1 {
			t.Errorf("%+v", st)
		}
		s.checkBook(t)
	})
}

func TestHintOfManySiblingsIsJoinedAndReplayedWhole(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		s := mustOpen(t, w.options(disk))
		var want causal.Object
		for a := range causal.Actor(40) { // the heads move from the meta into the value on the way
			o := written(a+1, 7, fmt.Sprint("sibling ", a))
			want = causal.Join(want, o)
			s.mustAdd(t, "n1", false, item("key", o))
			if _, got, _ := s.stored(t, "n1", "key"); !got.Equal(want) {
				t.Fatalf("with %d siblings: %+v", a+1, got)
			}
		}
		s.checkBook(t)
		start(t, s)
		time.Sleep(time.Second)
		if !w.object("n1", "key").Equal(want) {
			t.Error("the target has something else")
		}
	})
}

func TestHintThatIsJoinedWhileItIsSentStays(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		var answer func(error)
		w.onSend = func(_ ring.NodeID, items []Item, done func(error)) bool {
			if answer != nil {
				return false
			}
			w.store("n1", items)
			answer = done
			return true
		}
		s := mustOpen(t, w.options(disk))
		s.mustAdd(t, "n1", false, item("changed", written(1, 1, "a")), hintOf("unchanged"))
		start(t, s)
		time.Sleep(s.opts.PollInterval / 2) // the next look at the targets is not now
		synctest.Wait()
		more := causal.Join(written(1, 1, "a"), written(2, 2, "b"))
		s.mustAdd(t, "n1", false, item("changed", more))
		answer(nil)
		synctest.Wait()
		if _, o, ok := s.stored(t, "n1", "changed"); !ok || !o.Equal(more) {
			t.Fatal("what came in between is gone")
		}
		if _, _, ok := s.stored(t, "n1", "unchanged"); ok {
			t.Fatal("what was acknowledged is still there")
		}
		time.Sleep(time.Second)
		if !w.object("n1", "changed").Equal(more) || s.Stats().Hints != 0 || s.Stats().Totals.Changed != 1 {
			t.Errorf("afterwards: %+v", s.Stats().Totals)
		}
	})
}

func TestUncountedHintsAreDroppedByAgeAndCountedOnesNever(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		w.setDown("n1", true)
		o := w.options(disk)
		o.AgeMax, o.PollInterval = time.Hour, time.Minute
		s := mustOpen(t, o)
		start(t, s)
		for i := range 600 { // more than one removal
			s.mustAdd(t, "n1", false, hintOf(fmt.Sprint("old ", i)))
		}
		s.mustAdd(t, "n1", true, hintOf("counted"))
		time.Sleep(30 * time.Minute)
		s.mustAdd(t, "n1", false, hintOf("young"), hintOf("old 1")) // a join does not make it younger
		time.Sleep(32 * time.Minute)
		if st := s.targetStats("n1"); st.Hints != 2 || st.Counted != 1 || st.Needs != testPartitions {
			t.Fatalf("after an hour: %+v", st)
		}
		time.Sleep(24 * time.Hour)
		if st := s.Stats(); st.Hints != 1 || st.Totals.DroppedAged != 601 || time.Since(st.Oldest) < 24*time.Hour {
			t.Fatalf("after a day: %+v", st)
		}
		if _, _, ok := s.stored(t, "n1", "counted"); !ok {
			t.Error("a counted hint was dropped")
		}
		s.checkBook(t)
	})
}

func TestFullStoreDropsUncountedHintsAndRefusesToCount(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		w.setDown("n1", true)
		o := w.options(disk)
		o.BytesMax = 2000
		s := mustOpen(t, o)
		start(t, s)
		added := 0
		for ; s.addNow("n1", false, hintOf(fmt.Sprint("key ", added))) == nil; added++ {
			if s.Stats().Bytes > o.BytesMax {
				t.Fatalf("%d bytes of hints", s.Stats().Bytes)
			}
		}
		if err := s.addNow("n1", false, hintOf("one more")); !errors.Is(err, ErrFull) {
			t.Errorf("uncounted: %v", err)
		}
		need := Pair{"n1", partition([]byte("one more"))}
		if _, ok := s.NeedOf(need.Target, need.Partition); !ok {
			t.Error("what was dropped is no need")
		}
		needs := len(s.Needs())
		if err := s.addNow("n2", true, hintOf("copy")); !errors.Is(err, ErrFull) {
			t.Errorf("counted: %v", err)
		}
		if len(s.Needs()) != needs {
			t.Error("a refused copy became a need")
		}
		if st := s.Stats(); st.Hints != added || st.Totals.DroppedFull != 2 || st.Totals.Refused != 1 || st.AddBytes != 0 {
			t.Errorf("%+v", st)
		}
		w.setDown("n1", false)
		time.Sleep(time.Second)
		s.mustAdd(t, "n2", true, hintOf("copy")) // there is room again
	})
}

func TestAddsUnderWayAreBounded(t *testing.T) {
	w, disk := newWorld(), vfstest.New()
	o := w.options(disk)
	o.AddItemsMax = 3
	s := mustOpen(t, o)
	syncs := make(chan struct{})
	disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Block: syncs})
	done := make(chan error, 8)
	add := func(items ...Item) { s.Add(time.Time{}, "n1", items, false, func(err error) { done <- err }) }
	add(hintOf("a"), hintOf("b"), hintOf("c"), hintOf("d")) // more than the bound, but alone
	if !s.HasHints(partition([]byte("a"))) {
		t.Error("what is being added does not count as a hint")
	}
	add(hintOf("e"))
	if err := <-done; !errors.Is(err, ErrOverloaded) {
		t.Errorf("a fifth: %v", err)
	}
	if _, ok := s.NeedOf("n1", partition([]byte("e"))); !ok {
		t.Error("it is no need")
	}
	close(syncs)
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.mustAdd(t, "n1", false, hintOf("e"))
	s.checkBook(t)
}

func TestHintThatIsNotDecidedYetCountsForItsPartition(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		s := mustOpen(t, w.options(disk))
		s.mustAdd(t, "n1", false, item("old", written(1, 1, "v")))
		synctest.Wait() // else the store may still have its value in memory
		fresh := "new"
		for partition([]byte(fresh)) == partition([]byte("old")) {
			fresh += "er"
		}
		reads, struck := make(chan struct{}), make(chan struct{}, 1)
		disk.Inject(vfstest.Fault{Ops: vfstest.OpRead, Block: reads, Struck: struck})
		done := make(chan error, 1)
		// Two siblings: the value of the old one is to be read.
		s.Add(time.Time{}, "n1", []Item{item("old", written(2, 2, "w")), hintOf(fresh)}, false, func(err error) { done <- err })
		<-struck
		if !s.HasHints(partition([]byte(fresh))) {
			t.Error("the partition has no hints")
		}
		close(reads)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.checkBook(t)
	})
}

func TestFullDiskPassesThroughAndNeedsAreWrittenLater(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		w.setDown("n1", true)
		disk.SetCapacity(8 << 20)
		o := w.options(disk)
		o.Storage.ReserveBytes = 16 << 20 // never met
		s := mustOpen(t, o)
		stop := start(t, s)
		if err := s.addNow("n1", false, hintOf("key")); !errors.Is(err, storage.ErrDiskFull) {
			t.Fatalf("uncounted: %v", err)
		}
		if err := s.addNow("n1", true, hintOf("key")); !errors.Is(err, storage.ErrDiskFull) {
			t.Fatalf("counted: %v", err)
		}
		time.Sleep(time.Second)
		disk.SetCapacity(0)
		time.Sleep(10 * time.Second)
		stop()
		again := o
		again.Storage.FS = disk.Crash(vfstest.Nothing())
		s = mustOpen(t, again)
		if needs := s.Needs(); len(needs) != 1 || needs[0].Pair != (Pair{"n1", partition([]byte("key"))}) {
			t.Errorf("needs %v", needs)
		}
	})
}

func TestExpiredDeadlineAddsNothing(t *testing.T) {
	s := mustOpen(t, newWorld().options(vfstest.New()))
	done := make(chan error, 1)
	s.Add(time.Now().Add(-time.Second), "n1", []Item{hintOf("key")}, true, func(err error) { done <- err })
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if s.Stats().Hints != 0 || len(s.Needs()) != 0 {
		t.Error("something was left behind")
	}
}

func TestInvalidHintsLeaveNothingBehind(t *testing.T) {
	o := newWorld().options(vfstest.New())
	s := mustOpen(t, o)
	for _, target := range []ring.NodeID{"", "a node", ring.NodeID(make([]byte, 300))} {
		if err := s.addNow(target, false, hintOf("key")); !errors.Is(err, ErrInvalid) {
			t.Errorf("target %q: %v", target, err)
		}
	}
	if err := s.addNow("n1", false, hintOf("")); !errors.Is(err, ErrInvalid) {
		t.Errorf("no key: %v", err)
	}
	large := item(string(make([]byte, 5000)), written(1, 1, "v"))
	if err := s.addNow("n1", false, large); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("large key: %v", err)
	}
	if s.Stats().Hints != 0 || len(s.Needs()) != 1 {
		t.Errorf("%d hints, needs %v", s.Stats().Hints, s.Needs())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, o)
}

func TestHintsNeedsAndCountsSurviveARestart(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		w.setDown("n1", true)
		w.setDown("n2", true)
		o := w.options(disk)
		o.BytesMax = 4000
		s := mustOpen(t, o)
		stop := start(t, s)
		s.mustAdd(t, "n1", false, hintOf("a"), hintOf("b"))
		s.mustAdd(t, "n2", true, hintOf("b"))
		if err := s.addNow("n2", false, item("c", written(1, 1, string(make([]byte, 5000))))); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		before, needs := s.book.String(), s.Needs()
		time.Sleep(time.Second)
		stop()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.addNow("n1", true, hintOf("a")); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		s = mustOpen(t, o)
		if after := s.book.String(); after != before {
			t.Errorf("before %s\nafter  %s", before, after)
		}
		again := s.Needs()
		if len(again) != 1 || again[0].Pair != needs[0].Pair || again[0].Since.UnixMilli() != needs[0].Since.UnixMilli() {
			t.Errorf("needs %v, were %v", again, needs)
		}
		for _, key := range []string{"a", "b"} {
			if !s.HasHints(partition([]byte(key))) {
				t.Errorf("no hints for the partition of %s", key)
			}
		}
		a, err := s.For([]byte("a"))
		if err != nil || len(a) != 1 {
			t.Fatalf("%+v, %v", a, err)
		}
		infos, err := s.For([]byte("b"))
		if err != nil || len(infos) != 2 || infos[0].Target != "n1" || infos[0].Counted || !infos[1].Counted ||
			!infos[1].Heads.SameHeads(hintOf("b").Object) || infos[1].Heads.Siblings[0].Value != nil ||
			a[0].Bytes+infos[0].Bytes != s.targetStats("n1").Bytes {
			t.Errorf("%+v, %v", infos, err)
		}
	})
}

func TestForgottenTargetLosesItsHintsAndCountedOnesOnlyByForce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
		s := mustOpen(t, w.options(disk))
		for i := range 700 {
			s.mustAdd(t, "n1", i%100 == 0, hintOf(fmt.Sprint("key ", i)))
		}
		s.mustAdd(t, "n2", false, hintOf("key 1"))
		s.need(Pair{"n1", 3})
		var counted *CountedError
		if err := s.Forget(t.Context(), "n1", false); !errors.As(err, &counted) || counted.Counted != 7 {
			t.Fatalf("without force: %v", err)
		}
		if st := s.targetStats("n1"); st.Hints != 700 || st.Needs != 1 {
			t.Fatalf("the refusal changed something: %+v", st)
		}
		if err := s.Forget(t.Context(), "n1", true); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Hints != 1 || len(s.Needs()) != 0 || st.Totals.Forgotten != 700 {
			t.Fatalf("afterwards: %+v", st)
		}
		if err := s.Forget(t.Context(), "n2", false); err != nil || s.Stats().Hints != 0 {
			t.Fatal(err)
		}
		s.checkBook(t)
	})
}

func TestOptionsOutOfBoundsAreRefused(t *testing.T) {
	good := newWorld().options(vfstest.New())
	for name, spoil := range map[string]func(*Options){
		"no Send":        func(o *Options) { o.Send = nil },
		"no Partition":   func(o *Options) { o.Partition = nil },
		"AgeMax":         func(o *Options) { o.AgeMax = -1 },
		"BackoffMin":     func(o *Options) { o.BackoffMin = time.Hour },
		"ObjectBytesMax": func(o *Options) { o.ObjectBytesMax = 1 << 30 },
		"Storage":        func(o *Options) { o.Storage.SegmentBytesMax = 1 },
	} {
		o := good
		spoil(&o)
		if o.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	o := good
	o.KeyBytesMax, o.ObjectBytesMax = keyBytesLimit, objectBytesLimit
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}
