package storage

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// bucketsBy are options with n buckets.
func bucketsBy(n uint32, o Options) Options {
	o.Bucket = func(key []byte) uint32 { return uint32(run.Hash(key)>>20) % n }
	o.BucketScheme = uint64(n)
	return o
}

// inBuckets is what ScanBuckets shows, "?" for what is unknown, and wantInBuckets what it should.
func inBuckets(t testing.TB, e *Engine, buckets []uint32, keysOnly bool) map[string]string {
	t.Helper()
	shown := map[string]string{}
	last := []byte(nil)
	for rec, err := range e.ScanBuckets(buckets, keysOnly) {
		line := string(rec.Meta) + "=" + string(rec.Value)
		if isCorrupt(err) {
			line = "?"
		} else if err != nil {
			t.Fatal(err)
		}
		if last != nil && bytes.Compare(last, rec.Key) >= 0 {
			t.Errorf("%q after %q", rec.Key, last)
		}
		last = append(last[:0], rec.Key...)
		shown[string(rec.Key)] = line
	}
	return shown
}

func wantInBuckets(t testing.TB, e *Engine, buckets []uint32, keysOnly bool) map[string]string {
	t.Helper()
	want := map[string]string{}
	for rec, err := range e.Scan(Range{KeysOnly: keysOnly}) {
		line := string(rec.Meta) + "=" + string(rec.Value)
		if isCorrupt(err) {
			line = "?"
		} else if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(buckets, e.opts.Bucket(rec.Key)) {
			want[string(rec.Key)] = line
		}
	}
	return want
}

func checkBuckets(t testing.TB, e *Engine, buckets []uint32) {
	t.Helper()
	for _, keysOnly := range []bool{false, true} {
		if have, want := inBuckets(t, e, buckets, keysOnly), wantInBuckets(t, e, buckets, keysOnly); !maps.Equal(have, want) {
			t.Errorf("buckets %d, keys only %v:\n%s\nwant\n%s", buckets, keysOnly, show(have), show(want))
		}
	}
}

// TestScanBucketsShowsWhatScanDoes has writes, deletes, merges of all kinds, and runs of other schemes and of none.
func TestScanBucketsShowsWhatScanDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfstest.New()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		open := func() *Engine {
			o := Options{Sync: SyncNever, SegmentBytesMax: segmentBytesLeast, BlockBytes: 128, MapBytesMax: int64(rng.IntN(2)) - 1}
			if n := rng.IntN(4); n > 0 {
				o = bucketsBy([]uint32{7, 300, 300}[n-1], o)
			}
			o.Filter = func(_, meta []byte) bool { return len(meta) == 7 }
			return mustOpen(t, fs, o)
		}
		e := open()
		for range rapid.IntRange(1, 8).Draw(rt, "rounds") {
			for range rng.IntN(400) {
				if k := key(rng.IntN(600)); rng.IntN(4) == 0 {
					mustDelete(t, e, k)
				} else if err := e.PutMeta([]byte(k), make([]byte, rng.IntN(9)), fmt.Append(nil, rng.Int())); err != nil {
					rt.Fatal(err)
				}
			}
			switch rng.IntN(5) {
			case 0:
				mustMerge(t, e)
			case 1, 2:
				mergeDue(e, true)
			case 3:
				mustClose(t, e)
				e = open()
			}
			if e.opts.Bucket != nil {
				for _, n := range []int{1, 3, 100} {
					asked := make([]uint32, n)
					for i := range asked {
						asked[i] = e.opts.Bucket([]byte(key(rng.IntN(600))))
					}
					checkBuckets(t, e, asked)
				}
			}
		}
		mustClose(t, e)
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// TestScanBucketsLooksAtLittle counts the calls of Options.Bucket: one for each record that is looked at.
func TestScanBucketsLooksAtLittle(t *testing.T) {
	var looks atomic.Int64
	o := bucketsBy(1<<12, Options{Sync: SyncNever})
	of := o.Bucket
	o.Bucket = func(key []byte) uint32 { looks.Add(1); return of(key) }
	e := mustOpen(t, vfstest.New(), o)
	n := 40_000
	for i := range n {
		mustPut(t, e, fmt.Sprintf("%08d", i), "a value")
	}
	mustMerge(t, e)
	asked := []uint32{5, 77, 4000}
	want := len(wantInBuckets(t, e, asked, true))
	looks.Store(0)
	if have := len(inBuckets(t, e, asked, true)); have != want || want == 0 {
		t.Errorf("%d records, want %d", have, want)
	}
	if most := int64(want * 200); looks.Load() > most {
		t.Errorf("%d records of %d were looked at for %d", looks.Load(), n, want)
	}
}

func TestBucketsHaveToBeSetUp(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	for _, err := range e.ScanBuckets([]uint32{1}, true) {
		if err != ErrNoBuckets {
			t.Error(err)
		}
	}
	if err := (Options{BucketScheme: 1}).Validate(); err == nil {
		t.Error("a scheme without a function passes")
	}
	if err := (Options{Bucket: func([]byte) uint32 { return 0 }}).Validate(); err == nil {
		t.Error("a function without a scheme passes")
	}
	e = mustOpen(t, vfstest.New(), bucketsBy(10, Options{}))
	mustPut(t, e, "k", "v")
	for rec, err := range e.ScanBuckets(nil, true) {
		t.Error("no bucket has", rec, err)
	}
	mustClose(t, e)
	for _, err := range e.ScanBuckets([]uint32{1}, true) {
		if err != ErrClosed {
			t.Error(err)
		}
	}
}

// TestADamagedListOfBucketsIsReportedAndDoneWithout damages the list of one run. No key is touched, and a merge heals it.
func TestADamagedListOfBucketsIsReportedAndDoneWithout(t *testing.T) {
	for name, back := range map[string]int{"page": 400, "directory": 112 + 32 + 2, "tail": 112 + 5} {
		t.Run(name, func(t *testing.T) {
			fs := vfstest.New()
			o := bucketsBy(100, Options{BlockBytes: 128})
			e := mustOpen(t, fs, o)
			fill(t, e, 0, 600)
			mustMerge(t, e)
			path := e.index.runs()[0].path
			mustClose(t, e)
			data, err := fs.Content(path)
			if err != nil {
				t.Fatal(err)
			}
			data = bytes.Clone(data)
			data[len(data)-back] ^= 1
			if err := fs.SetContent(path, data); err != nil {
				t.Fatal(err)
			}
			e = mustOpen(t, fs, o)
			checkBuckets(t, e, []uint32{3, 50})
			if n := e.Stats().Damage; n != 1 {
				t.Errorf("damage was noted %d times", n)
			}
			found, err := e.Verify(t.Context(), nil)
			if err != nil || len(found) != 1 || found[0].Ranged || !found[0].KeysKnown || found[0].KeyCount != 0 {
				t.Errorf("Verify finds %v, %v", found, err)
			}
			mustPut(t, e, key(1), "again")
			mustMerge(t, e)
			if found, err := e.Verify(t.Context(), nil); err != nil || len(found) > 0 {
				t.Errorf("after a merge Verify finds %v, %v", found, err)
			}
			checkBuckets(t, e, []uint32{3, 50, e.opts.Bucket([]byte(key(1)))})
		})
	}
}

// TestScanBucketsReportsTheDamageThatConcernsThem damages one block of a run that lies over another.
func TestScanBucketsReportsTheDamageThatConcernsThem(t *testing.T) {
	fs := vfstest.New()
	o := bucketsBy(1<<16, Options{BlockBytes: 128, SegmentBytesMax: 1 << 20})
	e := mustOpen(t, fs, o)
	fill(t, e, 0, 2000)
	mustMerge(t, e)
	for i := 100; i < 130; i++ {
		mustPut(t, e, key(i), "newer")
	}
	mergeSegmentsNow(t, e, false)
	if n := len(e.index.runs()); n != 2 {
		t.Fatalf("%d runs", n)
	}
	path := e.index.runs()[0].path
	mustClose(t, e)
	data, err := fs.Content(path)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Clone(data)
	data[bytes.Index(data, []byte(key(110)))] ^= 1
	if err := fs.SetContent(path, data); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, fs, o)
	touched := 0
	for i := 90; i < 140; i++ {
		shown := inBuckets(t, e, []uint32{e.opts.Bucket([]byte(key(i)))}, true)
		line, ranged := shown[key(i)], shown[""] == "?"
		if (line == "?") != ranged || i == 110 && !ranged {
			t.Errorf("key %d, unknown range %v: %s", i, ranged, show(shown))
		}
		if ranged {
			touched++
		}
	}
	if touched == 0 || touched > 5 {
		t.Errorf("the damage of one block touches %d of the keys", touched)
	}
}

// TestALongListOfBucketsIsSpilled merges more records than are sorted at a time.
func TestALongListOfBucketsIsSpilled(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 600,000 records")
	}
	fs := vfstest.New()
	e := mustOpen(t, fs, bucketsBy(1<<16, Options{Sync: SyncNever}))
	var b Batch
	for i := range 600_000 {
		b.Put(fmt.Appendf(nil, "%07d", i), nil)
		if b.Len() == 10_000 {
			if err := e.Apply(&b); err != nil {
				t.Fatal(err)
			}
			b.Reset()
		}
	}
	mustMerge(t, e)
	checkBuckets(t, e, []uint32{0, 1000, 65_535})
	for _, name := range mustList(t, fs) {
		if strings.HasSuffix(name, vfs.TempSuffix) {
			t.Errorf("%s is left", name)
		}
	}
}

func mustList(t *testing.T, fs *vfstest.FS) []string {
	t.Helper()
	names, err := fs.List(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestOpenRemovesWhatWasSpilled(t *testing.T) {
	fs := vfstest.New()
	mustClose(t, mustOpen(t, fs, Options{}))
	name := "0000000001-0000000002" + bucketsSuffix + vfs.TempSuffix
	if err := fs.SetContent(filepath.Join(dataDir, name), []byte("x")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, mustOpen(t, fs, Options{}))
	if slices.Contains(mustList(t, fs), name) {
		t.Errorf("%s is left", name)
	}
}

// TestScanBucketsAmongWritersAndMerges has keys that are there all the time, in one version or another.
func TestScanBucketsAmongWritersAndMerges(t *testing.T) {
	e := mustOpenMerging(t, vfstest.New(), bucketsBy(50, Options{
		Sync: SyncNever, SegmentBytesMax: segmentBytesLeast, BlockBytes: 128, DeadRatioMax: 0.1, SpaceAmpMax: 1.1, MergeBytesPerSecond: -1,
	}))
	fill(t, e, 0, 500)
	want := 0
	for i := range 500 {
		if e.opts.Bucket([]byte(key(i)))%10 == 3 {
			want++
		}
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				mustPut(t, e, key(i*7%500), fmt.Sprint(i))
			}
		}
	})
	for range 300 {
		if have := len(inBuckets(t, e, []uint32{3, 13, 23, 33, 43}, true)); have != want {
			t.Errorf("%d keys, want %d", have, want)
		}
	}
	close(stop)
	writer.Wait()
}

func TestASnapshotHasTheListOfBuckets(t *testing.T) {
	fs := vfstest.New()
	o := bucketsBy(500, Options{BlockBytes: 128})
	e := mustOpen(t, fs, o)
	fill(t, e, 0, 600)
	mustMerge(t, e)
	mustPut(t, e, key(7), "newer")
	if _, err := e.Snapshot(t.Context(), snapshotDir); err != nil {
		t.Fatal(err)
	}
	o.MergeDisabled = true
	s := openAt(t, fs, snapshotDir, o)
	asked := []uint32{o.Bucket([]byte(key(7))), 3, 200}
	checkBuckets(t, s, asked)
	if blocks, ok, err := s.index.runs()[0].reader.BlocksOf(o.BucketScheme, []uint32{200}, new(run.Buffer)); !ok || err != nil {
		t.Errorf("the run of the snapshot lists %v: %v %v", blocks, ok, err)
	}
}
