package memindex

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

func numbered(i int) []byte { return fmt.Appendf(nil, "key%08d", i) }

func TestKeysInAnyOrderOfInsertionAreFound(t *testing.T) {
	const n = 10000
	for _, order := range []struct {
		name string
		at   func(i int) int
	}{
		{"ascending", func(i int) int { return i }},
		{"descending", func(i int) int { return n - 1 - i }},
		{"from both ends", func(i int) int {
			if i%2 == 0 {
				return i / 2
			}
			return n - 1 - i/2
		}},
		{"in strides", func(i int) int { return i * 7919 % n }},
	} {
		t.Run(order.name, func(t *testing.T) {
			tab := New(Options{})
			defer tab.Close()
			for i := range n {
				k := order.at(i)
				tab.Set(numbered(k), []byte("m"), Location{Seq: uint64(k)})
			}
			tab.check(t)
			if tab.Len() != n {
				t.Fatalf("%d keys are there", tab.Len())
			}
			for i := range n {
				if _, loc, ok := tab.Get(numbered(i)); !ok || loc.Seq != uint64(i) {
					t.Fatalf("key %d: %v %v", i, loc, ok)
				}
			}
			for i := range n {
				if _, loc, ok := tab.Delete(numbered(order.at(i))); !ok || loc.Seq != uint64(order.at(i)) {
					t.Fatalf("Delete of key %d: %v %v", i, loc, ok)
				}
				if i%2500 == 0 {
					tab.check(t)
				}
			}
			tab.check(t)
		})
	}
}

func TestAnEmptyTableHasNothing(t *testing.T) {
	tab := New(Options{})
	defer tab.Close()
	if _, _, ok := tab.Get(nil); ok {
		t.Error("Get finds something")
	}
	if _, _, ok := tab.Delete([]byte("a")); ok || tab.Update([]byte("a"), Location{}) {
		t.Error("Delete or Update finds something")
	}
	if _, done := tab.Sweep(nil, 1, nil); !done {
		t.Error("Sweep is not done")
	}
	v := tab.View()
	it := v.Iter()
	if it.Seek(nil) || it.SeekBefore(nil) || it.Next() || it.Prev() || v.Len() != 0 {
		t.Error("an iterator finds something")
	}
	v.Release()
	if tab.Len() != 0 || tab.Bytes() != 0 {
		t.Errorf("it has %d keys in %d bytes", tab.Len(), tab.Bytes())
	}
}

// appendNumbered fills a table with n numbered keys.
func appendNumbered(tab *Table, n int, meta []byte, at func(i int) Location) {
	a := NewAppender(tab)
	for i := range n {
		a.Append(numbered(i), meta, at(i))
	}
	a.Flush()
}

// TestAPlaceEndsWhenItsLeafLeavesTheTree finds a key, has something happen, and sets the key at where it was.
func TestAPlaceEndsWhenItsLeafLeavesTheTree(t *testing.T) {
	const n, sought = 2000, 1000
	at := func(i int) Location { return Location{Seq: uint64(i)} }
	for name, happens := range map[string]func(t *testing.T, tab *Table) *Table{
		"nothing": func(_ *testing.T, tab *Table) *Table { return tab },
		"neighbours come until the leaf is split": func(_ *testing.T, tab *Table) *Table {
			for i := range 300 {
				tab.Set(fmt.Appendf(nil, "%s-%d", numbered(sought-1), i), []byte("m"), at(i))
			}
			return tab
		},
		"neighbours go until leaves are joined": func(_ *testing.T, tab *Table) *Table {
			for i := range n {
				if i != sought {
					tab.Delete(numbered(i))
				}
			}
			return tab
		},
		"the key goes and comes back": func(_ *testing.T, tab *Table) *Table {
			tab.Delete(numbered(sought))
			tab.Set(numbered(sought), []byte("m"), at(sought))
			return tab
		},
		"a neighbour changes while a view is there": func(t *testing.T, tab *Table) *Table {
			v := tab.View()
			t.Cleanup(v.Release)
			tab.Set(numbered(sought+1), []byte("n"), at(1))
			return tab
		},
		"a view comes": func(t *testing.T, tab *Table) *Table {
			t.Cleanup(tab.View().Release)
			return tab
		},
		"neighbours are swept away": func(_ *testing.T, tab *Table) *Table {
			for from, done := []byte(nil), false; !done; {
				from, done = tab.Sweep(from, 5, func(key, _ []byte, _ Location) bool { return !bytes.Equal(key, numbered(sought)) })
			}
			return tab
		},
		"another table adopts it": func(t *testing.T, tab *Table) *Table {
			by := New(Options{})
			t.Cleanup(by.Close)
			by.Set([]byte("a"), nil, at(0))
			by.Adopt(tab)
			return by
		},
		"a new table takes its place": func(t *testing.T, _ *Table) *Table {
			by := New(Options{})
			t.Cleanup(by.Close)
			by.Set(numbered(sought), []byte("m"), at(sought))
			return by
		},
	} {
		t.Run(name, func(t *testing.T) {
			tab := New(Options{})
			t.Cleanup(tab.Close)
			appendNumbered(tab, n, []byte("m"), at)
			_, _, place, ok := tab.Find(numbered(sought))
			if !ok {
				t.Fatal("the key is not there")
			}
			tab = happens(t, tab)
			was := map[string]value{}
			each := func(fn func(key string, v value)) {
				v := tab.View()
				defer v.Release()
				it := v.Iter()
				for ok := it.Seek(nil); ok; ok = it.Next() {
					fn(string(it.Key()), value{string(it.Meta()), it.Location()})
				}
			}
			each(func(key string, v value) { was[key] = v })
			meta, before, existed := tab.SetAt(place, numbered(sought), []byte("x"), at(77))
			if string(meta) != "m" || before != at(sought) || !existed {
				t.Errorf("before it was %q, %v, %v", meta, before, existed)
			}
			tab.check(t)
			was[string(numbered(sought))] = value{"x", at(77)}
			left := len(was)
			each(func(key string, v value) {
				if left--; was[key] != v {
					t.Errorf("%s is %v, not %v", key, v, was[key])
				}
			})
			if left != 0 {
				t.Errorf("%d keys too few", left)
			}
		})
	}
}

func TestAdoptRefusesKeysThatAreNotGreaterAndViews(t *testing.T) {
	at := func(i int) Location { return Location{Seq: uint64(i)} }
	panics := func(fn func()) (what any) {
		defer func() { what = recover() }()
		fn()
		return nil
	}
	fill := func() *Table {
		tab := New(Options{})
		t.Cleanup(tab.Close)
		appendNumbered(tab, 100, []byte("m"), at)
		return tab
	}
	if panics(func() { fill().Adopt(fill()) }) == nil {
		t.Error("the same keys were adopted")
	}
	viewed := fill()
	defer viewed.View().Release()
	if panics(func() { New(Options{}).Adopt(viewed) }) == nil {
		t.Error("a table with a view was adopted")
	}
	if panics(func() { viewed.Adopt(New(Options{})) }) == nil {
		t.Error("a table with a view adopted one")
	}
}

func TestTooLongKeysPanic(t *testing.T) {
	tab := New(Options{})
	defer tab.Close()
	a := NewAppender(tab)
	a.Append([]byte("b"), nil, Location{})
	a.Flush()
	for name, f := range map[string]func(){
		"key":    func() { tab.Set(make([]byte, keyBytesMax+1), nil, Location{}) },
		"meta":   func() { a.Append([]byte("c"), make([]byte, metaBytesMax+1), Location{}) },
		"order":  func() { a.Append([]byte("a"), nil, Location{}) },
		"repeat": func() { a.Append([]byte("b"), nil, Location{}) },
		"order before Flush": func() {
			b := NewAppender(tab)
			b.Append([]byte("d"), nil, Location{})
			b.Append([]byte("c"), nil, Location{})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	tab.check(t)
}

func TestLongestKeysAndMetas(t *testing.T) {
	tab := New(Options{})
	defer tab.Close()
	meta := bytes.Repeat([]byte{7}, metaBytesMax)
	key := func(i int) []byte {
		k := bytes.Repeat([]byte{1}, keyBytesMax)
		copy(k[keyBytesMax-8:], fmt.Sprintf("%08d", i))
		return k
	}
	const n = 60
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
		tab.Set(key(i), meta, Location{Seq: uint64(i)})
		tab.Set(numbered(i), meta, Location{Seq: uint64(i)})
	}
	tab.check(t)
	for i := range n {
		if m, loc, ok := tab.Get(key(i)); !ok || !bytes.Equal(m, meta) || loc.Seq != uint64(i) {
			t.Fatalf("key %d: %v %v", i, loc, ok)
		}
	}
	for i := range n {
		tab.Delete(key(i))
		if i%10 == 0 {
			tab.check(t)
		}
	}
}

// TestChangesCopyALeafOncePerGeneration also shows that nodes are given back when views are.
func TestChangesCopyALeafOncePerGeneration(t *testing.T) {
	tab := New(Options{})
	defer tab.Close()
	appendNumbered(tab, 10000, nil, func(i int) Location { return Location{Seq: uint64(i)} })
	v, same := tab.View(), tab.View()
	if v.generation != same.generation {
		t.Fatal("views without a change between have different generations")
	}
	for i := range 1000 {
		tab.Set(numbered(5000), nil, Location{Seq: uint64(10000 + i)})
	}
	if n := len(v.retired); n != tab.height+1 {
		t.Fatalf("1000 changes of one key copied %d nodes", n)
	}
	same.Release()
	if tab.debt.Load() {
		t.Fatal("a generation that is seen is dead")
	}
	// What an older view does not see is not kept for it.
	for range 50 {
		w := tab.View()
		tab.Set(numbered(5000), nil, Location{})
		w.Release()
	}
	tab.begin()
	if n := len(v.retired); n != tab.height+1 || tab.debt.Load() {
		t.Fatalf("%d nodes wait for the old view", n)
	}
	tab.check(t)
	v.Release()
	tab.begin()
	if tab.debt.Load() {
		t.Fatal("nodes are not given back")
	}
	tab.check(t)
}

func TestMemoryIsReusedUnderChurn(t *testing.T) {
	n, rounds := 20000, 8
	if testing.Short() {
		n, rounds = 6000, 4
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for _, kind := range []struct {
		name string
		key  func() []byte
	}{
		{"equal sizes", func() []byte { return randomKey(rng, 0) }},
		{"sizes vary", func() []byte { return randomKeyOf(rng, 4+rng.IntN(80)) }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			tab := New(Options{})
			defer tab.Close()
			var keys [][]byte
			for range n {
				k := kind.key()
				tab.Set(k, []byte("meta"), Location{})
				keys = append(keys, k)
			}
			var most int64
			var views []*View
			for round := range rounds {
				for i := range keys {
					if i%50 == 0 {
						// Two views are live at any time, one of them for longer.
						views = append(views, tab.View())
						if len(views) > 2 {
							views[i/50%2].Release()
							views = slices.Delete(views, i/50%2, i/50%2+1)
						}
					}
					tab.Delete(keys[i])
					keys[i] = kind.key()
					tab.Set(keys[i], []byte("meta"), Location{Seq: uint64(i)})
				}
				if round == 1 {
					most = tab.Bytes()
				}
			}
			tab.check(t)
			for _, v := range views {
				v.Release()
			}
			if tab.Bytes() > most*5/4 {
				t.Errorf("%d bytes after two rounds, %d after %d", most, tab.Bytes(), rounds)
			}
		})
	}
}

func randomKeyOf(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestSweepEmptiesLeavesAndJoinsThem(t *testing.T) {
	const n = 30000
	for _, c := range []struct{ keepOf, atOnce int }{{2, 16}, {50, 16}, {1000, 16}, {20, 1}} {
		keepOf := c.keepOf
		t.Run(fmt.Sprintf("one of %d stays, %d leaves at once", keepOf, c.atOnce), func(t *testing.T) {
			tab := New(Options{})
			defer tab.Close()
			appendNumbered(tab, n, []byte("meta"), func(i int) Location {
				return Location{Seq: uint64(i), Flags: uint8(min(i%keepOf, 1))}
			})
			v := tab.View()
			var from []byte
			calls := 0
			for done := false; !done; calls++ {
				from, done = tab.Sweep(from, c.atOnce, func(_, _ []byte, loc Location) bool { return loc.Flags == 1 })
			}
			tab.check(t)
			if want := (n + keepOf - 1) / keepOf; tab.Len() != want || v.Len() != n {
				t.Fatalf("%d keys are left, want %d; the view has %d", tab.Len(), want, v.Len())
			}
			leaves, full := countLeaves(tab)
			if leaves > full*4+2 {
				t.Errorf("%d leaves hold what would fill %d", leaves, full)
			}
			for i := 0; i < n; i += keepOf {
				if _, _, ok := tab.Get(numbered(i)); !ok {
					t.Fatalf("key %d is gone", i)
				}
			}
			v.Release()
		})
	}
}

// countLeaves returns how many leaves a table has, and how many would hold its entries if they were full.
func countLeaves(t *Table) (leaves, full int) {
	used := 0
	var walk func(r ref, level int)
	walk = func(r ref, level int) {
		if level == t.height {
			leaves++
			used += leaf(t.arena.at(r)).used()
			return
		}
		n := inner(t.arena.at(r))
		for i := range n.count() {
			walk(n.child(i), level+1)
		}
	}
	walk(t.root, 0)
	return leaves, used/leafBytesMax + 1
}

func TestCloseWaitsForViews(t *testing.T) {
	tab := New(Options{})
	tab.Set([]byte("a"), []byte("m"), Location{Seq: 1})
	v := tab.View()
	tab.Close()
	it := v.Iter()
	if !it.Seek(nil) || string(it.Key()) != "a" || string(it.Meta()) != "m" {
		t.Fatal("the view is gone")
	}
	v.Release()
	if tab.Bytes() != 0 {
		t.Fatal("memory is not given back")
	}
}

// TestViewsAreReadWithoutALock has one goroutine that changes all keys of a group under one lock, and readers that
// check that views show whole groups.
func TestViewsAreReadWithoutALock(t *testing.T) {
	const groups, ofGroup = 40, 25
	rounds := 2000
	if testing.Short() {
		rounds = 150
	}
	tab := New(Options{Heap: true})
	defer tab.Close()
	var mu sync.RWMutex
	key := func(group, i int) []byte { return fmt.Appendf(nil, "%02d/%03d%s", i, group, strings.Repeat("x", i)) }
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for reader := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(reader), 9))
			var held []*View
			for {
				select {
				case <-stop:
					for _, v := range held {
						v.Release()
					}
					return
				default:
				}
				mu.RLock()
				v := tab.View()
				g := rng.IntN(groups)
				_, loc, ok := tab.Get(key(g, 0))
				_, again, okAgain := tab.Get(key(g, ofGroup-1))
				mu.RUnlock()
				if ok != okAgain || loc.Seq != again.Seq {
					t.Errorf("Get: group %d has %v %v and %v %v", g, loc, ok, again, okAgain)
				}
				held = append(held, v)
				pick := rng.IntN(len(held))
				if msg := wholeGroups(held[pick], ofGroup); msg != "" {
					t.Error(msg)
				}
				if len(held) > 3 {
					held[pick].Release()
					held = slices.Delete(held, pick, pick+1)
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(8, 8))
	for round := range rounds {
		mu.Lock()
		g := rng.IntN(groups)
		switch rng.IntN(8) {
		case 0:
			for i := range ofGroup {
				tab.Delete(key(g, i))
			}
		case 1:
			suffix := fmt.Appendf(nil, "/%03d", g)
			for from, done := []byte(nil), false; !done; {
				from, done = tab.Sweep(from, 4, func(key, _ []byte, _ Location) bool { return bytes.HasPrefix(key[2:], suffix) })
			}
		default:
			for i := range ofGroup {
				tab.Set(key(g, i), fmt.Appendf(nil, "%d", round), Location{Seq: uint64(round)})
			}
		}
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
	tab.check(t)
}

// wholeGroups says what is wrong if keys of a group are missing or of different rounds.
func wholeGroups(v *View, ofGroup int) string {
	count, round := map[string]int{}, map[string]uint64{}
	it := v.Iter()
	n := 0
	for ok := it.Seek(nil); ok; ok = it.Next() {
		group := string(it.Key()[3:6])
		if count[group]++; count[group] > 1 && round[group] != it.Location().Seq {
			return fmt.Sprintf("group %s has rounds %d and %d", group, round[group], it.Location().Seq)
		}
		round[group] = it.Location().Seq
		if string(it.Meta()) != fmt.Sprint(round[group]) {
			return fmt.Sprintf("group %s: meta %q in round %d", group, it.Meta(), round[group])
		}
		n++
	}
	for group, c := range count {
		if c != ofGroup {
			return fmt.Sprintf("group %s has %d keys", group, c)
		}
	}
	if n != v.Len() {
		return fmt.Sprintf("%d keys of %d", n, v.Len())
	}
	return ""
}

func TestFramesKeepAnyLocation(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	for round := range 4000 {
		n := 1 + rng.IntN(5)
		locs := make([]Location, n)
		lens := make([]int, n)
		var s spread
		for i := range locs {
			locs[i] = Location{
				Seq:     rng.Uint64() >> rng.IntN(64),
				Segment: rng.Uint32() >> rng.IntN(32),
				Offset:  rng.Uint32() >> rng.IntN(32),
				Length:  rng.Uint32() >> rng.IntN(32),
				Flags:   uint8(rng.Uint32() >> (24 + rng.IntN(9))),
			}
			if round%2 == 0 {
				locs[i].Segment = locs[0].Segment
			}
			lens[i] = rng.IntN(70000)
			s.add(&locs[i], lens[i])
		}
		f := s.frame()
		for i := range locs {
			b := bytes.Repeat([]byte{0xaa}, frameBytesMax+9)
			if !f.fits(&locs[i], lens[i]) {
				t.Fatalf("%+v does not fit %+v, which was made for it", locs[i], f)
			}
			f.put(b, &locs[i], lens[i])
			if got := f.get(b, lens[i]); got != locs[i] {
				t.Fatalf("%+v is read as %+v", locs[i], got)
			}
			if b[f.bytes] != 0xaa {
				t.Fatalf("%+v is longer than %d bytes", locs[i], f.bytes)
			}
		}
	}
}

func TestFramesHaveRoomForALogOfTwiceTheLength(t *testing.T) {
	for n := uint32(3); n < 1<<20; n = n*3/2 + 1 {
		at := func(i uint32) Location {
			return Location{Seq: uint64(1 + i*20), Segment: i / 3, Offset: i % 3 << 20, Length: 500}
		}
		var s spread
		for i := range min(n, 1000) {
			loc := at(i * (n / min(n, 1000)))
			s.add(&loc, 31)
		}
		for _, i := range []uint32{n - 1, 0, 2} {
			loc := at(i)
			s.add(&loc, 31)
		}
		f := s.frame()
		for i := range 100 {
			if loc := at(n + (n-n/8)*uint32(i)/100); !f.fits(&loc, 31) {
				t.Fatalf("%+v does not fit %+v, made for %d numbers", loc, f, n)
			}
		}
	}
}

func TestFramesHaveRoomInTheSegmentThatIsWritten(t *testing.T) {
	const recordBytes = 220
	for _, first := range []uint32{0, 1, 1000, 1 << 20} {
		for n := uint32(2); n < 1<<20; n = n*3/2 + 1 {
			at := func(i uint32) Location {
				return Location{Seq: uint64(1 + i), Segment: 3, Offset: i * recordBytes, Length: recordBytes}
			}
			var s spread
			for _, i := range []uint32{first, first + n/2, first + n} {
				loc := at(i)
				s.add(&loc, 31)
			}
			f := s.frame()
			if loc := at(first + n + n*2/3); !f.fits(&loc, 31) {
				t.Fatalf("%+v does not fit %+v, made for %d records from %d on", loc, f, n, first)
			}
		}
	}
}

// TestLeavesSeldomTakeAnotherFormWhileALogGrows rewrites keys in random order, and looks at the frame of each leaf before and after.
func TestLeavesSeldomTakeAnotherFormWhileALogGrows(t *testing.T) {
	const writes = 200_000
	l := newGrowingLog(newRecords(20_000, randomKey), 20<<20)
	frameOf := func(i int) frame { return l.t.locate(l.r.keys[i]).frame() }
	changed := 0
	for range writes {
		i := l.someKey()
		before := frameOf(i)
		l.put(i)
		if frameOf(i) != before {
			changed++
		}
	}
	if limit := writes / 50; changed > limit {
		t.Errorf("%d of %d writes gave a leaf another frame, more than %d", changed, writes, limit)
	}
	t.Logf("%d of %d writes gave a leaf another frame", changed, writes)
}

func TestHeadsAreFoundHoweverTheyAreSpread(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	for round := range 3000 {
		list := make([]uint64, 1+rng.IntN(60))
		for i := range list {
			list[i] = rng.Uint64() >> (rng.IntN(8) * 8 * (round % 2)) << (round % 3 * 20)
		}
		slices.Sort(list)
		var heads []byte
		for _, h := range list {
			heads = binary.LittleEndian.AppendUint64(heads, h)
		}
		for _, h := range append(list, 0, ^uint64(0), rng.Uint64()) {
			for _, want := range []uint64{h - 1, h, h + 1} {
				expect, _ := slices.BinarySearch(list, want)
				if got := searchHeads(heads, want); got != expect {
					t.Fatalf("%x is found at %d of %x, not at %d", want, got, list, expect)
				}
			}
		}
	}
}

// TestSplitsOfLeavesChangeInnerNodesInPlace counts how often a table's only inner node becomes another.
func TestSplitsOfLeavesChangeInnerNodesInPlace(t *testing.T) {
	tab := New(Options{})
	defer tab.Close()
	rng := rand.New(rand.NewPCG(6, 7))
	roots, last := 0, none
	for range 8000 {
		tab.Set(randomKey(rng, 0), []byte("meta"), Location{})
		if tab.height > 0 && tab.root != last {
			roots, last = roots+1, tab.root
		}
	}
	tab.check(t)
	if leaves := inner(tab.arena.at(tab.root)).count(); tab.height != 1 || roots > leaves/10+2 {
		t.Errorf("%d leaves under %d levels have had %d roots", leaves, tab.height, roots)
	}
}

// recorder is a test that only notes that it failed.
type recorder struct{ testing.TB }

func (recorder) Helper()               {}
func (recorder) Fatal(...any)          { panic("failed") }
func (recorder) Fatalf(string, ...any) { panic("failed") }

func TestCheckSeesWhatIsBroken(t *testing.T) {
	for name, breakIt := range map[string]func(tab *Table, l leaf){
		"order":       func(_ *Table, l leaf) { e := l.entry(0); l[e.key] = 0xff },
		"used":        func(_ *Table, l leaf) { l.put(l.count(), l.used()+1) },
		"count":       func(_ *Table, l leaf) { l.put(l.count()-1, l.used()-l.stride()) },
		"leak":        func(tab *Table, _ leaf) { tab.arena.alloc(1000) },
		"double free": func(tab *Table, l leaf) { tab.arena.release(tab.path[tab.height].ref, granulesOf(l)) },
		"lost child":  func(tab *Table, _ leaf) { tab.setRef(tab.height, tab.root) },
	} {
		tab := New(Options{Heap: true})
		appendNumbered(tab, 1000, nil, func(i int) Location { return Location{Seq: uint64(i)} })
		tab.check(t)
		breakIt(tab, tab.locate(numbered(500)))
		failed := func() (failed bool) {
			defer func() { failed = recover() != nil }()
			tab.check(recorder{t})
			return false
		}()
		if !failed {
			t.Errorf("%s: check sees nothing", name)
		}
	}
}

func TestCountLessCountsBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 1000 {
		s := make([]byte, 8*rng.IntN(32))
		for i := range s {
			s[i] = byte(rng.Uint32())
		}
		for b := range 256 {
			expect := 0
			for _, x := range s {
				if int(x) < b {
					expect++
				}
			}
			if got := countLess(s, byte(b)); got != expect {
				t.Fatalf("%d of %x are less than %d, not %d", expect, s, b, got)
			}
		}
	}
}

// TestDirectoryOfManySmallEntries has more entries in a leaf than a directory has room for, were they not split.
func TestDirectoryOfManySmallEntries(t *testing.T) {
	tab := New(Options{Heap: true})
	defer tab.Close()
	key := func(i int) []byte { return []byte{byte(i >> 8), byte(i)} }
	for i := range 2000 {
		tab.Set(key(i*7919%2000), nil, Location{})
	}
	tab.check(t)
	for i := 0; i < 2000; i += 3 {
		tab.Delete(key(i))
	}
	tab.check(t)
	for i := range 2000 {
		if _, _, ok := tab.Get(key(i)); ok != (i%3 != 0) {
			t.Fatalf("key %d is there: %v", i, ok)
		}
	}
}

// TestDirectoryOfCrowdedKeys has keys that are nearly all in one bucket.
func TestDirectoryOfCrowdedKeys(t *testing.T) {
	tab := New(Options{Heap: true})
	defer tab.Close()
	key := func(i int) []byte {
		b := []byte("00000000000000000000")
		binary.BigEndian.PutUint32(b[16:], uint32(i))
		if i%100 == 0 {
			b[i/100%16] = 'x'
		}
		return b
	}
	for i := range 3000 {
		tab.Set(key(i*7919%3000), []byte("meta"), Location{Seq: uint64(i)})
	}
	tab.check(t)
	for i := range 3000 {
		if _, _, ok := tab.Get(key(i)); !ok {
			t.Fatalf("key %d is missing", i)
		}
	}
}

// TestMetasOfAFewLengthsHaveADirectory sets metas of other lengths again and again: their entries have room for them where they stand, until one is
// longer than all before, or much longer than most.
func TestMetasOfAFewLengthsHaveADirectory(t *testing.T) {
	for _, least := range []int{0, 12, metaBytesMax - 3} {
		t.Run(fmt.Sprintf("from %d", least), func(t *testing.T) { testMetasOfAFewLengths(t, least) })
	}
}

func testMetasOfAFewLengths(t *testing.T, least int) {
	const keys = 3000
	tab := New(Options{Heap: true})
	defer tab.Close()
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%08d", i*7919%keys) }
	meta := func(i, n int) []byte { return bytes.Repeat([]byte{byte(i)}, n) }
	lengths := make([]int, keys)
	set := func(i, n int) {
		before, _, existed := tab.Set(key(i), meta(i, n), Location{Seq: uint64(i)})
		if existed && !bytes.Equal(before, meta(i, lengths[i])) {
			t.Fatalf("key %d had the meta %v", i, before)
		}
		lengths[i] = n
	}
	inDirectories := func() (n, all int) {
		for i := range keys {
			l := tab.locate(key(i))
			if _, ok := l.search(key(i)); !ok {
				t.Fatalf("key %d is missing", i)
			}
			if all++; l.stride() != 0 {
				n++
			}
			if got, _, _ := tab.Get(key(i)); !bytes.Equal(got, meta(i, lengths[i])) {
				t.Fatalf("key %d has the meta %v", i, got)
			}
		}
		return n, all
	}
	for round := range 4 {
		for i := range keys {
			set(i, least+(i+round)%4)
		}
		tab.check(t)
		if n, all := inDirectories(); n != all {
			t.Fatalf("%d of %d keys are in leaves with a directory", n, all)
		}
	}
	used := tab.Bytes() - tab.arena.free<<granuleShift
	for i := range keys {
		set(i, least+(i+1)%4)
	}
	if now := tab.Bytes() - tab.arena.free<<granuleShift; now != used {
		t.Errorf("other metas of the same lengths made %d bytes of nodes %d", used, now)
	}
	for i := range keys {
		set(i, 2+i%2*250)
	}
	tab.check(t)
	if n, all := inDirectories(); n != 0 {
		t.Fatalf("%d of %d keys are in leaves with room for much longer metas", n, all)
	}
}

// TestKeysInOrderLeaveFullLeaves has as many keys set in order and appended.
func TestKeysInOrderLeaveFullLeaves(t *testing.T) {
	r := newRecords(20_000, userKey)
	set, appended := New(Options{Heap: true}), New(Options{Heap: true})
	defer set.Close()
	defer appended.Close()
	a := NewAppender(appended)
	for i := range r.keys {
		set.Set(r.keys[i], r.meta(i), r.locs[i])
		a.Append(r.keys[i], r.meta(i), r.locs[i])
	}
	a.Flush()
	set.check(t)
	if got, full := leavesOf(set), leavesOf(appended); got > full*11/10 {
		t.Errorf("keys set in order have %d leaves, appended %d", got, full)
	}
}

func leavesOf(tab *Table) (n int) {
	v := tab.View()
	defer v.Release()
	it := v.Iter()
	var last *byte
	for ok := it.Seek(nil); ok; ok = it.Next() {
		if p := &it.leaf[0]; p != last {
			last = p
			n++
		}
	}
	return n
}

// TestCopiesForViewsDoNotGrow has free blocks that are longer than the nodes that are copied.
func TestCopiesForViewsDoNotGrow(t *testing.T) {
	tab := New(Options{Heap: true})
	defer tab.Close()
	rng := rand.New(rand.NewPCG(13, 14))
	keys := make([][]byte, 6000)
	for i := range keys {
		keys[i] = randomKey(rng, 0)
		tab.Set(keys[i], nil, Location{})
	}
	most := 0
	v := tab.View()
	for i := range 5 * len(keys) {
		k := i % len(keys)
		if i%50 == 0 {
			v.Release()
			v = tab.View()
		}
		tab.Delete(keys[k])
		keys[k] = randomKey(rng, 0)
		tab.Set(keys[k], nil, Location{})
		most = max(most, granulesOf(tab.arena.at(tab.root)))
	}
	v.Release()
	if most > 2*granulesFor(innerBytesMax) {
		t.Errorf("the root had %d granules", most)
	}
}
