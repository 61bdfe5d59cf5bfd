package storage

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestReadersDoNotWaitForALargeMutation stops one amid its entry.
func TestReadersDoNotWaitForALargeMutation(t *testing.T) {
	f := newFreshFixture(t)
	f.x.freezeFrom = batchKeys
	first := f.begin(new(groupPool), batchKeys)
	f.x.publish(first, nil)
	before, _ := f.x.get([]byte(key(0)))
	g := f.begin(new(groupPool), batchKeys)
	f.x.enter(g, g.changes, nil)
	f.x.makeShard(g, int(g.publication.next.Add(1)-1)) // a part of it is made
	wantAll := func(when string, seq uint64) {
		t.Helper()
		for i := range batchKeys {
			if en, ok := f.x.get([]byte(key(i))); !ok || en.Seq != seq+uint64(i) {
				t.Fatalf("%s: key %d is known %v, %d, want %d", when, i, ok, en.Seq, seq+uint64(i))
			}
		}
		if _, _, ok := f.x.find([]byte("another"), nil, true); ok {
			t.Errorf("%s: a key is known that is not there", when)
		}
	}
	wantAll("amid it", before.Seq)
	if n := f.locked(); n != len(f.x.shards) {
		t.Errorf("%d of %d shards are locked amid it", n, len(f.x.shards))
	}
	v := f.x.readView()
	f.x.set(g, g.changes, nil, false)
	if f.locked() > 0 || f.x.frozen.Load() != nil || f.x.freezing.Load() != 0 {
		t.Error("it is frozen still")
	}
	wantAll("after it", before.Seq+batchKeys)
	n := 0
	for mem, ok := v.walk(&Range{}, nil); ok; ok = mem.next() {
		if en := mem.at(); en.Seq >= before.Seq+batchKeys {
			t.Fatalf("the view shows %q, which is younger", en.key)
		}
		n++
	}
	if n != batchKeys {
		t.Errorf("the view shows %d keys", n)
	}
	v.release()
	if v.frozen.hold() {
		t.Error("it is held though nobody has it")
	}
}

// TestALargeBatchIsSeenWholeOrNotAtAll has readers look at keys that are always written together, while decisions count in one of them.
func TestALargeBatchIsSeenWholeOrNotAtAll(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever, freezeFrom: 2})
	const keys, rounds = 100, 20
	write := func(round byte) {
		var b Batch
		for i := range keys {
			b.Put([]byte(key(i)), []byte{round})
		}
		if err := e.Apply(&b); err != nil {
			t.Error(err)
		}
	}
	write(0)
	var acked atomic.Int32
	var stop atomic.Bool
	var readers sync.WaitGroup
	for r := range 2 {
		readers.Go(func() {
			for last := byte(0); !stop.Load(); runtime.Gosched() {
				for i := range keys {
					least := max(last, byte(acked.Load()))
					v, err := e.Get([]byte(key((i*7+r)%keys)), nil)
					if err != nil || v[0] < least {
						t.Errorf("round %v after %d: %v", v, least, err)
						return
					}
					last = v[0]
				}
			}
		})
	}
	readers.Go(func() {
		for !stop.Load() {
			first := -1
			for rec, err := range e.Scan(Range{Start: []byte("key"), End: []byte("kez")}) {
				if err != nil || first >= 0 && int(rec.Value[0]) != first {
					t.Errorf("a scan shows round %v beside %d: %v", rec.Value, first, err)
					return
				}
				first = int(rec.Value[0])
			}
		}
	})
	count, counted := []byte("count"), 0
	readers.Go(func() {
		for !stop.Load() {
			err := e.Update([][]byte{count}, func(cur []Current, w *Writes) error {
				if len(cur[0].Meta) > 0 && int(cur[0].Meta[0])|int(cur[0].Meta[1])<<8 != counted {
					t.Errorf("a decision sees %v after %d", cur[0].Meta, counted)
				}
				w.Put(count, []byte{byte(counted + 1), byte((counted + 1) >> 8)}, nil)
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			counted++
		}
	})
	for round := range rounds {
		write(byte(round + 1))
		acked.Store(int32(round + 1))
	}
	stop.Store(true)
	readers.Wait()
}

func BenchmarkGetBesideLargeBatches(b *testing.B) {
	e := mustOpen(b, vfstest.New(), Options{Sync: SyncNever})
	const keys = 100_000
	put := func() {
		var batch Batch
		for i := range keys {
			batch.Put([]byte(key(i)), []byte("value"))
		}
		if err := e.Apply(&batch); err != nil {
			b.Error(err)
		}
	}
	put()
	var stop atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for !stop.Load() {
			put()
		}
	})
	most, i := time.Duration(0), 0
	for b.Loop() {
		began := time.Now()
		if _, err := e.Get([]byte(key(i*7919%keys)), nil); err != nil {
			b.Fatal(err)
		}
		most = max(most, time.Since(began))
		i++
	}
	stop.Store(true)
	writer.Wait()
	b.ReportMetric(float64(most.Microseconds()), "longest-µs")
}
