package storage

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// batchKeys are enough for several goroutines, and for every shard to have some.
const batchKeys = 8 * publishSplitFrom

// add adds a mutation to a group: puts of so many keys, the same in all of them.
func (f *freshFixture) add(g *group, keys int) {
	w := &Writes{limits: limits{100, 100, 1 << 20}}
	first := f.seq
	for i := range keys {
		w.Put([]byte(key(i)), []byte("m"+strconv.Itoa(int(f.seq))), nil)
		f.seq++
	}
	g.encode(w, first)
}

// begin returns a group from a pool with one such mutation.
func (f *freshFixture) begin(pool *groupPool, keys int) *group {
	g := pool.get()
	g.begin(f.seg, int64(f.seq)*100, false)
	f.add(g, keys)
	return g
}

// wantBatch wants the keys of the mutation that was added last.
func (f *freshFixture) wantBatch(keys int) {
	f.t.Helper()
	for i := range keys {
		f.want(key(i), int64(f.seq)-int64(keys-i))
	}
}

// locked counts the shards that are locked to write.
func (f *freshFixture) locked() (n int) {
	for i := range f.x.shards {
		if s := &f.x.shards[i]; s.mu.TryRLock() {
			s.mu.RUnlock()
		} else {
			n++
		}
	}
	return n
}

func TestABatchIsHelpedFromItsEntryOn(t *testing.T) {
	f := newFreshFixture(t)
	g := f.begin(new(groupPool), batchKeys)
	f.x.enter(g, g.changes, nil)
	if n := f.locked(); n != len(f.x.shards) {
		t.Fatalf("%d of %d shards are locked by the entry", n, len(f.x.shards))
	}
	f.x.help()
	if n := f.locked(); n > 0 {
		t.Fatalf("%d shards are locked", n)
	}
	f.wantBatch(batchKeys)
	f.x.set(g, g.changes, nil, false)
	if f.x.entering.Load() != nil || g.publication.changes != nil {
		t.Error("it is still entering")
	}
	if n := f.x.entries(); n != batchKeys {
		t.Errorf("%d entries", n)
	}
}

func TestAShardIsLetGoWhenItIsDone(t *testing.T) {
	f := newFreshFixture(t)
	g := f.begin(new(groupPool), batchKeys)
	f.x.enter(g, g.changes, nil)
	for done := 1; done <= 2; done++ {
		f.x.makeShard(g, int(g.publication.next.Add(1)-1))
		if n := f.locked(); n != len(f.x.shards)-done {
			t.Errorf("%d of %d shards are locked when %d are done", n, len(f.x.shards), done)
		}
	}
	f.x.set(g, g.changes, nil, false)
	f.wantBatch(batchKeys)
}

// TestWhoHelpsLateHelpsTheGroupsNextUse has some help all the time, with one group that is used again and again.
func TestWhoHelpsLateHelpsTheGroupsNextUse(t *testing.T) {
	f := newFreshFixture(t)
	pool := new(groupPool)
	g := f.begin(pool, batchKeys)
	f.x.publish(g, nil)
	g.release()
	stop := make(chan struct{})
	var helpers sync.WaitGroup
	for range 4 {
		helpers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f.x.makeShared(g)
					runtime.Gosched()
				}
			}
		})
	}
	for round := range 200 {
		again := f.begin(pool, batchKeys)
		if again != g {
			t.Fatal("another group")
		}
		f.x.enter(g, g.changes, nil)
		f.x.set(g, g.changes, nil, round%2 == 0)
		f.wantBatch(batchKeys)
		g.release()
	}
	close(stop)
	helpers.Wait()
	if n := f.x.entries(); n != batchKeys {
		t.Errorf("%d entries", n)
	}
}

func TestAGroupOfBatchesIsPublishedInItsOrder(t *testing.T) {
	f := newFreshFixture(t)
	g := f.begin(new(groupPool), batchKeys)
	f.add(g, 1)
	f.add(g, publishSplitFrom-1)
	f.add(g, batchKeys)
	f.add(g, 2)
	f.x.publish(g, nil)
	f.wantBatch(2)
	f.seq -= 2
	for i := 2; i < batchKeys; i++ {
		f.want(key(i), int64(f.seq)-int64(batchKeys-i))
	}
}

func TestObserverSeesALargeBatchInItsOrder(t *testing.T) {
	var seen []string
	e := mustOpen(t, vfstest.New(), Options{Observer: func(changes []Change) {
		for _, c := range changes {
			seen = append(seen, fmt.Sprintf("%s %s>%s", c.Key, nilOr(c.OldMeta), nilOr(c.NewMeta)))
		}
	}})
	var want []string
	old := "nil"
	for _, meta := range []string{"first", "second"} {
		var b Batch
		for i := range batchKeys {
			b.PutMeta([]byte(key(i)), []byte(meta), nil)
			want = append(want, fmt.Sprintf("%s %s>'%s'", key(i), old, meta))
		}
		if err := e.Apply(&b); err != nil {
			t.Fatal(err)
		}
		old = "'" + meta + "'"
	}
	mustClose(t, e)
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("observed %v\nwant %v", seen, want)
	}
}

func TestGroupPoolKeepsAFew(t *testing.T) {
	var pool groupPool
	var groups []*group
	for range groupsKept + 1 {
		groups = append(groups, pool.get())
	}
	for _, g := range groups {
		g.release()
	}
	for i := range groupsKept {
		if g := pool.get(); g != groups[i] || g.holders.Load() != 1 {
			t.Errorf("group %d is another one, or has %d holders", i, g.holders.Load())
		}
	}
	if g := pool.get(); g == groups[groupsKept] {
		t.Error("one more is kept")
	}
}
