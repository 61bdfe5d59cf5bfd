package storage

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// wantSums checks what has to add up, whatever is stored.
func wantSums(t testing.TB, fs *vfstest.FS, e *Engine) Stats {
	t.Helper()
	s := e.Stats()
	var disk, data, runs int64
	for _, seg := range e.log.all() {
		data += seg.written.Load()
	}
	for name, content := range filesIn(t, fs, dataDir) {
		switch size := int64(len(content)); filepath.Ext(name) {
		case runSuffix:
			data, disk, runs = data+size, disk+size, runs+size
		case segmentSuffix, hintFileSuffix:
			disk += size
		}
	}
	if s.LiveBytes+s.DeadBytes != data || s.DiskBytes != disk || s.RunBytes != runs || s.Runs != len(e.index.runs()) {
		t.Errorf("stats %+v, want data %d, disk %d, runs %d", s, data, disk, runs)
	}
	return s
}

func TestStatsAddUpWithRuns(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 100)
	mustMerge(t, e)
	s := wantSums(t, fs, e)
	if s.Keys != 100 || s.DeadBytes > s.RunBytes/100 || s.Merge.Merges != 1 || s.Merge.BytesWritten == 0 || s.Merge.DebtBytes != 0 ||
		s.Merge.FullBytes != s.RunBytes || s.RunIndexBytes == 0 || s.Merge.Running {
		t.Errorf("after a merge: %+v", s)
	}
	fill(t, e, 0, 40)
	for i := range 10 {
		mustDelete(t, e, key(90+i))
	}
	// Half of the run is superseded; its records are all of one size.
	check := func(s Stats) {
		t.Helper()
		u := e.index.usage()
		if dead := u.deadRunBytes(); s.Keys != 90 || dead < s.RunBytes*45/100 || dead > s.RunBytes*55/100 || s.DeadBytes < dead {
			t.Errorf("%d keys, %d of %d bytes in the run are dead: %+v", s.Keys, dead, s.RunBytes, s)
		}
	}
	check(wantSums(t, fs, e))
	mustClose(t, e)
	e = mustOpen(t, fs, smallSegments)
	check(wantSums(t, fs, e))
	mustMerge(t, e)
	if s := wantSums(t, fs, e); s.Keys != 90 || s.DeadBytes > s.RunBytes/100 {
		t.Errorf("after another merge: %+v", s)
	}
}

func TestStatsCountKeysOfSeveralRunsOnce(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 200)
	mustMerge(t, e)
	fill(t, e, 150, 100)
	sealed, live, _ := e.sealedSegments()
	if err := e.mergeNow(plan{segments: sealed, bytes: live}, func(int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	s := wantSums(t, fs, e)
	if s.Runs != 2 || s.Keys < 248 || s.Keys > 250 || s.DeadBytes < s.RunBytes/10 {
		t.Errorf("stats: %+v", s)
	}
}

func TestMergeDebtIsWhatIsDue(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 20)
	if s := e.Stats(); s.Merge.DebtBytes != 0 {
		t.Errorf("before anything is due: %+v", s.Merge)
	}
	fill(t, e, 0, 200)
	due := e.Stats().Merge
	if due.DebtBytes < 20_000 || due.FullBytes < due.DebtBytes || due.LastError != "" {
		t.Errorf("due: %+v", due)
	}
	// A merge that fails leaves the debt, and says why.
	remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpCreate, Path: runSuffix, Err: syscall.EIO})
	mergeDue(e, false)
	remove()
	if s := e.Stats().Merge; !strings.Contains(s.LastError, syscall.EIO.Error()) || s.DebtBytes != due.DebtBytes || s.Merges != 0 {
		t.Errorf("after a failure: %+v", s)
	}
	mergeDue(e, false)
	if s := e.Stats().Merge; s.LastError != "" || s.DebtBytes != 0 || s.Merges != 1 {
		t.Errorf("after the merge: %+v", s)
	}
}

func TestStatsTellOfTheCacheAndTheDisk(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{ReserveBytes: 1 << 20})
	if s := e.Stats(); s.DiskFreeBytes != -1 || s.DiskFull {
		t.Errorf("a disk without bounds: %+v", s)
	}
	fill(t, e, 0, 50)
	mustMerge(t, e)
	for range 3 {
		wantValue(t, e, key(1), valueOf(1))
	}
	if c := e.Stats().Cache; c.Hits == 0 || c.Misses == 0 || c.Bytes == 0 || c.BytesMax != 32<<20 {
		t.Errorf("cache: %+v", c)
	}
	fs.SetCapacity(1 << 20)
	e.look()
	if s := e.Stats(); s.DiskFreeBytes <= 0 || s.DiskFreeBytes >= 1<<20 || !s.DiskFull {
		t.Errorf("a full disk: %+v", s)
	}
	if err := e.Put([]byte("k"), nil); !errors.Is(err, ErrDiskFull) {
		t.Errorf("put on a full disk: %v", err)
	}
	fs.SetCapacity(math.MaxInt64)
	mustClose(t, e)
	if s := e.Stats(); s.LastSeq != 50 || s.Runs != 1 {
		t.Errorf("stats after close: %+v", s)
	}
}
