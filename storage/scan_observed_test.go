package storage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// mirror is what an observer makes of what it is told.
type mirror struct {
	mu    sync.Mutex
	metas map[string]string
	wrong string
}

func (m *mirror) observe(changes []Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if old, ok := m.metas[string(c.Key)]; ok != (c.OldMeta != nil) || old != string(c.OldMeta) {
			m.wrong = fmt.Sprintf("%s: told of %q, was %q", c.Key, c.OldMeta, old)
		}
		if c.NewMeta == nil {
			delete(m.metas, string(c.Key))
		} else {
			m.metas[string(c.Key)] = string(c.NewMeta)
		}
	}
}

// compare says whether a scan shows what the mirror has when it begins.
func (m *mirror) compare(t *testing.T, e *Engine, r Range) {
	t.Helper()
	var want map[string]string
	began := 0
	have := map[string]string{}
	for rec, err := range e.ScanObserved(r, func() {
		began++
		m.mu.Lock()
		want = maps.Clone(m.metas)
		m.mu.Unlock()
	}) {
		if err != nil {
			t.Fatal(err)
		}
		have[string(rec.Key)] = string(rec.Meta)
	}
	if began != 1 || !maps.Equal(have, want) {
		t.Errorf("began %d times; the scan shows %d keys, the observer knew of %d", began, len(have), len(want))
	}
}

// TestScanObservedIsInStepWithTheObserver has writers, and merges that drop what is filtered out or has expired.
func TestScanObservedIsInStepWithTheObserver(t *testing.T) {
	for name, sync := range map[string]SyncPolicy{"always": SyncAlways, "never": SyncNever} {
		t.Run(name, func(t *testing.T) {
			var now atomic.Int64
			m := &mirror{metas: map[string]string{}}
			e := mustOpenMerging(t, vfstest.New(), Options{
				Sync: sync, SegmentBytesMax: segmentBytesLeast, DeadRatioMax: 0.1, SpaceAmpMax: 1.1, MergeBytesPerSecond: -1,
				Observer: m.observe,
				Filter:   func(_, meta []byte) bool { return meta[0] == 'f' },
				ExpiresAt: func(meta []byte) int64 {
					if meta[0] == 'e' {
						return 1
					}
					return 0
				},
				Now: func() time.Time { return time.Unix(0, now.Load()) },
			})
			stop := make(chan struct{})
			writers := writeAtRandom(t, e, stop)
			rounds := 150
			if testing.Short() {
				rounds = 30
			}
			for round := range rounds {
				if round == rounds/2 {
					now.Store(2) // everything that can expire has
				}
				for more := e.nextSeq.Load() + 20; e.nextSeq.Load() < more && !t.Failed(); {
					runtime.Gosched()
				}
				m.compare(t, e, Range{KeysOnly: round%2 == 0})
				if round%10 == 9 {
					mustMerge(t, e)
				}
			}
			close(stop)
			writers.Wait()
			m.compare(t, e, Range{})
			if e.Stats().Merge.Dropped == 0 || m.wrong != "" {
				t.Errorf("%d records were dropped; %s", e.Stats().Merge.Dropped, m.wrong)
			}
		})
	}
}

// writeAtRandom has goroutines write and delete keys of their own, some of which can be dropped, until stop is closed.
func writeAtRandom(t *testing.T, e *Engine, stop chan struct{}) *sync.WaitGroup {
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				k := fmt.Appendf(nil, "%d/%03d", w, rng.IntN(200))
				var b Batch
				b.PutMeta(k, fmt.Appendf(nil, "%c%d", "kkkkef"[rng.IntN(6)], rng.IntN(1000)), make([]byte, rng.IntN(100)))
				if rng.IntN(4) == 0 {
					b.Delete(fmt.Appendf(nil, "%d/%03d", w, rng.IntN(200)))
				}
				if err := e.Apply(&b); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return &writers
}

func TestScanObservedWithoutAnObserverIsAScan(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	fill(t, e, 0, 10)
	began, n := 0, 0
	for _, err := range e.ScanObserved(Range{}, func() { began++ }) {
		if n++; err != nil || began != 1 {
			t.Error(err, began)
		}
	}
	mustClose(t, e)
	for _, err := range e.ScanObserved(Range{}, func() { began++ }) {
		if err != ErrClosed {
			t.Error(err)
		}
	}
	if n != 10 || began != 1 {
		t.Errorf("%d records, began %d times", n, began)
	}
}

func TestRecordsSayTheirBytes(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	want := map[string]int{}
	for i, n := range []int{0, 1, 100, 100_000} {
		k := key(i)
		mustPut(t, e, k, string(make([]byte, n)))
		want[k] = len(k) + len("m:"+k) + n
	}
	var b Batch
	for i := 10; i < 20; i++ {
		b.PutMeta([]byte(key(i)), nil, make([]byte, i*i))
		want[key(i)] = len(key(i)) + i*i
	}
	if err := e.Apply(&b); err != nil {
		t.Fatal(err)
	}
	check := func(r Range, more int) {
		t.Helper()
		n := 0
		for rec, err := range e.Scan(r) {
			if n++; err != nil || rec.Bytes < want[string(rec.Key)] || rec.Bytes > want[string(rec.Key)]+more {
				t.Errorf("%s: %d bytes, want %d and at most %d more: %v", rec.Key, rec.Bytes, want[string(rec.Key)], more, err)
			}
		}
		if n != len(want) {
			t.Errorf("%d records", n)
		}
	}
	read := func() {
		t.Helper()
		if rec, err := e.Read([]byte(key(12)), nil); err != nil || rec.Bytes != want[key(12)] {
			t.Errorf("read: %d bytes, %v", rec.Bytes, err)
		}
	}
	check(Range{}, 0)
	check(Range{KeysOnly: true}, 5)
	read()
	mustMerge(t, e)
	check(Range{}, 0)
	check(Range{KeysOnly: true}, 0)
	read()
}
