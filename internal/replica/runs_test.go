package replica

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestADirectoryKnowsItsLastRuns(t *testing.T) {
	disk := vfstest.New()
	var met []Run
	for i := range runsMax + 3 {
		r := mustOpen(t, options(t, disk))
		now, earlier := r.Runs()
		if want := met[max(0, len(met)-runsMax):]; !slices.Equal(earlier, want) {
			t.Fatalf("run %d knows %v, want %v", i+1, earlier, want)
		}
		if now.Incarnation != uint64(i+1) || now.Boot == 0 {
			t.Fatalf("run %d is %v", i+1, now)
		}
		met = append(met, now)
		mustClose(t, r)
	}
	r := mustOpen(t, options(t, disk))
	now, _ := r.Runs()
	must(t, r.Disown())
	mustClose(t, r)
	if _, earlier := mustOpen(t, options(t, disk)).Runs(); slices.Contains(earlier, now) || earlier[len(earlier)-1] != met[len(met)-1] {
		t.Errorf("after a run that was disowned: %v", earlier)
	}
}

func TestAReplicaThatBeginsAnewHasForgottenEverything(t *testing.T) {
	disk := vfstest.New()
	opts := options(t, disk)
	r := mustOpen(t, opts)
	r.mustStore(t, item("k", foreign(7, 5, "v")))
	mustClose(t, r)
	r = mustOpen(t, opts)
	was, actor := r.id.run(), r.Actor()
	lost := Run{Incarnation: 9, Boot: 0x91}
	for range 2 { // of the second time it knows already
		must(t, r.BeginAnew(lost))
		now, earlier := r.Runs()
		if now != (Run{Incarnation: 10, Boot: was.Boot}) || !slices.Contains(earlier, lost) || r.Incarnation() != 10 {
			t.Fatalf("now %v, earlier %v", now, earlier)
		}
		if r.Actor() == actor || len(r.Unfilled()) != 16 || r.Fresh() {
			t.Fatalf("actor %v, was %v; unfilled %v", r.Actor(), actor, r.Unfilled())
		}
	}
	items, err := r.readKeys(coordinator.WantHeads, "k")
	must(t, err)
	if out, _, _ := r.writeNow(put("k", "w")); items[0].State != coordinator.ReadUnknown || !errors.Is(out[0].Err, coordinator.ErrUnknownKey) {
		t.Errorf("it answers: %v, %v", items, out)
	}
	renewed := r.Actor()
	mustClose(t, r)
	r = mustOpen(t, opts)
	if now, earlier := r.Runs(); now.Incarnation != 11 || !slices.Contains(earlier, lost) || len(r.Unfilled()) != 16 || r.Actor() != renewed {
		t.Errorf("after a restart: %v, %v, unfilled %v", now, earlier, r.Unfilled())
	}
	must(t, r.BeginAnew(Run{Incarnation: 3, Boot: 0x31})) // another earlier life
	if now, earlier := r.Runs(); now.Incarnation != 12 || !slices.IsSortedFunc(earlier, byIncarnation) {
		t.Errorf("%v, %v", now, earlier)
	}
	mustClose(t, r)
	if err := r.BeginAnew(Run{Incarnation: 99, Boot: 0x99}); !errors.Is(err, ErrClosing) {
		t.Errorf("after Close: %v", err)
	}
}

func byIncarnation(a, b Run) int { return int(a.Incarnation) - int(b.Incarnation) }

func TestASingleCopyIsKept(t *testing.T) {
	opts := options(t, vfstest.New())
	opts.Table = table(t, 1, 16)
	r := mustOpen(t, opts)
	actor := r.Actor()
	must(t, r.BeginAnew(Run{Incarnation: 9, Boot: 0x91}))
	if len(r.Unfilled()) > 0 || r.Actor() == actor {
		t.Errorf("unfilled %v, actor %v", r.Unfilled(), r.Actor())
	}
}

// A crash on the way leaves a directory that does not know the run that was lost, or one that is to be filled and has a new actor.
func TestBeginningAnewSurvivesACrashAtEveryStep(t *testing.T) {
	lost := Run{Incarnation: 9, Boot: 0x91}
	for n := 0; ; n++ {
		disk := vfstest.New()
		r := mustOpen(t, options(t, disk))
		actor := r.Actor()
		disk.CrashAfter(n)
		began := r.BeginAnew(lost) == nil
		for seed := range uint64(4) {
			after := mustOpen(t, options(t, disk.Crash(vfstest.Random(seed))))
			_, earlier := after.Runs()
			knows := slices.Contains(earlier, lost)
			if began && !knows || knows && (len(after.Unfilled()) != 16 || after.Actor() == actor) {
				t.Fatalf("crash after %d changes: knows %v, unfilled %v", n, earlier, after.Unfilled())
			}
			mustClose(t, after)
		}
		if !disk.Crashed() {
			return
		}
	}
}

func TestANewDirectoryIsFreshUntilItIsFilledOrFoundToHaveLostSomething(t *testing.T) {
	open := func(disk *vfstest.FS) *Replica {
		opts := options(t, disk)
		opts.NewCluster = false
		return mustOpen(t, opts)
	}
	for name, c := range map[string]struct {
		change   func(r *Replica) error
		unfilled int
		fresh    bool
	}{
		"nothing":       {func(*Replica) error { return nil }, 16, true},
		"filled":        {(*Replica).FillFresh, 0, false},
		"by exchange":   {func(r *Replica) error { return r.Fill(r.Unfilled()...) }, 0, false},
		"lost":          {func(r *Replica) error { return r.Refill(r.Unfilled()...) }, 16, false},
		"lost in part":  {func(r *Replica) error { return r.Refill(3) }, 16, true},
		"another's":     {func(r *Replica) error { return r.BeginAnew(Run{Incarnation: 1, Boot: 5}) }, 16, false},
		"filled, twice": {func(r *Replica) error { return errors.Join(r.Refill(3), r.FillFresh(), r.FillFresh()) }, 1, false},
	} {
		disk := vfstest.New()
		r := open(disk)
		must(t, c.change(r))
		for range 2 {
			if len(r.Unfilled()) != c.unfilled || r.Fresh() != c.fresh {
				t.Errorf("%s: unfilled %v, fresh %v", name, r.Unfilled(), r.Fresh())
			}
			mustClose(t, r)
			r = open(disk)
		}
		mustClose(t, r)
	}
}

// errReader fails where random bytes are needed.
type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWithoutRandomnessNothingBeginsAnew(t *testing.T) {
	r := newReplica(t)
	r.opts.Random = errReader{}
	if err := r.BeginAnew(Run{Incarnation: 9, Boot: 1}); err == nil || len(r.Unfilled()) > 0 {
		t.Errorf("got %v", err)
	}
}
