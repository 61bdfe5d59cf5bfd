package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestScanMatchesASortedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := Open(dataDir, Options{FS: vfstest.New(), Sync: SyncNever, SegmentBytesMax: segmentBytesLeast})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		keyGen := rapid.StringMatching(`[ab\x00\xff]{0,4}`)
		model := map[string]string{}
		for i, k := range rapid.SliceOfN(keyGen, 0, 60).Draw(t, "keys") {
			if i%5 == 4 {
				delete(model, k)
				if err := e.Delete([]byte(k)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			model[k] = fmt.Sprint(i)
			if err := e.PutMeta([]byte(k), []byte("m"+model[k]), []byte(model[k])); err != nil {
				t.Fatal(err)
			}
		}
		r := Range{Reverse: rapid.Bool().Draw(t, "reverse"), KeysOnly: rapid.Bool().Draw(t, "keys only")}
		if rapid.Bool().Draw(t, "start?") {
			r.Start = []byte(keyGen.Draw(t, "start"))
		}
		if rapid.Bool().Draw(t, "end?") {
			r.End = []byte(keyGen.Draw(t, "end"))
		}
		if rapid.Bool().Draw(t, "select?") {
			r.Select = func(key, meta []byte) bool { return len(key)%2 == 0 && meta[0] == 'm' }
		}
		var want []string
		for _, k := range slices.Sorted(maps.Keys(model)) {
			in := k >= string(r.Start) && (r.End == nil || k < string(r.End))
			if in && (r.Select == nil || len(k)%2 == 0) {
				line := k + "=" + "m" + model[k]
				if !r.KeysOnly {
					line += model[k]
				}
				want = append(want, line)
			}
		}
		if r.Reverse {
			slices.Reverse(want)
		}
		var have []string
		for rec, err := range e.Scan(r) {
			if err != nil {
				t.Fatal(err)
			}
			have = append(have, string(rec.Key)+"="+string(rec.Meta)+string(rec.Value))
		}
		if !slices.Equal(have, want) {
			t.Fatalf("range %+v: %q, want %q", r, have, want)
		}
	})
}

func TestScanShowsOneMomentAndDoesNotBlockWriters(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{SegmentBytesMax: segmentBytesLeast})
	fill(t, e, 0, 100)
	n := 0
	for rec, err := range e.Scan(Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := valueOf(n); string(rec.Key) != key(n) || string(rec.Value) != want || rec.Seq != uint64(n+1) {
			t.Fatalf("step %d: %q=%.20q", n, rec.Key, rec.Value)
		}
		// Everything changes behind, under and ahead of it.
		mustDelete(t, e, key(n))
		mustPut(t, e, key((n+1)%100), "new")
		mustPut(t, e, key(n)+"x", "new")
		n++
	}
	if n != 100 {
		t.Errorf("%d records", n)
	}
}

// writeBatches has writers put batches of the same keys until they are stopped, each with a value of its own.
func writeBatches(t *testing.T, e *Engine, writers int) (stop func()) {
	var running sync.WaitGroup
	stopped := make(chan struct{})
	for w := range writers {
		running.Go(func() {
			var b Batch
			for i := w; ; i += writers {
				select {
				case <-stopped:
					return
				default:
				}
				b.Reset()
				for k := range batchKeys {
					b.Put([]byte(key(k)), fmt.Append(nil, i))
				}
				if err := e.Apply(&b); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(stopped)
		running.Wait()
	}
}

// eachNumberOfWriters runs a test beside batches of one writer, and of several, from before the first batch on.
func eachNumberOfWriters(t *testing.T, fn func(t *testing.T, e *Engine)) {
	for _, writers := range []int{1, 4} {
		t.Run(fmt.Sprintf("writers=%d", writers), func(t *testing.T) {
			e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever})
			defer writeBatches(t, e, writers)()
			fn(t, e)
		})
	}
}

func TestScanNeverShowsHalfABatch(t *testing.T) {
	eachNumberOfWriters(t, func(t *testing.T, e *Engine) {
		for shown := 0; shown < 200; {
			n := 0
			var first []byte
			for rec, err := range e.Scan(Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n == 1 {
					first = bytes.Clone(rec.Value)
				} else if !bytes.Equal(first, rec.Value) {
					t.Fatalf("%q beside %q", first, rec.Value)
				}
			}
			if n != 0 && n != batchKeys {
				t.Fatalf("%d keys", n)
			}
			shown += n / batchKeys
		}
	})
}

// TestReadsNeverGoBackBehindABatch reads one key after another: who has seen a batch at one key sees it, or a later one, at all.
func TestReadsNeverGoBackBehindABatch(t *testing.T) {
	eachNumberOfWriters(t, func(t *testing.T, e *Engine) {
		newest := int64(-1)
		for k := 0; k < 20_000; {
			rec, err := e.Read([]byte(key(k*7%batchKeys)), nil)
			if errors.Is(err, ErrNotFound) && newest < 0 {
				continue
			}
			// Nothing else is written, so the number of a record says the number of its batch in the log.
			batch := int64(rec.Seq-1) / batchKeys
			if err != nil || batch < newest {
				t.Fatalf("after batch %d: %d, %v", newest, batch, err)
			}
			newest = batch
			k++
		}
	})
}

func TestScanEndsWhenTheEngineCloses(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	fill(t, e, 0, 5)
	n := 0
	for _, err := range e.Scan(Range{}) {
		if n++; n == 2 {
			mustClose(t, e)
		}
		if (n == 3) != (err != nil) {
			t.Errorf("step %d: %v", n, err)
		}
	}
	if n != 3 {
		t.Errorf("%d steps", n)
	}
}

func TestReadsNeverWaitForASync(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "old")
	blocked, release := blockedSyncs(fs)
	defer release()
	m := newScripted(put("k", "new"))
	if err := e.Submit(m); err != nil {
		t.Fatal(err)
	}
	<-blocked
	wantValue(t, e, "k", "old")
	if rec, err := e.Read([]byte("k"), nil); err != nil || string(rec.Value) != "old" || string(rec.Meta) != "m:k" || rec.Seq != 1 {
		t.Errorf("read: %+v %v", rec, err)
	}
	if meta, err := e.Meta([]byte("k"), nil); err != nil || string(meta) != "m:k" {
		t.Errorf("meta: %q %v", meta, err)
	}
	if have := contents(t, e); have["k"] != "old" {
		t.Errorf("scan: %v", have)
	}
	release()
	if err := <-m.done; err != nil {
		t.Fatal(err)
	}
	wantValue(t, e, "k", "new")
}

func TestGetAppendsToDst(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	mustPut(t, e, "k", "value")
	for _, room := range []int{0, 3, 100} {
		dst := append(make([]byte, 0, 2+room), "ab"...)
		if out, err := e.Get([]byte("k"), dst); err != nil || string(out) != "abvalue" {
			t.Errorf("room for %d: %q %v", room, out, err)
		}
		if rec, err := e.Read([]byte("k"), dst); err != nil || string(dst) != "ab" || string(rec.Value) != "value" {
			t.Errorf("room for %d: %+v %v", room, rec, err)
		}
	}
	dst := make([]byte, 0, 256)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := e.Get([]byte("k"), dst); err != nil {
			t.Error(err)
		}
	})
	// The file system in memory allocates nothing for a read either, but for its record of events.
	if allocs > 1 {
		t.Errorf("%v allocations per get", allocs)
	}
}

func TestLongStartIsCompared(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{KeyBytesMax: keyBytesLimit})
	long := strings.Repeat("k", keyBytesLimit)
	for _, k := range []string{long, "z"} {
		if err := e.Put([]byte(k), nil); err != nil {
			t.Fatalf("%.100v", err)
		}
	}
	n := 0
	for rec := range e.Scan(Range{Start: []byte(long + "k")}) {
		if n++; string(rec.Key) != "z" {
			t.Errorf("scan from behind shows %d bytes of key", len(rec.Key))
		}
	}
	if n != 1 {
		t.Errorf("%d keys", n)
	}
	if _, err := e.Get([]byte(long+"k"), nil); err != ErrNotFound {
		t.Errorf("get of a key that is too long: %v", err)
	}
}
