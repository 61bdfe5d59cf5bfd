package storage

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// scripted is a mutation whose steps a test decides.
type scripted struct {
	keys    [][]byte
	decide  func(cur []Current, w *Writes) error
	decided func()
	done    chan error
	calls   []string
}

func newScripted(decide func(cur []Current, w *Writes) error, keys ...string) *scripted {
	m := &scripted{decide: decide, done: make(chan error, 1)}
	for _, k := range keys {
		m.keys = append(m.keys, []byte(k))
	}
	return m
}

func (m *scripted) Keys() [][]byte { return m.keys }
func (m *scripted) Decide(cur []Current, w *Writes) error {
	m.calls = append(m.calls, "decide")
	return m.decide(cur, w)
}
func (m *scripted) Decided() {
	m.calls = append(m.calls, "decided")
	if m.decided != nil {
		m.decided()
	}
}
func (m *scripted) Done(err error) {
	m.calls = append(m.calls, "done")
	m.done <- err
}

func put(key, value string) func([]Current, *Writes) error {
	return func(_ []Current, w *Writes) error {
		w.Put([]byte(key), []byte("m:"+key), []byte(value))
		return nil
	}
}

// blockedSyncs holds every sync of the log back until release is called; blocked gets a token for each.
func blockedSyncs(fs *vfstest.FS) (blocked <-chan struct{}, release func()) {
	gate, struck := make(chan struct{}), make(chan struct{}, 16)
	remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: segmentSuffix, Block: gate, Struck: struck})
	return struck, sync.OnceFunc(func() { remove(); close(gate) })
}

func TestDecisionsSeeWhatIsDecidedButNotYetDurable(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "0")
	blocked, release := blockedSyncs(fs)
	defer release()
	first := newScripted(put("k", "1"), "k")
	if err := e.Submit(first); err != nil {
		t.Fatal(err)
	}
	<-blocked
	// The first is being synced: later decisions see it, readers do not.
	decided := make(chan struct{})
	var seen []Current
	second := newScripted(func(cur []Current, w *Writes) error {
		if !cur[0].HasValue {
			return ErrNeedValues
		}
		seen = append(seen, Current{cur[0].State, bytes.Clone(cur[0].Meta), bytes.Clone(cur[0].Value), true}, cur[1])
		w.Delete([]byte("k"))
		return nil
	}, "k", "absent")
	second.decided = func() { close(decided) }
	var deleted Current
	third := newScripted(func(cur []Current, w *Writes) error { deleted = cur[0]; return nil }, "k")
	for _, m := range []*scripted{second, third} {
		if err := e.Submit(m); err != nil {
			t.Fatal(err)
		}
	}
	<-decided
	wantValue(t, e, "k", "0")
	if have := contents(t, e); have["k"] != "0" {
		t.Errorf("scan sees %q before it is durable", have["k"])
	}
	select {
	case <-third.done:
		t.Error("done before what it is based on is durable")
	default:
	}
	release()
	for _, m := range []*scripted{first, second, third} {
		if err := <-m.done; err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 2 || seen[0].State != Present || string(seen[0].Value) != "1" || string(seen[0].Meta) != "m:k" || seen[1].State != Absent {
		t.Errorf("second decision saw %+v", seen)
	}
	if deleted.State != Absent {
		t.Errorf("third decision saw %+v", deleted)
	}
	wantValue(t, e, "k", "-")
	if got := fmt.Sprint(second.calls); got != "[decide decide decided done]" {
		t.Errorf("calls: %v", got)
	}
}

// TestDecisionsSeeTheYoungestOfSeveralPendingGroups has one group published while the next, which changes the same
// key, is not.
func TestDecisionsSeeTheYoungestOfSeveralPendingGroups(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "0")
	var gates [2]chan struct{}
	struck := make(chan struct{}, 2)
	for i := range gates {
		gates[i] = make(chan struct{})
		fs.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: segmentSuffix, Times: 1, Block: gates[i], Struck: struck})
	}
	submit := func(m *scripted) {
		t.Helper()
		if err := e.Submit(m); err != nil {
			t.Fatal(err)
		}
	}
	first, second := newScripted(put("k", "1"), "k"), newScripted(put("k", "22"), "k")
	submit(first)
	<-struck
	submit(second)
	peek := newScripted(func([]Current, *Writes) error { return nil }, "k") // has both groups looked at
	seen := make(chan struct{})
	peek.decided = func() { close(seen) }
	submit(peek)
	<-seen
	close(gates[0])
	if err := <-first.done; err != nil {
		t.Fatal(err)
	}
	<-struck // the second group is being synced, and the decider may take the first one back
	var value string
	third := newScripted(func(cur []Current, w *Writes) error {
		if !cur[0].HasValue {
			return ErrNeedValues
		}
		value = string(cur[0].Value)
		w.Put([]byte("k"), nil, []byte("3"))
		return nil
	}, "k")
	decided := make(chan struct{})
	third.decided = func() { close(decided) }
	submit(third)
	<-decided
	close(gates[1])
	for _, m := range []*scripted{second, peek, third} {
		if err := <-m.done; err != nil {
			t.Error(err)
		}
	}
	if value != "22" {
		t.Errorf("the third decision saw %q", value)
	}
}

func TestMutationThatWritesNothingIsDoneWithoutASync(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "v")
	fs.ResetEvents()
	if err := e.Update([][]byte{[]byte("k")}, func([]Current, *Writes) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if events := fs.Events(vfstest.OpChange); len(events) != 0 {
		t.Errorf("it did %v", events)
	}
}

func TestErrorOfDecisionEndsTheMutationWithoutEffect(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	boom := errors.New("boom")
	m := newScripted(func(_ []Current, w *Writes) error {
		w.Put([]byte("k"), nil, []byte("v"))
		return boom
	}, "k")
	if err := e.Submit(m); err != nil {
		t.Fatal(err)
	}
	if err := <-m.done; !errors.Is(err, boom) {
		t.Errorf("done with %v", err)
	}
	if got := fmt.Sprint(m.calls); got != "[decide done]" {
		t.Errorf("calls: %v", got)
	}
	wantValue(t, e, "k", "-")
}

func TestDecisionIsTakenAgainWhenTheKeyChangedWhileItsValueWasRead(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "0")
	mustPut(t, e, "other", "o")
	// Each read is held back until the key has changed again: the values read are always stale.
	const rounds = 10
	gate, struck := make(chan struct{}), make(chan struct{}, rounds)
	fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Path: segmentSuffix, Times: valueRounds * 2, Block: gate, Struck: struck})
	var values []string
	m := newScripted(func(cur []Current, w *Writes) error {
		if !cur[0].HasValue || !cur[1].HasValue {
			return ErrNeedValues
		}
		values = append(values, string(cur[0].Value)+string(cur[1].Value))
		w.Put([]byte("k"), nil, append(cur[0].Value, '+'))
		return nil
	}, "k", "other")
	if err := e.Submit(m); err != nil {
		t.Fatal(err)
	}
	<-struck
	mustPut(t, e, "k", "1")
	close(gate)
	if err := <-m.done; err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(values) != "[1o]" {
		t.Errorf("the decision stands on %v", values)
	}
	wantValue(t, e, "k", "1+")
}

// TestDecisionThatNeedsValuesMakesProgress has writers change the key as fast as they can.
func TestDecisionThatNeedsValuesMakesProgress(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever})
	mustPut(t, e, "k", "x")
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if err := e.PutMeta([]byte("k"), []byte("m"), []byte("y")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 50 {
		err := e.Update([][]byte{[]byte("k")}, func(cur []Current, w *Writes) error {
			if !cur[0].HasValue {
				return ErrNeedValues
			}
			w.Put([]byte("k"), nil, cur[0].Value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
}

// TestConcurrentUpdatesLoseNothing counts in one key from many goroutines, by value and by meta.
func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	for _, policy := range []SyncPolicy{SyncAlways, SyncNever} {
		e := mustOpen(t, vfstest.New(), Options{Sync: policy, SegmentBytesMax: segmentBytesLeast})
		const writers, each = 8, 40
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for range each {
					err := e.Update([][]byte{[]byte("count"), []byte("spare")}, func(cur []Current, ws *Writes) error {
						if w%2 == 0 && cur[0].State == Present && !cur[0].HasValue {
							return ErrNeedValues
						}
						n := len(cur[0].Meta)
						if cur[0].HasValue && len(cur[0].Value) != 2*n {
							return fmt.Errorf("value of %d bytes with meta of %d", len(cur[0].Value), n)
						}
						n = (n + 1) % 200
						ws.Put([]byte("count"), make([]byte, n), make([]byte, 2*n))
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		meta, err := e.Meta([]byte("count"), nil)
		if err != nil || len(meta) != writers*each%200 {
			t.Errorf("counted to %d, want %d: %v", len(meta), writers*each%200, err)
		}
	}
}

func TestWritesOverALimitAreRefusedWhole(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{KeyBytesMax: 10, ValueBytesMax: 100, BatchBytesMax: 1000})
	big := make([]byte, 300)
	for name, write := range map[string]func() error{
		"key":   func() error { return e.Put(big[:11], nil) },
		"meta":  func() error { return e.PutMeta(nil, big[:256], nil) },
		"value": func() error { return e.Put(nil, big[:101]) },
		"batch": func() error {
			var b Batch
			for i := range 10 {
				b.Put([]byte{byte(i)}, big[:100])
			}
			return e.Apply(&b)
		},
		"update": func() error {
			return e.Update(nil, func(_ []Current, w *Writes) error {
				w.Put([]byte("fits"), nil, nil)
				w.Put(nil, nil, big[:101])
				return nil
			})
		},
	} {
		if err := write(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if have := contents(t, e); len(have) != 0 {
		t.Errorf("left behind: %v", have)
	}
	if err := e.PutMeta(big[:10], big[:255], big[:100]); err != nil {
		t.Errorf("write at the limits: %v", err)
	}
}

func TestEmptyKeysAndValuesAreRecords(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	if err := e.Put(nil, nil); err != nil {
		t.Fatal(err)
	}
	mustClose(t, e)
	e = mustOpen(t, fs, Options{})
	wantValue(t, e, "", "")
	mustDelete(t, e, "")
	wantValue(t, e, "", "-")
}

func TestSubmitBlocksWhileTheQueueIsFull(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{QueueLenMax: 3})
	mustPut(t, e, key(0), "v")
	blocked, release := blockedSyncs(fs)
	defer release()
	if err := e.Submit(newScripted(put("slow", "v"))); err != nil {
		t.Fatal(err)
	}
	<-blocked
	var last atomic.Int64
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if err := e.Submit(newScripted(put(key(i), "v"))); err != nil {
				t.Error(err)
			}
			last.Add(1)
		})
	}
	for last.Load() < 2 { // two have room beside the slow one
		if n, _ := e.writer.queued(); n > 3 {
			t.Fatalf("%d in a queue of 3", n)
		}
	}
	if n := last.Load(); n > 2 {
		t.Errorf("%d submits got through", n)
	}
	release()
	wg.Wait()
	mustClose(t, e)
	e = mustOpen(t, fs, Options{})
	if have := contents(t, e); len(have) != 11 {
		t.Errorf("%d keys", len(have))
	}
}

func TestCloseAcknowledgesWhatWasTakenAndRefusesTheRest(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	blocked, release := blockedSyncs(fs)
	defer release()
	var taken []*scripted
	for i := range 20 {
		m := newScripted(put(key(i), "v"))
		if err := e.Submit(m); err != nil {
			t.Fatal(err)
		}
		taken = append(taken, m)
	}
	<-blocked
	closed := make(chan error)
	go func() { closed <- e.Close() }()
	go func() { closed <- e.Close() }()
	for { // until Close has taken effect
		m := newScripted(put("late", "v"))
		if err := e.Submit(m); err != nil {
			break
		}
		taken = append(taken, m)
	}
	release()
	for range 2 {
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
	for _, m := range taken {
		if err := <-m.done; err != nil {
			t.Error(err)
		}
	}
	for name, err := range map[string]error{"put": e.Put(nil, nil), "submit": e.Submit(taken[0])} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
	if _, err := e.Get([]byte("k"), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("get after close: %v", err)
	}
	for _, err := range e.Scan(Range{}) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("scan after close: %v", err)
		}
	}
}

func TestFailedSyncFailsWhatIsDecidedAndRefusesTheRest(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "acked")
	gate, struck := make(chan struct{}), make(chan struct{}, 1)
	boom := errors.New("boom")
	fs.Inject(vfstest.Fault{Ops: vfstest.OpSync, Times: 1, Err: boom, Block: gate, Struck: struck})
	syncing, decided := newScripted(put("k", "1")), newScripted(put("k", "2"))
	if err := e.Submit(syncing); err != nil {
		t.Fatal(err)
	}
	<-struck
	wait := make(chan struct{})
	decided.decided = func() { close(wait) }
	if err := e.Submit(decided); err != nil {
		t.Fatal(err)
	}
	<-wait
	close(gate)
	for _, m := range []*scripted{syncing, decided} {
		var io *IOError
		if err := <-m.done; !errors.As(err, &io) || !errors.Is(err, boom) || io.Op != "sync" {
			t.Errorf("done with %v", err)
		}
	}
	// The sync would succeed now, but is never tried again.
	fs.ResetEvents()
	if err := e.Submit(newScripted(put("k", "3"))); !errors.Is(err, ErrReadOnly) || !errors.Is(err, boom) {
		t.Errorf("submit to a failed engine: %v", err)
	}
	wantValue(t, e, "k", "acked")
	if err := e.Close(); !errors.Is(err, boom) {
		t.Errorf("close: %v", err)
	}
	if events := fs.Events(vfstest.OpChange); len(events) != 0 {
		t.Errorf("a failed engine did %v", events)
	}
}

func TestObserverSeesEveryChangeInLogOrder(t *testing.T) {
	fs := vfstest.New()
	var seen []string
	o := Options{Observer: func(changes []Change) {
		for _, c := range changes {
			seen = append(seen, fmt.Sprintf("%s %s>%s", c.Key, nilOr(c.OldMeta), nilOr(c.NewMeta)))
		}
	}}
	e := mustOpen(t, fs, o)
	mustPut(t, e, "a", "1")
	var b Batch
	b.PutMeta([]byte("a"), []byte("second"), nil)
	b.Put([]byte("b"), nil)
	b.Delete([]byte("a"))
	if err := e.Apply(&b); err != nil {
		t.Fatal(err)
	}
	mustDelete(t, e, "b")
	mustDelete(t, e, "b")
	mustClose(t, e)
	want := "[a nil>'m:a' a 'm:a'>'second' b nil>'' a 'second'>nil b ''>nil b nil>nil]"
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("observed %s\nwant %s", got, want)
	}
}

func nilOr(b []byte) string {
	if b == nil {
		return "nil"
	}
	return "'" + string(b) + "'"
}
