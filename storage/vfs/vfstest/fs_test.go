package vfstest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
)

func TestMemoryPassesTheSuite(t *testing.T) {
	fs := New()
	must(t, fs.MkdirAll("/root"))
	TestFS(t, fs, "/root")
}

func TestSystemPassesTheSuite(t *testing.T) { TestFS(t, vfs.OS{}, t.TempDir()) }

func TestCrashForgetsWhatWasNotSynced(t *testing.T) {
	fs := New()
	must(t, fs.MkdirAll("/d"))
	f := create(t, fs, "/d/synced", "durable")
	must(t, f.Sync())
	create(t, fs, "/d/unsynced", "gone")
	must(t, fs.SyncDir("/d"))
	create(t, fs, "/d/unnamed", "gone")
	_, err := f.WriteAt([]byte("!!"), 0)
	must(t, err)
	must(t, fs.Rename("/d/unsynced", "/d/renamed"))

	after := fs.Crash(Nothing())
	wantContent(t, after, "/d/synced", "durable")
	wantContent(t, after, "/d/unsynced", "")
	for _, name := range []string{"/d/unnamed", "/d/renamed"} {
		if _, err := after.Stat(name); err == nil {
			t.Errorf("%s survived without a sync of its directory", name)
		}
	}
	after = fs.Crash(Everything())
	wantContent(t, after, "/d/synced", "!!rable")
	wantContent(t, after, "/d/renamed", "gone")
	wantContent(t, fs, "/d/synced", "!!rable") // the original goes on
}

func TestRestartKeepsWhatIsNotSyncedInDoubt(t *testing.T) {
	fs := New()
	f := create(t, fs, "/f", "old")
	must(t, f.Sync())
	must(t, fs.SyncDir("/"))
	_, err := f.WriteAt([]byte("new"), 0)
	must(t, err)
	create(t, fs, "/g", "x")
	after := fs.Restart()
	wantContent(t, after, "/f", "new")
	wantContent(t, after, "/g", "x")
	wantContent(t, after.Crash(Nothing()), "/f", "old")
	if _, err := after.Crash(Nothing()).Stat("/g"); err == nil {
		t.Error("/g became durable by a restart")
	}
	must(t, f.Sync()) // the process that was killed has no hold on the new one
	wantContent(t, after.Crash(Nothing()), "/f", "old")
}

// TestRandomCrashReachesEveryOutcome counts the outcomes of one crash with two unsynced writes of two sectors each.
func TestRandomCrashReachesEveryOutcome(t *testing.T) {
	fs := New()
	f := create(t, fs, "/f", string(make([]byte, 4*sectorBytes)))
	must(t, f.Sync())
	must(t, fs.SyncDir("/"))
	for i, c := range []string{"a", "b"} {
		data := make([]byte, 2*sectorBytes)
		for j := range data {
			data[j] = c[0]
		}
		_, err := f.WriteAt(data, int64(i*2*sectorBytes))
		must(t, err)
	}
	outcomes := map[string]int{}
	for seed := range uint64(500) {
		data, err := fs.Crash(Random(seed)).Content("/f")
		must(t, err)
		kept := ""
		for i := range 4 {
			kept += string(data[i*sectorBytes:][:1])
		}
		outcomes[kept]++
		if again, _ := fs.Crash(Random(seed)).Content("/f"); string(again) != string(data) {
			t.Fatalf("seed %d has two outcomes", seed)
		}
	}
	if len(outcomes) != 16 {
		t.Errorf("%d outcomes of 16: %v", len(outcomes), outcomes)
	}
}

func TestCrashAfterStopsEverything(t *testing.T) {
	for n := range 4 {
		fs := New()
		fs.CrashAfter(n)
		err := vfs.WriteFileAtomic(fs, "/f", []byte("x")) // create, write, sync, rename, sync of the directory
		if !errors.Is(err, ErrCrashed) || !fs.Crashed() || fs.Changes() != n {
			t.Errorf("after %d changes: %v, %d changes", n, err, fs.Changes())
		}
		if _, err := fs.List("/"); !errors.Is(err, ErrCrashed) {
			t.Errorf("a dead file system answers: %v", err)
		}
		if _, err := fs.Crash(Random(1)).List("/"); err != nil {
			t.Errorf("it does not come back: %v", err)
		}
	}
}

func TestWriteAtTheCrashMayBeKept(t *testing.T) {
	fs := New()
	f := create(t, fs, "/f", "")
	must(t, fs.SyncDir("/"))
	fs.CrashAfter(0)
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, ErrCrashed) {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for seed := range uint64(50) {
		data, err := fs.Crash(Random(seed)).Content("/f")
		must(t, err)
		kept[string(data)] = true
	}
	if len(kept) != 2 {
		t.Errorf("outcomes: %v", kept)
	}
}

func TestFaultsStrikeTheOperationsNamed(t *testing.T) {
	fs := New()
	struck := make(chan struct{}, 9)
	remove := fs.Inject(Fault{Ops: OpWrite | OpSync, Path: "log", Skip: 1, Times: 2, Err: syscall.EIO, Struck: struck})
	other, log := create(t, fs, "/other", "x"), create(t, fs, "/log", "x")
	must(t, other.Sync())
	if err := log.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("second operation: %v", err)
	}
	if _, err := log.WriteAt([]byte("y"), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("third operation: %v", err)
	}
	must(t, log.Sync())
	wantContent(t, fs, "/log", "x")
	remove()
	fs.Inject(Fault{Ops: OpWrite, Err: syscall.ENOSPC, Short: true})
	if n, err := log.WriteAt([]byte("1234"), 0); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short write: %d %v", n, err)
	}
	wantContent(t, fs, "/log", "12")
	if len(struck) != 2 {
		t.Errorf("%d operations struck", len(struck))
	}
}

func TestFaultHoldsAnOperationBack(t *testing.T) {
	fs := New()
	f := create(t, fs, "/f", "x")
	gate, struck := make(chan struct{}), make(chan struct{}, 1)
	fs.Inject(Fault{Ops: OpSync, Block: gate, Struck: struck})
	done := make(chan error)
	go func() { done <- f.Sync() }()
	<-struck
	select {
	case <-done:
		t.Error("not held back")
	default:
	}
	wantContent(t, fs, "/f", "x") // others go on
	close(gate)
	must(t, <-done)
}

func TestFaultsStrikeByChanceAndTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := New()
		f := create(t, fs, "/f", "x")
		asked := 0
		fs.Inject(Fault{Ops: OpSync, Chance: func() bool { asked++; return asked%2 == 0 }, Err: syscall.EIO})
		fs.Inject(Fault{Ops: OpSync, Delay: time.Second})
		for i, want := range []struct {
			err  error
			took time.Duration
		}{{nil, time.Second}, {syscall.EIO, 0}, {nil, time.Second}} {
			began := time.Now()
			if err := f.Sync(); !errors.Is(err, want.err) || time.Since(began) != want.took {
				t.Errorf("sync %d: %v after %v", i, err, time.Since(began))
			}
		}
		must(t, f.Close())
	})
}

func TestEventsListWhatWasDone(t *testing.T) {
	fs := New()
	must(t, vfs.WriteFileAtomic(fs, "f", []byte("x")))
	want := "[create /f.tmp write /f.tmp sync /f.tmp rename /f.tmp /f syncdir /]"
	if have := fmt.Sprint(fs.Events(OpChange)); have != want {
		t.Errorf("events %s, want %s", have, want)
	}
	fs.ResetEvents()
	if have := fs.Events(^Op(0)); len(have) != 0 {
		t.Errorf("events after a reset: %v", have)
	}
}

func TestDamageFlipsBits(t *testing.T) {
	fs := New()
	must(t, fs.SetContent("/f", []byte{1, 2, 3}))
	must(t, fs.Damage("/f", 1, 1))
	wantContent(t, fs.Crash(Nothing()), "/f", "\x01\xfd\x03")
	if err := fs.Damage("/f", 2, 2); err == nil {
		t.Error("damage beyond the end")
	}
}

func TestLinksCrashWithTheirDirectories(t *testing.T) {
	fs := New()
	must(t, fs.MkdirAll("/a"))
	must(t, fs.MkdirAll("/b"))
	f := create(t, fs, "/a/f", "old")
	must(t, f.Sync())
	must(t, fs.SyncDir("/a"))
	must(t, fs.Link("/a/f", "/b/g"))
	if _, err := fs.Crash(Nothing()).Stat("/b/g"); err == nil {
		t.Error("a link survived without a sync of its directory")
	}
	must(t, fs.SyncDir("/b"))
	must(t, fs.Remove("/a/f"))
	must(t, fs.SyncDir("/a"))
	_, err := f.WriteAt([]byte("new"), 0)
	must(t, err)
	after := fs.Crash(Nothing())
	wantContent(t, after, "/b/g", "old")
	if _, err := after.Stat("/a/f"); err == nil {
		t.Error("a removed name came back")
	}
	must(t, fs.Link("/b/g", "/a/h"))
	for seed := range uint64(20) { // whatever is kept, the two names are one file
		for _, after := range []*FS{fs.Crash(Random(seed)), fs.Restart().Crash(Random(seed))} {
			if _, err := after.Stat("/a/h"); err != nil {
				continue
			}
			must(t, create(t, after, "/a/h", "both").Close())
			wantContent(t, after, "/b/g", "both")
		}
	}
	if have := fmt.Sprint(fs.Events(OpLink)); have != "[link /a/f /b/g link /b/g /a/h]" {
		t.Errorf("events %s", have)
	}
}

func TestLinkAndFreeFailAsTold(t *testing.T) {
	fs := New()
	create(t, fs, "/f", "x")
	remove := fs.Inject(Fault{Ops: OpLink | OpFree, Err: syscall.EIO})
	if err := fs.Link("/f", "/g"); !errors.Is(err, syscall.EIO) {
		t.Errorf("link: %v", err)
	}
	if _, err := fs.Free("/"); !errors.Is(err, syscall.EIO) {
		t.Errorf("free: %v", err)
	}
	remove()
	if names, err := fs.List("/"); err != nil || len(names) != 1 {
		t.Errorf("a link that failed: %q %v", names, err)
	}
	changes := fs.Changes()
	_, err := fs.Free("/")
	must(t, err)
	must(t, fs.Link("/f", "/g"))
	if n := fs.Changes() - changes; n != 1 {
		t.Errorf("a link and a look at the free bytes are %d changes", n)
	}
}

func TestCapacityBoundsTheBytesOfAllFiles(t *testing.T) {
	fs := New()
	f, g := create(t, fs, "/f", "12345"), create(t, fs, "/g", "1")
	free := func(want int64) {
		t.Helper()
		if have, err := fs.Free("/"); err != nil || have != want {
			t.Errorf("%d bytes free, %v; want %d", have, err, want)
		}
	}
	full := func(err error) {
		t.Helper()
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("on a full disk: %v", err)
		}
	}
	free(math.MaxInt64)
	fs.SetCapacity(8)
	free(2)
	n, err := g.WriteAt([]byte("abcd"), 0)
	if full(err); n != 0 {
		t.Errorf("a write that failed wrote %d bytes", n)
	}
	full(g.Truncate(4))
	wantContent(t, fs, "/g", "1")
	_, err = g.WriteAt([]byte("abc"), 0)
	must(t, err)
	free(0)
	_, err = f.WriteAt([]byte("54321"), 0) // in place
	must(t, err)
	must(t, create(t, fs, "/empty", "").Close())
	must(t, fs.Link("/f", "/f2")) // one file still
	free(0)
	must(t, fs.Remove("/f"))
	must(t, fs.Remove("/f2"))
	free(0) // it is open
	must(t, f.Close())
	free(5)
	full(createError(fs.Restart(), "/h", "123456"))
	must(t, createError(fs.Crash(Everything()), "/h", "12345"))
	fs.SetCapacity(1)
	free(0)
	full(createError(fs, "/h", ""))
	_, err = g.WriteAt([]byte("z"), 1)
	must(t, err)
	must(t, g.Truncate(1))
	free(0)
	fs.SetCapacity(0)
	free(math.MaxInt64)
}

func createError(fs *FS, path, content string) error {
	f, err := fs.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(content), 0)
	return errors.Join(err, f.Close())
}

func TestTornWritesDoNotPassTheCapacity(t *testing.T) {
	fs := New()
	f := create(t, fs, "/f", "1")
	fs.SetCapacity(2)
	fs.Inject(Fault{Ops: OpWrite, Times: 1, Err: syscall.EIO, Short: true})
	if _, err := f.WriteAt([]byte("abcdef"), 0); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	wantContent(t, fs, "/f", "1")
	fs.CrashAfter(0)
	if _, err := f.WriteAt([]byte("abcdef"), 0); !errors.Is(err, ErrCrashed) {
		t.Error(err)
	}
	wantContent(t, fs.Crash(Everything()), "/f", "1")
}

func TestMemoryHasNoWayAroundFaultsOfReadAt(t *testing.T) {
	f := create(t, New(), "/f", "x")
	if n, coming := f.ReadAtCached(make([]byte, 1), 0); n > 0 || coming {
		t.Error("read from a cache")
	}
	if _, err := f.Map(0, 1, false); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("mapped: %v", err)
	}
}

func TestAMappingIsTheFilesMemory(t *testing.T) {
	fs := New()
	fs.AllowMappings()
	testMap(t, fs, "/mapped")
}

// TestACrashKeepsAnySectorsOfAMapping writes to three sectors of a mapping.
func TestACrashKeepsAnySectorsOfAMapping(t *testing.T) {
	zeros := strings.Repeat("\x00", 4*sectorBytes)
	fs := New()
	fs.AllowMappings()
	f := create(t, fs, "/f", zeros)
	must(t, f.Sync())
	must(t, fs.SyncDir("/"))
	m, err := f.Map(0, int64(len(zeros)), true)
	must(t, err)
	for _, at := range []int{0, 1, 3} {
		m.Bytes[at*sectorBytes] = 'x'
	}
	has := func(keep Keep) (kept string) {
		data, err := fs.Crash(keep).Content("/f")
		must(t, err)
		for at := range 4 {
			kept += string(data[at*sectorBytes])
		}
		return strings.ReplaceAll(kept, "\x00", "-")
	}
	if kept := has(Nothing()); kept != "----" {
		t.Errorf("kept %s of nothing", kept)
	}
	if kept := has(Everything()); kept != "xx-x" {
		t.Errorf("kept %s of everything", kept)
	}
	seen := map[string]bool{}
	for seed := range uint64(300) {
		seen[has(Random(seed))] = true
	}
	for _, want := range []string{"----", "x---", "-x--", "---x", "xx--", "x--x", "-x-x", "xx-x"} {
		if !seen[want] {
			t.Errorf("%s was never kept", want)
		}
	}
	must(t, f.Sync())
	m.Bytes[2*sectorBytes] = 'x'
	if kept := has(Nothing()); kept != "xx-x" {
		t.Errorf("kept %s of what was synced", kept)
	}
	fs.CrashAfter(0)
	if err := f.Sync(); !errors.Is(err, ErrCrashed) {
		t.Fatal(err)
	}
	m.Bytes[sectorBytes] = 'y' // the power is gone
	if kept := has(Everything()); kept != "xxxx" {
		t.Errorf("kept %s of what was written before the crash", kept)
	}
}
