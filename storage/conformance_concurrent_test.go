package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
)

// crowd is an engine that is used in every way at once. Each steady key has one writer, and is never absent once it was written.
type crowd struct {
	t *testing.T
	e *Engine
	// acked and tried are the versions of each steady key that were acknowledged last, and begun last.
	acked, tried [crowdKeys]atomic.Int64
	// counted is what was added to the counters.
	counted [crowdCounters]atomic.Int64
	// pairs is the last batch that was acknowledged.
	pairs atomic.Int64
	// turns lets the others in after each write. Without it they would have the processors to themselves.
	turns chan struct{}
	// at is where the engine is. Snapshots come beside it.
	at        place
	snapshots int
}

const (
	crowdKeys     = 24
	crowdCounters = 4
	crowdWriters  = 3
)

func steadyKey(i int) []byte  { return fmt.Appendf(nil, "steady-%02d", i) }
func counterKey(i int) []byte { return fmt.Appendf(nil, "counter-%d", i) }

// TestConformanceEverythingAtOnce reads, scans, writes, counts, merges, verifies, takes snapshots and closes at the same time. No reader may see a
// version older than what was acknowledged before it came, half a batch, or a key missing that was never deleted; and all that
// was acknowledged is there after a reopen.
func TestConformanceEverythingAtOnce(t *testing.T) {
	t.Parallel()
	for _, policy := range []SyncPolicy{SyncAlways, SyncInterval, SyncNever} {
		for name, at := range map[string]func(t *testing.T) place{
			"memory": func(*testing.T) place { return memoryPlace() },
			"system": func(t *testing.T) place { return place{vfs.OS{}, t.TempDir()} },
		} {
			t.Run(fmt.Sprintf("policy %d/%s", policy, name), func(t *testing.T) {
				t.Parallel()
				eachSeed(t, 1, func(t *testing.T, seed uint64) {
					rng := rand.New(rand.NewPCG(seed, uint64(policy)))
					everythingAtOnce(t, at(t), Options{
						Sync: policy, SyncInterval: time.Millisecond, SegmentBytesMax: 8 << 10, IndexBytesMax: 1, BlockBytes: 512,
						MergeBytesPerSecond: -1, MapBytesMax: oneOf[int64](rng, -1, 0, 256<<10), CacheBytes: oneOf[int64](rng, -1, 64<<10),
						Compression: oneOf(rng, CompressionNone, CompressionS2), OpenFilesMax: oneOf(rng, 1, 3, 0), showFrom: map[string]int{"memory": 1}[name], freezeFrom: oneOf(rng, 2, 0), mergeWalkEntries: oneOf(rng, 1, 10, 0),
					}, seed)
				})
			})
		}
	}
}

func everythingAtOnce(t *testing.T, at place, o Options, seed uint64) {
	c := &crowd{t: t, e: at.open(t, o), at: at, turns: make(chan struct{}, 16)}
	rounds := 500
	if testing.Short() {
		rounds = 60
	}
	var writers, others sync.WaitGroup
	for w := range crowdWriters {
		writers.Go(func() { c.write(w, rounds, rand.New(rand.NewPCG(seed, uint64(w)))) })
	}
	for w := range 2 {
		writers.Go(func() { c.count(rounds/2, rand.New(rand.NewPCG(seed, uint64(100+w)))) })
	}
	writers.Go(func() { c.writePairs(rounds / 2) })
	for i, use := range []func(*rand.Rand) error{c.read, c.read, c.scan, c.scan, c.merge, c.verify, c.stats, c.snapshot} {
		others.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(200+i)))
			for {
				<-c.turns
				if err := use(rng); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	writers.Wait()
	close(c.turns)
	mustClose(t, c.e) // under the eyes of the others
	others.Wait()
	if t.Failed() {
		return
	}
	c.e = at.open(t, o)
	defer c.e.Close()
	if d := c.e.Recovery().Damage; len(d) > 0 {
		t.Fatalf("damage: %v", d)
	}
	rng := rand.New(rand.NewPCG(seed, 300))
	for range 50 {
		if err := errors.Join(c.read(rng), c.scan(rng)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range crowdCounters {
		v, err := c.e.Get(counterKey(i), nil)
		if n, _ := strconv.Atoi(string(v)); err != nil || int64(n) != c.counted[i].Load() {
			t.Errorf("counter %d is %q, want %d: %v", i, v, c.counted[i].Load(), err)
		}
	}
}

// written gives one of the others its turn.
func (c *crowd) written() {
	select {
	case c.turns <- struct{}{}:
	default:
	}
}

func steadyValue(version int64, pad int) []byte {
	return append(fmt.Appendf(nil, "%d ", version), bytes.Repeat([]byte("v"), pad)...)
}

func versionOf(value []byte) int64 {
	digits, _, _ := bytes.Cut(value, []byte(" "))
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// write overwrites its own steady keys, and writes and deletes others.
func (c *crowd) write(w, rounds int, rng *rand.Rand) {
	for range rounds {
		i := w + crowdWriters*rng.IntN(crowdKeys/crowdWriters)
		v := c.tried[i].Add(1)
		err := c.e.PutMeta(steadyKey(i), fmt.Append(nil, v), steadyValue(v, rng.IntN(400)))
		if err == nil {
			c.acked[i].Store(v)
			c.written()
			passing := fmt.Appendf(nil, "passing-%d", rng.IntN(100))
			if rng.IntN(2) == 0 {
				err = c.e.Delete(passing)
			} else {
				err = c.e.Put(passing, bytes.Repeat([]byte("p"), rng.IntN(600)))
			}
		}
		if err != nil {
			c.t.Errorf("write: %v", err)
			return
		}
	}
}

func (c *crowd) count(rounds int, rng *rand.Rand) {
	for range rounds {
		i := rng.IntN(crowdCounters)
		err := c.e.Update([][]byte{counterKey(i)}, func(cur []Current, w *Writes) error {
			switch {
			case cur[0].State == Unknown:
				return errors.New("counter is unknown")
			case cur[0].State == Present && !cur[0].HasValue:
				return ErrNeedValues
			}
			n, _ := strconv.Atoi(string(cur[0].Value))
			w.Put(counterKey(i), nil, fmt.Append(nil, n+1))
			return nil
		})
		if err != nil {
			c.t.Errorf("count: %v", err)
			return
		}
		c.counted[i].Add(1)
		c.written()
	}
}

// writePairs writes batches over the whole range of keys.
func (c *crowd) writePairs(rounds int) {
	for n := range rounds {
		var b Batch
		for _, k := range []string{"a-pair", "m-pair", "steady-pair", "z-pair"} {
			b.Put([]byte(k), fmt.Append(nil, n+1))
		}
		if err := c.e.Apply(&b); err != nil {
			c.t.Errorf("apply: %v", err)
			return
		}
		c.pairs.Store(int64(n + 1))
		c.written()
	}
}

// between checks that a version is not older than what was acknowledged before the read, and was begun by now.
func (c *crowd) between(i int, before, version int64) error {
	if tried := c.tried[i].Load(); version < before || version > tried {
		return fmt.Errorf("steady key %d has version %d, acknowledged was %d, begun %d", i, version, before, tried)
	}
	return nil
}

func (c *crowd) read(rng *rand.Rand) error {
	i := rng.IntN(crowdKeys)
	before := c.acked[i].Load()
	var shown []byte
	var err error
	way := rng.IntN(3)
	switch way {
	case 0:
		shown, err = c.e.Get(steadyKey(i), nil)
	case 1:
		shown, err = c.e.Meta(steadyKey(i), nil)
	default:
		var rec Record
		rec, err = c.e.Read(steadyKey(i), nil)
		if shown = rec.Value; err == nil && string(rec.Meta) != fmt.Sprint(versionOf(shown)) {
			return fmt.Errorf("steady key %d has meta %q with version %d", i, rec.Meta, versionOf(shown))
		}
	}
	switch {
	case errors.Is(err, ErrNotFound) && before == 0:
		return nil
	case err != nil:
		return fmt.Errorf("read %d of steady key %d, acknowledged was %d: %w", way, i, before, err)
	}
	return c.between(i, before, versionOf(shown))
}

// scan checks one moment of the store, forward or backward.
func (c *crowd) scan(rng *rand.Rand) error {
	var before [crowdKeys]int64
	for i := range before {
		before[i] = c.acked[i].Load()
	}
	pairsBefore := c.pairs.Load()
	seen, last, pairs := map[string]int64{}, []byte(nil), []string(nil)
	r := Range{Reverse: rng.IntN(2) == 0}
	for rec, err := range c.e.Scan(r) {
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		if order := bytes.Compare(rec.Key, last); last != nil && (order == 0 || order < 0 != r.Reverse) {
			return fmt.Errorf("scan: %q after %q", rec.Key, last)
		}
		last = append(last[:0], rec.Key...)
		if bytes.HasSuffix(rec.Key, []byte("pair")) {
			pairs = append(pairs, string(rec.Value))
		} else {
			seen[string(rec.Key)] = versionOf(rec.Value)
		}
	}
	for i := range crowdKeys {
		version, ok := seen[string(steadyKey(i))]
		if !ok && before[i] > 0 {
			return fmt.Errorf("scan does not show steady key %d, acknowledged was %d", i, before[i])
		}
		if err := c.between(i, before[i], version); err != nil {
			return fmt.Errorf("scan: %w", err)
		}
	}
	for _, p := range pairs {
		if n, _ := strconv.ParseInt(p, 10, 64); p != pairs[0] || len(pairs) != 4 || n < pairsBefore {
			return fmt.Errorf("scan: half a batch: %q, acknowledged was %d", pairs, pairsBefore)
		}
	}
	if len(pairs) == 0 && pairsBefore > 0 {
		return errors.New("scan: a batch is missing")
	}
	return nil
}

func (c *crowd) merge(*rand.Rand) error { return c.e.Merge(context.Background()) }

func (c *crowd) verify(*rand.Rand) error {
	d, err := c.e.Verify(context.Background(), nil)
	if len(d) > 0 {
		return fmt.Errorf("verify: %v", d)
	}
	return err
}

func (c *crowd) stats(*rand.Rand) error {
	s := c.e.Stats()
	if s.Keys < 0 || s.Damage > 0 || s.ReadOnly != "" {
		return fmt.Errorf("stats: %+v", s)
	}
	if c.e.closed.Load() {
		return ErrClosed
	}
	return nil
}

// snapshot takes a snapshot and looks into it.
func (c *crowd) snapshot(*rand.Rand) error {
	var before [crowdKeys]int64
	for i := range before {
		before[i] = c.acked[i].Load()
	}
	c.snapshots++
	dir := filepath.Join(filepath.Dir(c.at.dir), fmt.Sprint("snapshot-", c.snapshots))
	if _, err := c.e.Snapshot(context.Background(), dir); err != nil {
		return err
	}
	e, err := Open(dir, Options{FS: c.at.fs, MergeDisabled: true, OpenFilesMax: 1, MapBytesMax: -1})
	if err != nil {
		return err
	}
	defer e.Close()
	for i := range before {
		v, err := e.Get(steadyKey(i), nil)
		if before[i] > 0 && (err != nil || versionOf(v) < before[i]) {
			return fmt.Errorf("snapshot: steady key %d is %.20q, %w; acknowledged was %d", i, v, err, before[i])
		}
	}
	return nil
}

// TestConformanceCloseEndsScans closes an engine while scans stand in the middle of its runs and segments.
func TestConformanceCloseEndsScans(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]place{"memory": memoryPlace(), "system": {vfs.OS{}, t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := range every(6, 2) {
				e := at.open(t, Options{Sync: SyncNever, SegmentBytesMax: segmentBytesLeast, MergeDisabled: true})
				for i := range 200 {
					mustPut(t, e, key(i), valueOf(i))
					if i == 100 {
						mustMerge(t, e)
					}
				}
				under := make(chan struct{}, 4)
				var scans sync.WaitGroup
				for s := range 4 {
					scans.Go(func() { scanUntilClosed(t, e, Range{Reverse: s%2 == 0}, 20+round*25, under) })
				}
				for range 4 {
					<-under
				}
				mustClose(t, e)
				scans.Wait()
			}
		})
	}
}

// scanUntilClosed scans again and again until the engine is closed, and says once that it is under way.
func scanUntilClosed(t *testing.T, e *Engine, r Range, after int, under chan<- struct{}) {
	tell := sync.OnceFunc(func() { under <- struct{}{} })
	defer tell()
	for {
		n := 0
		for rec, err := range e.Scan(r) {
			if errors.Is(err, ErrClosed) {
				return
			}
			var i int
			if _, serr := fmt.Sscanf(string(rec.Key), "key-%d", &i); err != nil || serr != nil || string(rec.Value) != valueOf(i) {
				t.Errorf("scan: %q %.40q %v", rec.Key, rec.Value, err)
				return
			}
			if n++; n == after {
				tell()
			}
		}
		if n != 200 {
			t.Errorf("a scan ends after %d records without an error", n)
			return
		}
	}
}

// TestConformanceMergeWaitsForLookups has a merge come between a reader's look at the index and its look at the segment.
func TestConformanceMergeWaitsForLookups(t *testing.T) {
	t.Parallel()
	var e *Engine
	armed, merged := atomic.Bool{}, make(chan error, 1)
	o := Options{Sync: SyncNever, MergeDisabled: true, ExpiresAt: func([]byte) int64 {
		if armed.CompareAndSwap(true, false) {
			go func() { merged <- e.Merge(context.Background()) }()
			for !e.readers.waiting.Load() { // until the merge waits for the reader
				runtime.Gosched()
			}
			if value, err := e.Get([]byte("k"), nil); err != nil || string(value) != "v" { // who comes now does not
				t.Errorf("%q %v", value, err)
			}
		}
		return 0
	}}
	e = memoryPlace().open(t, o)
	defer e.Close()
	mustPut(t, e, "k", "v")
	armed.Store(true)
	wantValue(t, e, "k", "v")
	if err := <-merged; err != nil {
		t.Fatal(err)
	}
	wantValue(t, e, "k", "v")
}
