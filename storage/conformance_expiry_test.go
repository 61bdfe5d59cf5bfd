package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// mortal is a store whose records expire and can be filtered out, by a clock and a filter that the test sets, with an observer
// that keeps its own view of the store.
type mortal struct {
	now    atomic.Int64
	filter atomic.Bool
	mu     sync.Mutex
	view   map[string]string // key to meta
	broken string            // the first change that did not fit the view
}

// mortalMeta has the expiry, and whether the filter drops the record; an empty one never expires.
func mortalMeta(expires int64, drop bool, n int) []byte {
	if expires == 0 && !drop && n%3 == 0 {
		return nil
	}
	tag := "keep"
	if drop {
		tag = "drop"
	}
	return fmt.Appendf(binary.BigEndian.AppendUint64(nil, uint64(expires)), "%s%d", tag, n)
}

func mortalExpiry(meta []byte) int64 {
	if len(meta) < 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(meta))
}

func mortalDrop(meta []byte) bool { return bytes.Contains(meta, []byte("drop")) }

func newMortal() *mortal {
	m := &mortal{view: map[string]string{}}
	m.now.Store(1000)
	return m
}

func (m *mortal) expired(meta []byte) bool {
	at := mortalExpiry(meta)
	return at != 0 && at <= m.now.Load()
}

func (m *mortal) options(o Options, observed bool) Options {
	o.Now = func() time.Time { return time.Unix(0, m.now.Load()) }
	o.ExpiresAt = mortalExpiry
	o.Filter = func(_, meta []byte) bool { return m.filter.Load() && mortalDrop(meta) }
	if observed {
		o.Observer = m.observe
	}
	return o
}

// observe checks that each change begins with what the view has.
func (m *mortal) observe(changes []Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		k := string(c.Key)
		was, present := m.view[k]
		if m.broken == "" && (present != (c.OldMeta != nil) || was != string(c.OldMeta)) {
			m.broken = fmt.Sprintf("change of %q says it was %q, the view has %q (%v)", k, c.OldMeta, was, present)
		}
		if c.NewMeta == nil {
			delete(m.view, k)
		} else {
			m.view[k] = string(c.NewMeta)
		}
	}
}

// rebuild takes the view from the store, with what has expired but is not dropped yet.
func (m *mortal) rebuild(t *testing.T, e *Engine) {
	t.Helper()
	defer holdMerges(t, e)() // nothing is dropped meanwhile
	defer m.now.Store(m.now.Swap(0))
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.view)
	for rec, err := range e.Scan(Range{KeysOnly: true}) {
		if err != nil {
			t.Fatal(err)
		}
		m.view[string(rec.Key)] = string(rec.Meta)
	}
}

// mustAgree compares the view with the store, while nothing is written. What has expired is in the view until a merge drops it.
func (m *mortal) mustAgree(t *testing.T, e *Engine) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != "" {
		t.Fatal(m.broken)
	}
	want, have := map[string]string{}, map[string]string{}
	for k, meta := range m.view {
		if !m.expired([]byte(meta)) {
			want[k] = meta
		}
	}
	for rec, err := range e.Scan(Range{KeysOnly: true}) {
		if err != nil {
			t.Fatal(err)
		}
		have[string(rec.Key)] = string(rec.Meta)
	}
	if !maps.Equal(want, have) {
		t.Fatalf("the observer has\n%q\nthe store\n%q", want, have)
	}
}

// TestConformanceExpiryAndFilter does random operations while time goes on and a filter comes and goes. What has expired is
// absent for every way of reading, what is filtered out goes with a merge, and nothing that they have hidden comes back.
func TestConformanceExpiryAndFilter(t *testing.T) {
	t.Parallel()
	eachSeed(t, 32, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 5))
		at, clock, observed := somePlace(t, rng), newMortal(), rng.IntN(2) == 0
		open := func() *Engine {
			o := someOptions(rng)
			o.SegmentBytesMax = segmentBytesLeast
			return at.open(t, clock.options(o, observed))
		}
		e := open()
		m := newModel()
		for n := range 300 {
			k := key(rng.IntN(20))
			switch rng.IntN(20) {
			case 0:
				mergeFailing(t, at, rng, func() error { return e.Merge(context.Background()) })
			case 1:
				mergeFailing(t, at, rng, func() error { mergeDue(e, false); return nil })
			case 2:
				mustClose(t, e)
				e = open()
				clock.rebuild(t, e)
			case 3, 4:
				clock.now.Add(rng.Int64N(60))
			case 5:
				clock.filter.Store(!clock.filter.Load())
			case 6, 7:
				mustDelete(t, e, k)
				m.delete(k)
			case 8, 9:
				clock.mustHold(t, e, m)
				if observed {
					clock.mustAgree(t, e)
				}
			default:
				expires := int64(0)
				if rng.IntN(2) == 0 {
					expires = clock.now.Load() + rng.Int64N(100)
				}
				meta, v := mortalMeta(expires, rng.IntN(3) == 0, n), fmt.Sprint(n, strings.Repeat("x", rng.IntN(300)))
				if err := e.PutMeta([]byte(k), meta, []byte(v)); err != nil {
					t.Fatal(err)
				}
				m.put(k, string(meta), v)
			}
		}
		// At last everything that may go has gone.
		clock.filter.Store(true)
		clock.now.Add(1000)
		mustMerge(t, e)
		for k, rec := range m.records {
			if mortalDrop([]byte(rec.meta)) || clock.expired([]byte(rec.meta)) {
				delete(m.records, k)
			}
		}
		clock.mustHold(t, e, m)
		if observed {
			clock.mustAgree(t, e)
		}
		if n := e.Stats().Keys; n != int64(len(m.records)) {
			t.Errorf("%d keys, want %d", n, len(m.records))
		}
		mustClose(t, e)
	})
}

// mergeFailing merges, in memory often with a read that fails: what the observer knows has to be right all the same.
func mergeFailing(t *testing.T, at place, rng *rand.Rand, merge func() error) {
	t.Helper()
	if fs, ok := at.fs.(*vfstest.FS); ok && rng.IntN(2) == 0 {
		defer fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Path: runSuffix, Skip: rng.IntN(16), Times: 1, Err: syscall.EIO})()
	}
	if err := merge(); err != nil && !errors.Is(err, syscall.EIO) {
		t.Fatalf("merge: %v", err)
	}
}

// mustHold compares the store with the model. A record that the filter may have dropped is there or not, and not is for good.
func (m *mortal) mustHold(t *testing.T, e *Engine, want *model) {
	t.Helper()
	defer holdMerges(t, e)() // nothing is dropped meanwhile
	for i := range 20 {
		k := key(i)
		rec, err := e.Read([]byte(k), nil)
		if errors.Is(err, ErrNotFound) && mortalDrop([]byte(want.records[k].meta)) {
			delete(want.records, k)
		} else if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatalf("read %q: %v", k, err)
		}
		stored, present := want.records[k]
		present = present && !m.expired([]byte(stored.meta))
		if present != (err == nil) || present && (string(rec.Value) != stored.value || string(rec.Meta) != stored.meta || rec.Seq != stored.seq) {
			t.Fatalf("read %q: %.40q, record %d, %v; want %v, %.40q, record %d", k, rec.Value, rec.Seq, err, present, stored.value, stored.seq)
		}
		if _, err := e.Meta([]byte(k), nil); present != (err == nil) {
			t.Fatalf("meta %q: %v, want %v", k, err, present)
		}
		if v, err := e.Get([]byte(k), nil); present != (err == nil) || present && string(v) != stored.value {
			t.Fatalf("get %q: %.40q %v, want %v, %.40q", k, v, err, present, stored.value)
		}
		err = e.Update([][]byte{[]byte(k)}, func(cur []Current, _ *Writes) error {
			if present != (cur[0].State == Present) || cur[0].State == Unknown {
				return fmt.Errorf("state %d, want %v", cur[0].State, present)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("update %q: %v", k, err)
		}
	}
	alive := newModel()
	for k, rec := range want.records {
		if !m.expired([]byte(rec.meta)) {
			alive.records[k] = rec
		}
	}
	for _, r := range []Range{{}, {Reverse: true}, {KeysOnly: true}} {
		mustScan(t, e, r, alive.scan(r))
	}
}

// TestConformanceObserverSeesWhatMergesDrop overwrites and deletes keys from several goroutines while merges drop them.
func TestConformanceObserverSeesWhatMergesDrop(t *testing.T) {
	t.Parallel()
	for _, policy := range []SyncPolicy{SyncAlways, SyncInterval, SyncNever} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			t.Parallel()
			clock := newMortal()
			clock.filter.Store(true)
			o := clock.options(Options{
				FS: vfstest.New(), Sync: policy, SegmentBytesMax: segmentBytesLeast, IndexBytesMax: 1, MergeBytesPerSecond: -1,
			}, true)
			e, err := Open(dataDir, o)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			for range every(4, 2) {
				var writers sync.WaitGroup
				for w := range 3 {
					writers.Go(func() {
						rng := rand.New(rand.NewPCG(uint64(w), 6))
						for n := range 400 {
							k := []byte(key(rng.IntN(40)))
							meta := mortalMeta(int64(rng.IntN(2))*(clock.now.Load()+rng.Int64N(20)), rng.IntN(3) == 0, n)
							var err error
							if rng.IntN(5) == 0 {
								err = e.Delete(k)
							} else {
								err = e.PutMeta(k, meta, bytes.Repeat([]byte("v"), rng.IntN(200)))
							}
							if err != nil {
								t.Error(err)
							}
							clock.now.Add(1)
						}
					})
				}
				stop := make(chan struct{})
				var merging sync.WaitGroup
				merging.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							mustMerge(t, e)
						}
					}
				})
				writers.Wait()
				close(stop)
				merging.Wait()
				release := holdMerges(t, e) // nothing is dropped while they are compared
				clock.mustAgree(t, e)
				release()
			}
			if e.dropped.Load() == 0 {
				t.Error("no merge dropped anything")
			}
		})
	}
}

// TestConformanceDropNeverUncoversAnOlderRecord reads while a merge drops a record over an older one that is not dropped.
func TestConformanceDropNeverUncoversAnOlderRecord(t *testing.T) {
	t.Parallel()
	clock := newMortal()
	clock.filter.Store(true)
	e := mustOpen(t, vfstest.New(), clock.options(Options{Sync: SyncNever, SegmentBytesMax: segmentBytesLeast}, true))
	for n := range every(60, 10) {
		for i := range 40 {
			mustPut(t, e, key(i), "old")
		}
		clock.filter.Store(false)
		mustMerge(t, e)
		for i := range 40 {
			if err := e.PutMeta([]byte(key(i)), mortalMeta(0, true, n), []byte("new")); err != nil {
				t.Fatal(err)
			}
		}
		clock.filter.Store(true)
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for r := range 2 {
			readers.Go(func() {
				for i := r; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if v, err := e.Get([]byte(key(i%40)), nil); err == nil && string(v) != "new" || err != nil && !errors.Is(err, ErrNotFound) {
						t.Errorf("get %q: %q %v", key(i%40), v, err)
						return
					}
				}
			})
		}
		mustMerge(t, e)
		close(stop)
		readers.Wait()
		clock.mustAgree(t, e)
	}
}
