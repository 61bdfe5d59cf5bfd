package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestActorIsKeptAfterACleanShutdownOnly(t *testing.T) {
	disk := vfstest.New()
	first := mustOpen(t, options(t, disk))
	if !first.Actor().Valid() || first.Incarnation() != 1 {
		t.Fatalf("actor %v, incarnation %d", first.Actor(), first.Incarnation())
	}
	first.mustWrite(t, put("k", "v"))
	mustClose(t, first)

	second := mustOpen(t, options(t, disk))
	if second.Actor() != first.Actor() || second.Incarnation() != 2 || second.BootID() == first.BootID() {
		t.Fatalf("after a clean shutdown: actor %v, was %v; incarnation %d", second.Actor(), first.Actor(), second.Incarnation())
	}
	second.mustWrite(t, put("k", "w"))
	disk = disk.Crash(vfstest.Everything())

	third := mustOpen(t, options(t, disk))
	if third.Actor() == second.Actor() || third.Incarnation() != 3 {
		t.Fatalf("after a crash: actor %v, was %v; incarnation %d", third.Actor(), second.Actor(), third.Incarnation())
	}
	if got := values(third.mustRead(t, "k")); len(got) != 1 || got[0] != "w" {
		t.Fatalf("holds %q", got)
	}
}

func TestTimestampsAfterACrashExceedAllBeforeEvenIfTheWallClockWentBack(t *testing.T) {
	disk := vfstest.New()
	now := noon
	opts := options(t, disk)
	opts.Now = func() time.Time { return now }
	var last causal.Timestamp
	for range 5 {
		r := mustOpen(t, opts)
		for range 20 {
			now = now.Add(300 * time.Millisecond)
			if d := r.mustWrite(t, put("k", "v")).Dot; d.Time <= last {
				t.Fatalf("issued %v after %v", d.Time, last)
			} else {
				last = d.Time
			}
		}
		now = now.Add(-time.Hour)
		disk = disk.Crash(vfstest.Nothing())
		opts.Storage.FS = disk
	}
}

func TestCleanRestartLeavesNoGapInTheClock(t *testing.T) {
	disk := vfstest.New()
	opts := options(t, disk)
	opts.Now = func() time.Time { return noon }
	r := mustOpen(t, opts)
	last := r.mustWrite(t, put("k", "v")).Dot.Time
	mustClose(t, r)
	if next := mustOpen(t, opts).mustWrite(t, put("k", "v")).Dot.Time; next != last+1 {
		t.Fatalf("issued %v after %v", next, last)
	}
}

func TestDirectoryOfAnotherNodeOrOtherSettingsIsRefusedWithWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"node": {
			func(o *Options) { o.Node = "n1" },
			[]string{"node is n0 in the data directory, n1 in the configuration"},
		},
		"replicas": {
			func(o *Options) { o.Table = table(t, 2, 16) },
			[]string{"replication factor is 3 in the data directory, 2 in the configuration"},
		},
		"partitions": {
			func(o *Options) { o.Table = table(t, 3, 32) },
			[]string{"partition count is 16 in the data directory, 32 in the configuration"},
		},
		"members": {
			func(o *Options) {
				o.Table = table(t, 3, 16, ring.Member{ID: "n0"}, ring.Member{ID: "n1", Zone: "z"}, ring.Member{ID: "n9"})
			},
			[]string{
				`zone of member n1 is "" in the data directory, "z" in the configuration`,
				"member n2 is in the data directory only", "member n9 is in the configuration only",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfstest.New()
			r := mustOpen(t, options(t, disk))
			r.mustWrite(t, put("k", "v"))
			mustClose(t, r)
			before := fingerprint(t, disk)
			opts := options(t, disk)
			c.change(&opts)
			_, err := Open(testDir, opts)
			var mismatch *MismatchError
			if !errors.As(err, &mismatch) || strings.Join(mismatch.Differences, "\n") != strings.Join(c.want, "\n") {
				t.Fatalf("got %v", err)
			}
			if after := fingerprint(t, disk); after != before {
				t.Fatalf("the directory was changed\nfrom %s\nto   %s", before, after)
			}
			if again := mustOpen(t, options(t, disk)); again.Actor() != r.Actor() {
				t.Fatal("the refusal cost the actor")
			}
		})
	}
}

func TestTableThatPlansOtherwiseIsRefused(t *testing.T) {
	a := clusterOf(options(t, nil))
	b := a
	b.fingerprint++
	if d := a.differences(b); len(d) != 1 || !strings.HasPrefix(d[0], "partition table is "+a.fingerprint.String()) {
		t.Fatalf("got %q", d)
	}
}

// fingerprint is all file names and contents below testDir, but for the lock's.
func fingerprint(t *testing.T, disk *vfstest.FS) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{testDir, testDir + "/engine"} {
		names, err := disk.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			path := dir + "/" + name
			if info, err := disk.Stat(path); err != nil || info.Dir || name == "lock" || name == "LOCK" {
				continue
			}
			data, err := vfs.ReadFile(disk, path, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(path + " " + string(data) + "\n")
		}
	}
	return b.String()
}

func TestSecondOpenOfADirectoryIsRefusedAndChangesNothing(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"memory": vfstest.New(), "os": vfs.OS{}} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			r := mustOpen(t, options(t, fs))
			r.mustWrite(t, put("k", "v"))
			if _, err := Open(testDir, options(t, fs)); !errors.Is(err, storage.ErrLocked) {
				t.Fatalf("got %v", err)
			}
			r.mustWrite(t, put("k", "w"))
			mustClose(t, r)
			if again := mustOpen(t, options(t, fs)); again.Incarnation() != 2 || again.Actor() != r.Actor() {
				t.Fatalf("incarnation %d, actor %v, was %v", again.Incarnation(), again.Actor(), r.Actor())
			}
		})
	}
}

func TestDirectoryThatLacksAPartIsRefused(t *testing.T) {
	for _, lost := range []string{"identity", "clock", "engine"} {
		disk := vfstest.New()
		r := mustOpen(t, options(t, disk))
		r.mustWrite(t, put("k", "v"))
		mustClose(t, r)
		if lost == "engine" {
			names, err := disk.List(testDir + "/engine")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if err := disk.Remove(testDir + "/engine/" + name); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := disk.Remove(testDir + "/" + lost); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(testDir, options(t, disk)); !errors.Is(err, ErrIncomplete) {
			t.Errorf("without %s: %v", lost, err)
		}
	}
}

// TestLogThatLostItsEndIsRefused loses what no file of the log tells of, with and without a clean shutdown after it.
func TestLogThatLostItsEndIsRefused(t *testing.T) {
	engine := testDir + "/engine"
	lastSegment := func(disk *vfstest.FS) string {
		names, err := disk.List(engine)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, "0000000002.") })
		if i < 0 {
			t.Fatalf("one segment only: %v", names)
		}
		return engine + "/" + names[i]
	}
	for name, lose := range map[string]func(disk *vfstest.FS) error{
		"last segment": func(disk *vfstest.FS) error { return disk.Remove(lastSegment(disk)) },
		"its content":  func(disk *vfstest.FS) error { return disk.SetContent(lastSegment(disk), nil) },
	} {
		for _, clean := range []bool{true, false} {
			disk := vfstest.New()
			opts := options(t, disk)
			opts.Storage.SegmentBytesMax = 4 << 10
			r := mustOpen(t, opts)
			for i := range 30 {
				r.mustWrite(t, put(fmt.Sprint("key ", i), strings.Repeat("v", 150)))
			}
			mustClose(t, r)
			actor := r.Actor()
			if !clean {
				mustOpen(t, opts)
			}
			whole := disk.Crash(vfstest.Everything())
			disk = disk.Crash(vfstest.Everything())
			if err := lose(disk); err != nil {
				t.Fatal(err)
			}
			opts.Storage.FS = disk
			for range 2 {
				var missing *storage.MissingError
				if _, err := Open(testDir, opts); !errors.Is(err, ErrIncomplete) || !errors.As(err, &missing) || missing.KnownSeq != 30 {
					t.Fatalf("%s, clean %v: got %v", name, clean, err)
				}
			}
			opts.Storage.FS = whole
			if again := mustOpen(t, opts); (again.Actor() == actor) != clean {
				t.Errorf("%s, clean %v: with all there the actor is %v, was %v", name, clean, again.Actor(), actor)
			}
		}
	}
}

// TestActorIsNotKeptWithALogOfAnotherRun has an identity with the mark of a clean shutdown beside a log that went on after it.
func TestActorIsNotKeptWithALogOfAnotherRun(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	r.mustWrite(t, put("k", "v"))
	mustClose(t, r)
	old, err := disk.Content(testDir + "/identity")
	if err != nil {
		t.Fatal(err)
	}
	r = mustOpen(t, options(t, disk))
	r.mustWrite(t, put("k", "w"))
	mustClose(t, r)
	if err := disk.SetContent(testDir+"/identity", old); err != nil {
		t.Fatal(err)
	}
	if again := mustOpen(t, options(t, disk)); again.Actor() == r.Actor() {
		t.Fatal("the actor was kept")
	}
}

func TestDamagedIdentityIsRefused(t *testing.T) {
	for _, name := range []string{"identity", "clock"} {
		disk := vfstest.New()
		mustClose(t, mustOpen(t, options(t, disk)))
		if err := disk.Damage(testDir+"/"+name, 9, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(testDir, options(t, disk)); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no table":       func(o *Options) { o.Table = nil },
		"not a member":   func(o *Options) { o.Node = "n7" },
		"siblings":       func(o *Options) { o.SiblingsMax = -1 },
		"huge values":    func(o *Options) { o.ValueBytesMax = 1 << 30 },
		"engine options": func(o *Options) { o.Storage.KeyBytesMax = -1 },
	} {
		opts := options(t, vfstest.New())
		change(&opts)
		if _, err := Open(testDir, opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReplicaServesUntilItIsClosed(t *testing.T) {
	r := newReplica(t)
	if err := r.Serving(); err != nil {
		t.Fatal(err)
	}
	off := errors.New("clock is off")
	r.SetServing(func() error { return off })
	if err := r.Serving(); !errors.Is(err, off) {
		t.Fatalf("got %v", err)
	}
	if _, handed, err := r.writeNow(put("k", "v")); !errors.Is(err, off) || handed {
		t.Fatalf("a write while it does not serve: %v, handed %v", err, handed)
	}
	// Nor is a dot issued to a write that was let in before.
	asked := 0
	r.SetServing(func() error {
		if asked++; asked > 1 {
			return off
		}
		return nil
	})
	if _, handed, err := r.writeNow(put("k", "v")); !errors.Is(err, off) || handed {
		t.Fatalf("a write that waited until it did not serve: %v, handed %v", err, handed)
	}
	r.mustStore(t, item("k", foreign(1, 1, "v")))
	r.SetServing(func() error { return nil })
	mustClose(t, r)
	mustClose(t, r)
	if err := r.Serving(); !errors.Is(err, ErrClosing) {
		t.Fatalf("got %v", err)
	}
	if _, handed, err := r.writeNow(put("k", "v")); !errors.Is(err, ErrClosing) || handed {
		t.Fatalf("write: %v, handed %v", err, handed)
	}
	if _, err := r.storeNow(item("k", foreign(1, 1, "v"))); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("store: %v", err)
	}
	if _, err := r.readKeys(coordinator.WantValues, "k"); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("read: %v", err)
	}
}

func TestCloseReturnsWhenItsContextIsDone(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	release, struck := make(chan struct{}), make(chan struct{}, 1)
	disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Block: release, Struck: struck})
	durable := make(chan error, 1)
	r.Write(time.Time{}, []coordinator.Decision{put("k", "v")}, func([]coordinator.Decided) {}, func(err error) { durable <- err })
	<-struck
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(release)
	mustClose(t, r)
	if err := <-durable; err != nil {
		t.Fatal(err)
	}
}

func TestNoDotIsIssuedOnceAWriteFailedAfterItWasHandedOut(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	r.mustWrite(t, put("k", "v"))
	broken := errors.New("sync failed")
	remove := disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: "engine", Err: broken})
	if _, handed, err := r.writeNow(put("k", "w")); !errors.Is(err, broken) || !handed {
		t.Fatalf("got %v, handed %v", err, handed)
	}
	remove()
	if err := r.Serving(); err == nil {
		t.Fatal("it goes on")
	}
	if _, handed, err := r.writeNow(put("k", "x")); err == nil || handed {
		t.Fatalf("got %v, handed %v", err, handed)
	}
	_ = r.Close(context.Background())
	again := mustOpen(t, options(t, disk.Crash(vfstest.Everything())))
	if again.Actor() == r.Actor() {
		t.Fatal("the actor was kept")
	}
}

// A disk rolled back must not be let in by its peers merely because it was started often enough.
func TestDisownedRunCountsForNothing(t *testing.T) {
	disk := vfstest.New()
	for _, runs := range []uint64{0, 3} {
		for range runs {
			mustClose(t, mustOpen(t, options(t, disk)))
		}
		last := causal.Actor(0)
		for range 3 {
			r := mustOpen(t, options(t, disk))
			if r.Incarnation() != runs+1 || r.Actor() == last {
				t.Fatalf("incarnation %d after %d runs, actor %v after %v", r.Incarnation(), runs, r.Actor(), last)
			}
			last = r.Actor()
			if err := r.Disown(); err != nil {
				t.Fatal(err)
			}
			if _, handed, err := r.writeNow(put("k", "v")); !errors.Is(err, ErrDisowned) || handed {
				t.Fatalf("write: %v, handed %v", err, handed)
			}
			disk = disk.Crash(vfstest.Nothing()) // it need not be closed for that
			_ = r.Close(context.Background())
			mustCloseDisowned(t, disk)
		}
	}
}

// mustCloseDisowned runs a replica on disk that is disowned and closed.
func mustCloseDisowned(t *testing.T, disk *vfstest.FS) {
	t.Helper()
	r := mustOpen(t, options(t, disk))
	if err := r.Disown(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, r)
	if err := r.Disown(); !errors.Is(err, ErrClosing) {
		t.Fatalf("disowned after it was closed: %v", err)
	}
}

func TestIdentityIsDurableBeforeTheFirstWriteOfARun(t *testing.T) {
	disk := vfstest.New()
	mustClose(t, mustOpen(t, options(t, disk)))
	disk.ResetEvents()
	r := mustOpen(t, options(t, disk))
	r.mustWrite(t, put("k", "v"))
	named, written := -1, -1
	for i, e := range disk.Events(vfstest.OpChange) {
		switch {
		case e.Op == vfstest.OpSyncDir && strings.HasSuffix(e.Path, testDir):
			named = i
		case e.Op == vfstest.OpWrite && strings.Contains(e.Path, "engine") && written < 0 && named >= 0:
			written = i
		}
	}
	crashed := disk.Crash(vfstest.Nothing())
	if named < 0 || written < named || mustOpen(t, options(t, crashed)).Actor() == r.Actor() {
		t.Fatalf("identity named at %d, first write at %d", named, written)
	}
}
