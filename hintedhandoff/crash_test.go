package hintedhandoff

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// diary is what a run was told, over any number of crashes.
type diary struct {
	w *world
	// acked are the hints that were acknowledged, by target.
	acked map[ring.NodeID][]Item
	// aged says that uncounted hints may have been dropped for their age.
	aged bool
	// counted are the keys of counted hints.
	counted map[string]bool
	// needs were written.
	needs []Pair
}

func (d *diary) add(s *Store, target ring.NodeID, counted bool, key string, o causal.Object) {
	it := item(string(target)+" "+key, o)
	if s.addNow(target, counted, it) == nil {
		d.acked[target] = append(d.acked[target], it)
		d.counted[string(it.Key)] = d.counted[string(it.Key)] || counted
	}
}

// missing says which acknowledged hint is neither kept, nor known to its target, nor made up for by a need.
func (d *diary) missing(t *testing.T, s *Store) error {
	t.Helper()
	for target, items := range d.acked {
		for _, it := range items {
			_, o, _ := s.stored(t, target, string(it.Key))
			have := causal.Join(o, d.w.object(target, string(it.Key)))
			if causal.Join(have, it.Object).Equal(have) {
				continue
			}
			_, need := s.needs.all[Pair{target, partition(it.Key)}]
			if !d.aged || d.counted[string(it.Key)] || !need {
				return fmt.Errorf("a hint for %q was acknowledged and is gone", it.Key)
			}
		}
	}
	for _, p := range d.needs {
		if s.needs.all[p] == nil {
			return fmt.Errorf("%v was a need and is none", p)
		}
	}
	return nil
}

// astray is a key that a target has and that was never for it.
func (d *diary) astray() error {
	for target, held := range d.w.held {
		for key := range held {
			if !strings.HasPrefix(key, string(target)+" ") {
				return fmt.Errorf("%s has %q", target, key)
			}
		}
	}
	return nil
}

// work is two runs of a node: hints for a target that comes back at once, for one that comes back later and for one that
// never does. It ends where the power fails.
func (d *diary) work(t *testing.T, o Options) {
	for run := range 2 {
		s, err := Open(testDir, o)
		if err != nil {
			return
		}
		d.w.setDown("n2", run == 0)
		stop := start(t, s)
		for i := range 3 {
			key, at := fmt.Sprint("key ", i), causal.Timestamp(run+1)
			d.add(s, "n1", false, key, written(1, at, "first"))
			d.add(s, "n2", i == 0, key, written(1, at, strings.Repeat("b", 300)))
			d.add(s, "n2", false, key, written(2, at, "joined"))
			d.add(s, "n3", i == 1, key, written(1, at, "kept"))
			if i == 1 {
				time.Sleep(time.Second)
			}
		}
		s.need(Pair{"n3", 99})
		synctest.Wait() // Run may have taken it to write it: then there is nothing left to write below, and it is not durable yet
		if s.writeNeeds() == nil {
			d.needs = append(d.needs, Pair{"n3", 99})
		}
		d.aged = true
		time.Sleep(25 * time.Second)
		stop()
		if s.Close() != nil {
			return
		}
	}
}

func TestNoAcknowledgedHintIsLostByACrashAtAnyPoint(t *testing.T) {
	every := 1
	if testing.Short() {
		every = 5
	}
	finished := false
	for n := 0; !finished && !t.Failed(); n += every {
		for _, keep := range []vfstest.Keep{vfstest.Nothing(), vfstest.Random(uint64(n)), vfstest.Everything()} {
			synctest.Test(t, func(t *testing.T) { finished = crashAfter(t, n, keep) })
		}
	}
}

// crashAfter has the power fail after n changes of the disk. It is true if that was after the end.
func crashAfter(t *testing.T, n int, keep vfstest.Keep) (finished bool) {
	disk := vfstest.New()
	d := &diary{w: newWorld(), acked: make(map[ring.NodeID][]Item), counted: make(map[string]bool)}
	d.w.setDown("n3", true)
	o := d.w.options(disk)
	o.AgeMax, o.BatchItemsMax = 20*time.Second, 2
	o.Storage.SegmentBytesMax = 4 << 10
	disk.CrashAfter(n)
	d.work(t, o)
	finished = !disk.Crashed()

	o.Storage.FS = disk.Crash(keep)
	s, err := Open(testDir, o)
	if err != nil {
		t.Fatalf("crash after %d changes: %v", n, err)
	}
	defer s.Close()
	if err := d.missing(t, s); err != nil {
		t.Fatalf("crash after %d changes: %v", n, err)
	}
	s.checkBook(t)
	d.w.setDown("n2", false)
	d.w.setDown("n3", false)
	start(t, s)
	time.Sleep(3 * time.Second)
	if st := s.Stats(); st.Hints != 0 || st.Bytes != 0 {
		t.Fatalf("crash after %d changes: %d hints are never replayed", n, st.Hints)
	}
	if err := errors.Join(d.missing(t, s), d.astray()); err != nil {
		t.Fatalf("crash after %d changes: %v", n, err)
	}
	s.checkBook(t)
	return finished
}

// TestCrashTestCatchesAcknowledgementsBeforeTheSync plants a bug: the engine does not sync. The diary must notice.
func TestCrashTestCatchesAcknowledgementsBeforeTheSync(t *testing.T) {
	disk := vfstest.New()
	d := &diary{w: newWorld(), acked: make(map[ring.NodeID][]Item), counted: make(map[string]bool)}
	o := d.w.options(disk)
	o.Storage.Sync = storage.SyncNever
	d.add(mustOpen(t, o), "n1", false, "key", written(1, 1, "v"))
	o.Storage.FS = disk.Crash(vfstest.Nothing())
	if d.missing(t, mustOpen(t, o)) == nil {
		t.Fatal("a hint that was acknowledged and lost goes unnoticed")
	}
}

// TestCrashTestCatchesARemovalBeforeTheAcknowledgement plants a bug: hints are removed without having been sent.
func TestCrashTestCatchesARemovalBeforeTheAcknowledgement(t *testing.T) {
	d := &diary{w: newWorld(), acked: make(map[ring.NodeID][]Item), counted: make(map[string]bool)}
	s := mustOpen(t, d.w.options(vfstest.New()))
	d.add(s, "n1", false, "key", written(1, 1, "v"))
	if err := s.Forget(t.Context(), "n1", true); err != nil {
		t.Fatal(err)
	}
	if d.missing(t, s) == nil {
		t.Fatal("a hint that was removed and not replayed goes unnoticed")
	}
}

func TestUnreadableHintBecomesANeedAndOthersAreReplayed(t *testing.T) {
	for _, open := range []bool{false, true} { // found by a replay, found by an open
		t.Run(fmt.Sprint("at open ", open), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, disk *vfstest.FS) {
				w.setDown("n1", true)
				o := w.options(disk)
				o.Storage.SegmentBytesMax = 4 << 10
				o.Storage.MergeDisabled = true
				s := mustOpen(t, o)
				bad := strings.Repeat("x", 5000)
				s.mustAdd(t, "n1", false, hintOf("good"))
				s.mustAdd(t, "n1", true, item("bad", written(1, 1, bad)))
				s.mustAdd(t, "n1", false, hintOf("fine"))
				synctest.Wait() // the hint file of the first segment is written
				if open {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
				damage(t, disk, bad)
				if open {
					s = mustOpen(t, o)
				}
				w.setDown("n1", false)
				start(t, s)
				time.Sleep(time.Second)
				if w.holds("n1") != 2 {
					t.Errorf("%d hints were replayed", w.holds("n1"))
				}
				if _, ok := s.NeedOf("n1", partition([]byte("bad"))); !ok || s.Stats().Totals.Lost != 1 {
					t.Errorf("what was lost is no need: %+v", s.Stats().Totals)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s = mustOpen(t, o); s.Stats().Hints != 0 || s.Stats().Totals.Lost != 0 {
					t.Error("it is found again")
				}
				s.mustAdd(t, "n1", false, hintOf("bad"))
			})
		})
	}
}

func TestDamageThatDoesNotSayWhatItHitMakesNeedsOfAllThatIsShared(t *testing.T) {
	w, disk := newWorld(), vfstest.New()
	o := w.options(disk)
	all := []Pair{{"n1", 1}, {"n1", 2}, {"n2", 1}}
	o.Shared = func() []Pair { return all }
	s := mustOpen(t, o)
	bad := strings.Repeat("x", 5000)
	s.mustAdd(t, "n1", false, item("bad", written(1, 1, bad)))
	s.mustAdd(t, "n1", false, hintOf("after"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, disk, bad) // in the active segment: nothing else says whose record it was
	s = mustOpen(t, o)
	if needs := s.Needs(); len(needs) != len(all) {
		t.Errorf("needs %v", needs)
	}
	s.mustAdd(t, "n1", false, hintOf("new"), hintOf("bad"))
	if st := s.Stats(); st.Hints != 3 || st.Totals.Lost != 0 || len(s.Needs()) != len(all) {
		t.Errorf("a new hint is taken for a lost one: %d hints, %+v", st.Hints, st.Totals)
	}
}

// damage flips a byte in the middle of the only place in the log where value stands.
func damage(t *testing.T, disk *vfstest.FS, value string) {
	t.Helper()
	names, err := disk.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := testDir + "/" + name
		data, err := disk.Content(path)
		if err != nil {
			continue
		}
		if at := strings.Index(string(data), value); at >= 0 {
			if err := disk.Damage(path, int64(at+len(value)/2), 1); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the value is in no file")
}
