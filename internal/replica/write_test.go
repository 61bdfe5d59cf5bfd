package replica

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestWriteIsReadAsItWasHandedOut(t *testing.T) {
	r := newReplica(t)
	d := r.mustWrite(t, put("k", "v"))
	if d.Dot.Actor != r.Actor() || d.Dot.Time > r.Clock().Last() || !d.Object.Vector.Equal(causal.Vector{d.Dot}) {
		t.Fatalf("handed out %v", d)
	}
	if got := r.mustRead(t, "k"); !got.Equal(d.Object) {
		t.Fatalf("read %v, handed out %v", got, d.Object)
	}
}

func TestWriteWithoutContextSupersedesWhatTheReplicaHolds(t *testing.T) {
	r := newReplica(t)
	r.mustStore(t, item("k", crowd(3)))
	d := r.mustWrite(t, put("k", "new"))
	if got := values(d.Object); !slices.Equal(got, []string{"new"}) || !d.Object.Vector.CoversAll(crowd(3).Vector) {
		t.Fatalf("left %q", got)
	}
	if got := r.mustRead(t, "k"); !got.Equal(d.Object) {
		t.Fatalf("read %v", got)
	}
}

func TestWriteWithContextLeavesWhatItHasNotSeenWithItsValues(t *testing.T) {
	r := newReplica(t)
	for _, n := range []int{1, 3, 20} { // in the meta, several, and elsewhere
		key := strings.Repeat("k", n)
		held := crowd(n)
		r.mustStore(t, item(key, held))
		d := r.mustWrite(t, putAfter(key, "new", vectorOf(held.Siblings[0].Dot)))
		want := append(values(held)[1:], "new")
		got := values(d.Object)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("left %q, want %q", got, want)
		}
		if read := r.mustRead(t, key); !read.Equal(d.Object) {
			t.Fatalf("read %v, handed out %v", read, d.Object)
		}
		// The object stays good although the engine's buffers are used again.
		before := d.Object.Clone()
		r.mustWrite(t, put(key, strings.Repeat("x", 100)))
		if !d.Object.Equal(before) {
			t.Fatal("the object that was handed out has changed")
		}
	}
}

func TestDotExceedsEveryTimeInContextAndInWhatIsHeld(t *testing.T) {
	r := newReplica(t)
	ahead := r.Clock().Last() + 1<<40
	d := r.mustWrite(t, putAfter("k", "v", causal.Vector{{Actor: 5, Time: ahead}}))
	if d.Dot.Time <= ahead || !d.Object.Vector.Covers(causal.Dot{Actor: 5, Time: ahead}) {
		t.Fatalf("issued %v, context at %v", d.Dot, ahead)
	}
	far := ahead + 1<<40
	r.mustStore(t, item("other", foreign(6, far, "v")))
	if d := r.mustWrite(t, put("k", "v")); d.Dot.Time <= far {
		t.Fatalf("issued %v after %v was stored", d.Dot, far)
	}
}

func TestDeleteLeavesATombstone(t *testing.T) {
	r := newReplica(t)
	r.mustWrite(t, put("k", "v"))
	for _, key := range []string{"k", "never written"} {
		d := r.mustWrite(t, coordinator.Decision{Key: []byte(key), Tombstone: true, Value: []byte("ignored"), ExpiresAt: 5})
		got := r.mustRead(t, key)
		if len(got.Siblings) != 1 || !got.Siblings[0].Tombstone || !got.Equal(d.Object) {
			t.Fatalf("%s: holds %v", key, got)
		}
	}
}

func TestExpiryIsKeptAndOneBeforeTheEpochHasPassed(t *testing.T) {
	r := newReplica(t)
	for expires, want := range map[int64]int64{0: 0, 77: 77, -5: 1} {
		d := put("k", "v")
		d.ExpiresAt = expires
		r.mustWrite(t, d)
		if got := r.mustRead(t, "k").Siblings[0].ExpiresAt; got != want {
			t.Errorf("%d was kept as %d", expires, got)
		}
	}
}

func TestBatchIsDecidedKeyByKeyAndAtOnce(t *testing.T) {
	opts := options(t, vfstest.New())
	opts.SiblingsMax = 2
	r := mustOpen(t, opts)
	r.mustStore(t, item("full", crowd(2)))
	out, handed, err := r.writeNow(put("a", "1"), putAfter("full", "2", nil), put("b", "3"))
	if err != nil || !handed || out[0].Err != nil || !errors.Is(out[1].Err, coordinator.ErrTooManySiblings) || out[2].Err != nil {
		t.Fatalf("got %v, %v", out, err)
	}
	if out[0].Dot.Time >= out[2].Dot.Time {
		t.Fatalf("dots %v and %v are not in order", out[0].Dot, out[2].Dot)
	}
	for key, want := range map[string]int{"a": 1, "full": 2, "b": 1} {
		if got := r.mustRead(t, key); len(got.Siblings) != want {
			t.Errorf("%s has %d siblings, want %d", key, len(got.Siblings), want)
		}
	}
}

func TestSiblingsAreLimitedForWritesAndNotForJoins(t *testing.T) {
	opts := options(t, vfstest.New())
	opts.SiblingsMax = 4
	r := mustOpen(t, opts)
	for i := range 4 {
		if d := r.mustWrite(t, putAfter("k", "v", nil)); len(d.Object.Siblings) != i+1 {
			t.Fatalf("write %d left %d siblings", i, len(d.Object.Siblings))
		}
	}
	before := r.mustRead(t, "k")
	if out, _, err := r.writeNow(putAfter("k", "v", nil)); err != nil || !errors.Is(out[0].Err, coordinator.ErrTooManySiblings) {
		t.Fatalf("got %v, %v", out, err)
	}
	if got := r.mustRead(t, "k"); !got.Equal(before) {
		t.Fatal("the refused write has changed the key")
	}
	r.mustStore(t, item("k", crowd(30)))
	if got := len(r.mustRead(t, "k").Siblings); got != 34 {
		t.Fatalf("%d siblings after a join", got)
	}
	if d := r.mustWrite(t, putAfter("k", "v", r.mustRead(t, "k").Vector)); len(d.Object.Siblings) != 1 {
		t.Fatalf("a write that has seen all leaves %d siblings", len(d.Object.Siblings))
	}
}

func TestSiblingsAreLimitedInBytesForWritesAndNotForJoins(t *testing.T) {
	opts := options(t, vfstest.New())
	opts.ValueBytesMax = 100
	r := mustOpen(t, opts)
	value := strings.Repeat("v", 90)
	r.mustWrite(t, putAfter("k", value, nil))
	r.mustWrite(t, putAfter("k", value, nil))
	if out, _, err := r.writeNow(putAfter("k", value, nil)); err != nil || !errors.Is(out[0].Err, coordinator.ErrTooManySiblings) {
		t.Fatalf("got %v, %v", out, err)
	}
	r.mustStore(t, item("k", foreign(9, 9, value)))
	if got := len(r.mustRead(t, "k").Siblings); got != 3 {
		t.Fatalf("%d siblings after a join", got)
	}
}

func TestWriteWhoseDeadlineHasPassedHasNoEffect(t *testing.T) {
	r := newReplica(t)
	last := r.mustWrite(t, put("other", "v")).Dot.Time
	durable := make(chan error, 1)
	handed := func([]coordinator.Decided) { t.Error("handed out") }
	r.Write(time.Now().Add(-time.Second), []coordinator.Decision{put("k", "v")}, handed, func(err error) { durable <- err })
	if err := <-durable; !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	r.Store(time.Now().Add(-time.Second), []coordinator.Item{item("k", foreign(1, 1, "v"))},
		func(_ coordinator.StoreAck, err error) { durable <- err })
	if err := <-durable; !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if got := r.mustRead(t, "k"); !got.IsZero() || r.Clock().Last() != last {
		t.Fatalf("holds %v, the clock went from %v to %v", got, last, r.Clock().Last())
	}
	if err := r.Serving(); err != nil {
		t.Fatal(err)
	}
}

func TestWriteFailsWithNoEffectWhereTheCeilingCannotBeRaised(t *testing.T) {
	disk := vfstest.New()
	now := noon
	opts := options(t, disk)
	opts.Now = func() time.Time { return now }
	r := mustOpen(t, opts)
	broken := errors.New("no space")
	remove := disk.Inject(vfstest.Fault{Ops: vfstest.OpCreate, Path: "clock", Err: broken})
	now = now.Add(time.Minute)
	if _, handed, err := r.writeNow(put("k", "v")); !errors.Is(err, broken) || handed {
		t.Fatalf("got %v, handed %v", err, handed)
	}
	remove()
	r.mustWrite(t, put("k", "v"))
}

func TestValueOverTheEnginesLimitHasNoEffect(t *testing.T) {
	opts := options(t, vfstest.New())
	opts.ValueBytesMax = 100
	r := mustOpen(t, opts)
	if _, handed, err := r.writeNow(put("k", strings.Repeat("v", 4<<20))); !errors.Is(err, storage.ErrTooLarge) || handed {
		t.Fatalf("got %v, handed %v", err, handed)
	}
	if err := r.Serving(); err != nil {
		t.Fatal(err)
	}
	r.mustWrite(t, put("k", "v"))
}

func TestMutationsPastTheBoundAreRefusedAtOnceAndWithNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfstest.New()
		opts := options(t, disk)
		opts.QueueLenMax, opts.QueueBytesMax = 3, 1000
		r := mustOpen(t, opts)
		release := make(chan struct{})
		remove := disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: "engine", Block: release})
		var done []error // of writes and stores, in whatever order
		results := make(chan error, 20)
		big := strings.Repeat("v", 5000)
		write := func(value string) {
			r.Write(time.Time{}, []coordinator.Decision{put("w", value)}, func([]coordinator.Decided) {}, func(err error) { results <- err })
		}
		store := func() {
			r.Store(time.Time{}, []coordinator.Item{item("s", foreign(1, 1, "v"))}, func(_ coordinator.StoreAck, err error) { results <- err })
		}
		write(big) // the first is taken, however large
		write("v")
		for range 4 {
			store()
		}
		synctest.Wait()
		for len(results) > 0 {
			done = append(done, <-results)
		}
		if len(done) != 2 || !errors.Is(done[0], coordinator.ErrOverloaded) || !errors.Is(done[1], coordinator.ErrOverloaded) {
			t.Errorf("refused: %v", done)
		}
		remove()
		close(release)
		for range 4 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		r.mustWrite(t, put("w", "v"))
		r.mustStore(t, item("s", foreign(1, 2, "v")))
		if w, s := r.writing.bytes.Load(), r.storing.len.Load(); w != 0 || s != 0 {
			t.Errorf("%d bytes of writes and %d stores are still counted", w, s)
		}
		mustClose(t, r)
	})
}

func TestStoreJoinsWithWhatIsHeld(t *testing.T) {
	r := newReplica(t)
	for i, n := range []int{1, 2, 5, 16, 17, 40} {
		key := strings.Repeat("k", i+1)
		var want causal.Object
		for _, s := range crowd(n).Siblings {
			o := causal.Object{Vector: vectorOf(s.Dot), Siblings: []causal.Sibling{s}}
			r.mustStore(t, item(key, o))
			want = causal.Join(want, o)
		}
		if got := r.mustRead(t, key); !got.Equal(want) {
			t.Fatalf("%d siblings: holds %v", n, got)
		}
		items, err := r.readKeys(coordinator.WantHeads, key)
		if err != nil || !items[0].Object.Equal(want.Heads()) {
			t.Fatalf("%d siblings: heads %v, %v", n, items, err)
		}
	}
}

func TestStoreOfWhatIsHeldOrSupersededWritesNothing(t *testing.T) {
	r := newReplica(t)
	old := foreign(1, 5, "old")
	r.mustStore(t, item("k", old))
	d := r.mustWrite(t, put("k", "new"))
	before := r.engine.Stats().Records
	r.mustStore(t, item("k", old))
	r.mustStore(t, item("k", d.Object))
	r.mustStore(t, item("absent", causal.Object{}))
	if got := r.engine.Stats().Records; got != before {
		t.Fatalf("%d records were written", got-before)
	}
	if got := r.mustRead(t, "k"); !got.Equal(d.Object) {
		t.Fatalf("holds %v", got)
	}
}

func TestStoreOfANewerLoneSiblingReadsNoValue(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	d := r.mustWrite(t, put("k", "old"))
	newer := causal.Put(d.Object, nil, false, causal.Sibling{Dot: causal.Dot{Actor: 1, Time: d.Dot.Time + 1}, Value: []byte("new")})
	disk.ResetEvents()
	r.mustStore(t, item("k", newer))
	r.mustWrite(t, put("k", "newest"))
	if reads := disk.Events(vfstest.OpRead); len(reads) != 0 {
		t.Fatalf("read %v", reads)
	}
}

func TestStoreIsDurableWhenItIsAcknowledgedEvenIfItWroteNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfstest.New()
		r := mustOpen(t, options(t, disk))
		release, struck := make(chan struct{}), make(chan struct{}, 1)
		remove := disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: "engine", Block: release, Struck: struck})
		acks := make(chan error, 2)
		store := func() {
			r.Store(time.Time{}, []coordinator.Item{item("k", foreign(1, 5, "v"))},
				func(_ coordinator.StoreAck, err error) { acks <- err })
		}
		store()
		<-struck
		store()
		synctest.Wait()
		if len(acks) > 0 {
			t.Error("acknowledged before the sync")
		}
		remove()
		close(release)
		if err := errors.Join(<-acks, <-acks); err != nil {
			t.Fatal(err)
		}
		mustClose(t, r)
	})
}
