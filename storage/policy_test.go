package storage

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// syncsOf counts the syncs of segments so far.
func syncsOf(fs *vfstest.FS) (n int) {
	for _, e := range fs.Events(vfstest.OpSync) {
		if strings.HasSuffix(e.Path, segmentSuffix) {
			n++
		}
	}
	return n
}

func TestIntervalPolicySyncsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{Sync: SyncInterval, SyncInterval: time.Second})
		mustPut(t, e, "k", "1")
		fs.ResetEvents()
		mustPut(t, e, "k", "2")
		if n := syncsOf(fs); n != 0 {
			t.Errorf("%d syncs before the interval", n)
		}
		time.Sleep(1500 * time.Millisecond) // of synctest's time
		synctest.Wait()
		if n := syncsOf(fs); n != 1 {
			t.Errorf("%d syncs after the interval", n)
		}
		after := mustOpen(t, fs.Crash(vfstest.Nothing()), Options{})
		wantValue(t, after, "k", "2")
		mustClose(t, after)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := syncsOf(fs); n != 1 {
			t.Errorf("%d syncs with nothing new", n)
		}
		mustClose(t, e)
	})
}

func TestIntervalSyncThatFailsTurnsReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{Sync: SyncInterval, SyncInterval: time.Second})
		mustPut(t, e, "k", "1")
		boom := errors.New("boom")
		fs.Inject(vfstest.Fault{Ops: vfstest.OpSync, Times: 1, Err: boom})
		mustPut(t, e, "k", "2")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := e.Put([]byte("k"), nil); !errors.Is(err, ErrReadOnly) || !errors.Is(err, boom) {
			t.Errorf("put: %v", err)
		}
		wantValue(t, e, "k", "2")
		if err := e.Close(); !errors.Is(err, boom) {
			t.Errorf("close: %v", err)
		}
	})
}

func TestNeverPolicySyncsOnlyAtRollAndClose(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{Sync: SyncNever, SegmentBytesMax: segmentBytesLeast})
	mustPut(t, e, "a", "1")
	n := syncsOf(fs)
	mustPut(t, e, "b", "2")
	if syncsOf(fs) != n {
		t.Error("a write was synced")
	}
	mustPut(t, e, "c", strings.Repeat("x", segmentBytesLeast))
	mustPut(t, e, "d", "4")
	settleHintFiles(e)
	after := mustOpen(t, fs.Crash(vfstest.Nothing()), Options{})
	wantValue(t, after, "b", "2")
	wantValue(t, after, "d", "-")
	mustClose(t, e)
	after = mustOpen(t, fs.Crash(vfstest.Nothing()), Options{})
	wantValue(t, after, "d", "4")
}

// TestWhatIsServedAfterARestartIsDurable kills the process, not the system: what was never synced is there, is
// served, and must not go away again when the power fails later.
func TestWhatIsServedAfterARestartIsDurable(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{Sync: SyncNever})
	mustPut(t, e, "k", "v")
	killed := fs.Restart()
	e = mustOpen(t, killed, Options{Sync: SyncNever})
	wantValue(t, e, "k", "v")
	e = mustOpen(t, killed.Crash(vfstest.Nothing()), Options{})
	wantValue(t, e, "k", "v")
}

// TestWritersShareSyncs holds one sync back until all other writers have queued: they must go into one group.
func TestWritersShareSyncs(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "v")
	before := e.Stats()
	blocked, release := blockedSyncs(fs)
	defer release()
	const writers = 50
	var decided, done sync.WaitGroup
	decided.Add(writers)
	for i := range writers {
		m := newScripted(put(key(i), "v"))
		m.decided = decided.Done
		if err := e.Submit(m); err != nil {
			t.Fatal(err)
		}
		done.Go(func() {
			if err := <-m.done; err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			<-blocked
		}
	}
	decided.Wait() // while the first is still being synced
	release()
	done.Wait()
	s := e.Stats()
	if groups, syncs := s.Groups-before.Groups, s.Syncs-before.Syncs; groups != 2 || syncs != 2 {
		t.Errorf("%d writers took %d groups and %d syncs", writers, groups, syncs)
	}
	// The second group was encoded before the first was durable, and yet says so: its damage is no torn tail.
	path, en := placeOf(t, e, key(0))
	mustDamage(t, fs, path, int64(en.Offset)+20, 1)
	after := mustOpen(t, fs.Crash(vfstest.Nothing()), Options{})
	if d := after.Recovery().Damage; len(d) != 1 {
		t.Errorf("damage: %v", d)
	}
}

func TestHintFileThatCannotBeWrittenIsNoFailure(t *testing.T) {
	fs := vfstest.New()
	remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpChange, Path: hintFileSuffix, Err: errors.New("boom")})
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 60)
	mustClose(t, e)
	for _, rebuilt := range []int{0, 2} {
		e = mustOpen(t, fs, smallSegments)
		if r := e.Recovery(); r.HintFilesRebuilt != rebuilt || len(r.Damage) != 0 {
			t.Errorf("recovery: %+v", r)
		}
		wantValue(t, e, key(7), valueOf(7))
		mustClose(t, e)
		remove()
	}
	e = mustOpen(t, fs, smallSegments)
	if r := e.Recovery(); r.HintFilesUsed != 2 || r.HintFilesRebuilt != 0 {
		t.Errorf("recovery: %+v", r)
	}
}

func TestStatsAddUp(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 60)
	fill(t, e, 0, 30)
	mustDelete(t, e, key(59))
	check := func(s Stats) {
		t.Helper()
		var live int64
		for i := range 59 {
			_, en := placeOf(t, e, key(i))
			live += int64(en.Length)
		}
		var disk, data int64
		for _, seg := range e.log.all() {
			data += seg.written.Load()
			content, err := fs.Content(seg.path)
			if err != nil {
				t.Fatal(err)
			}
			disk += int64(len(content))
			if content, err := fs.Content(seg.hintFilePath()); err == nil {
				disk += int64(len(content))
			}
		}
		if s.Keys != 59 || s.LiveBytes != live || s.DeadBytes != data-live || s.DiskBytes != disk || s.Segments != len(e.log.all()) {
			t.Errorf("stats %+v, want live %d, data %d, disk %d", s, live, data, disk)
		}
	}
	s := e.Stats()
	check(s)
	if s.Records != 91 || s.Groups == 0 || s.Groups > 91 || s.Syncs < s.Groups || s.BytesWritten < s.LiveBytes+s.DeadBytes || s.QueueLen != 0 {
		t.Errorf("stats: %+v", s)
	}
	mustClose(t, e)
	e = mustOpen(t, fs, smallSegments)
	check(e.Stats())
}
