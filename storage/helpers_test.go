package storage

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dataDir is where tests keep their data in a file system in memory.
const dataDir = "/data"

// mustOpen opens an engine that is closed with the test, and merges nothing by itself.
func mustOpen(t testing.TB, fs *vfstest.FS, o Options) *Engine {
	t.Helper()
	o.MergeDisabled = true
	return mustOpenMerging(t, fs, o)
}

// mustOpenMerging is mustOpen with merges in the background.
func mustOpenMerging(t testing.TB, fs *vfstest.FS, o Options) *Engine {
	t.Helper()
	o.FS = fs
	e, err := Open(dataDir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func mustClose(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func mustPut(t testing.TB, e *Engine, key, value string) {
	t.Helper()
	if err := e.PutMeta([]byte(key), []byte("m:"+key), []byte(value)); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func mustDelete(t testing.TB, e *Engine, key string) {
	t.Helper()
	if err := e.Delete([]byte(key)); err != nil {
		t.Fatalf("delete %q: %v", key, err)
	}
}

// settleHintFiles waits until every sealed segment was looked at, so that the order of operations does not depend on the
// scheduler.
func settleHintFiles(e *Engine) {
	h := e.hintFiles
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.idle {
		h.changed.Wait()
	}
}

// got is what a read says of a key: its value, "-" where it is absent, "?" where it is unknown.
func got(t testing.TB, e *Engine, key string) string {
	t.Helper()
	value, err := e.Get([]byte(key), nil)
	switch {
	case errors.Is(err, ErrNotFound):
		return "-"
	case isCorrupt(err):
		return "?"
	case err != nil:
		t.Fatalf("get %q: %v", key, err)
	}
	return string(value)
}

func wantValue(t testing.TB, e *Engine, key, want string) {
	t.Helper()
	if value := got(t, e, key); value != want {
		t.Errorf("get %q: %.60q, want %.60q", key, value, want)
	}
}

// contents is all that a scan shows, "?" for what is unknown.
func contents(t testing.TB, e *Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	last := []byte(nil)
	for rec, err := range e.Scan(Range{}) {
		switch {
		case isCorrupt(err):
			all[string(rec.Key)] = "?"
		case err != nil:
			t.Fatalf("scan: %v", err)
		default:
			all[string(rec.Key)] = string(rec.Value)
		}
		if last != nil && bytes.Compare(last, rec.Key) >= 0 {
			t.Fatalf("scan: %q after %q", rec.Key, last)
		}
		last = append(last[:0], rec.Key...)
	}
	return all
}

func key(i int) string { return fmt.Sprintf("key-%04d", i) }

// holdMerges lets no merge begin until release is called.
func holdMerges(t testing.TB, e *Engine) (release func()) {
	t.Helper()
	release, err := e.merger.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// mergeDue carries out the merges that are due.
func mergeDue(e *Engine, settle bool) {
	for e.merger.stepSegments(settle) || e.merger.stepRuns() {
	}
}
