package memindex

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
)

type value struct {
	meta string
	loc  Location
}

// model is what a table should be: a map, and its keys in order.
type model struct {
	values map[string]value
	keys   []string
}

func newModel() *model { return &model{values: map[string]value{}} }

func (m *model) clone() *model {
	return &model{maps.Clone(m.values), slices.Clone(m.keys)}
}

func (m *model) set(key string, v value) {
	if _, ok := m.values[key]; !ok {
		i := sort.SearchStrings(m.keys, key)
		m.keys = slices.Insert(m.keys, i, key)
	}
	m.values[key] = v
}

func (m *model) delete(key string) {
	if _, ok := m.values[key]; ok {
		i := sort.SearchStrings(m.keys, key)
		m.keys = slices.Delete(m.keys, i, i+1)
		delete(m.values, key)
	}
}

// choices draws what a test does: from a seed, or from a fuzzer's bytes.
type choices struct {
	rng  *rand.Rand
	data []byte
	done bool
}

func (c *choices) n(n int) int {
	if c.rng != nil {
		return c.rng.IntN(n)
	}
	if len(c.data) < 2 {
		c.done = true
		return 0
	}
	x := int(c.data[0]) | int(c.data[1])<<8
	c.data = c.data[2:]
	return x % n
}

// world is a table with its model, and views with theirs.
type world struct {
	tb     testing.TB
	c      *choices
	t      *Table
	m      *model
	views  []*View
	models []*model
	key    func(c *choices) string
	seq    uint64
	// found is the key that was looked up last, at where it was then.
	found string
	at    Place
	// variedMetas has metas of a few lengths, so that entries have room for the longest, and others so rarely that many leaves have none.
	variedMetas bool
}

func (w *world) location() Location {
	w.seq++
	c := w.c
	loc := Location{Seq: w.seq, Segment: uint32(w.seq / 1000), Offset: uint32(c.n(1 << 16)), Length: uint32(100 + c.n(200))}
	switch c.n(40) {
	case 0:
		loc = Location{Seq: ^uint64(0) - uint64(c.n(3)), Segment: ^uint32(0), Offset: ^uint32(0), Length: ^uint32(0), Flags: 255}
	case 1:
		loc = Location{}
	case 2:
		loc.Flags = uint8(c.n(4))
	case 3:
		loc.Length = uint32(c.n(1<<16)) << 14
	case 4:
		loc.Segment = uint32(c.n(1 << 16))
	}
	return loc
}

func (w *world) meta() string {
	kinds := 30
	if w.variedMetas {
		kinds = 1000
	}
	switch w.c.n(kinds) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("m", w.c.n(256))
	case 2:
		return strings.Repeat("n", w.c.n(20))
	}
	meta := fmt.Sprintf("meta%011d", w.c.n(1000))
	if w.variedMetas {
		return meta[w.c.n(4):]
	}
	return meta
}

// someKey returns a key that is there more often than not.
func (w *world) someKey() string {
	if len(w.m.keys) > 0 && w.c.n(10) > 0 {
		return w.m.keys[w.c.n(len(w.m.keys))]
	}
	return w.key(w.c)
}

func (w *world) expect(what, key string, meta []byte, loc Location, ok bool) {
	w.tb.Helper()
	want, wantOK := w.m.values[key]
	if ok != wantOK || string(meta) != want.meta || loc != want.loc {
		w.tb.Fatalf("%s of %.40q: %q %+v %v, want %+v %v", what, key, meta, loc, ok, want, wantOK)
	}
}

func (w *world) step() {
	c := w.c
	switch p := c.n(100); {
	case p < 40:
		w.set(w.key(c))
	case p < 50:
		key := w.someKey()
		if c.n(2) == 0 && w.found != "" {
			key = w.found // at where it was some steps ago
		}
		w.set(key)
	case p < 65:
		key := w.someKey()
		meta, loc, ok := w.t.Delete([]byte(key))
		w.expect("Delete", key, meta, loc, ok)
		w.m.delete(key)
	case p < 75:
		key, loc := w.someKey(), w.location()
		v, want := w.m.values[key]
		if w.t.Update([]byte(key), loc) != want {
			w.tb.Fatalf("Update of %.40q is not %v", key, want)
		}
		if want {
			w.m.set(key, value{v.meta, loc})
		}
	case p < 85:
		w.find(w.someKey())
		if c.n(2) == 0 { // mostly nothing else comes between
			w.set(w.found)
		}
	case p < 90:
		for range c.n(20) {
			w.append()
		}
	case p < 93:
		if len(w.views) < 5 {
			w.views, w.models = append(w.views, w.t.View()), append(w.models, w.m.clone())
		}
	case p < 97:
		w.checkView()
	case p < 99:
		if len(w.views) > 0 {
			w.release(c.n(len(w.views)))
		}
	default:
		switch c.n(8) {
		case 0:
			w.sweep()
		case 1, 2:
			w.adopt()
		}
	}
}

// find looks a key up, by which it is set later, or by which another one is.
func (w *world) find(key string) {
	meta, loc, at, ok := w.t.Find([]byte(key))
	w.expect("Find", key, meta, loc, ok)
	if ok != (at != Place{}) {
		w.tb.Fatalf("%.40q is there: %v, at %v", key, ok, at)
	}
	w.found, w.at = key, at
}

func (w *world) set(key string) {
	meta, loc := w.meta(), w.location()
	m, l, ok := w.t.SetAt(w.at, []byte(key), []byte(meta), loc)
	w.expect("SetAt", key, m, l, ok)
	w.m.set(key, value{meta, loc})
}

// append appends a key, or some at once.
func (w *world) append() {
	a := NewAppender(w.t)
	n := 1
	if w.c.n(20) == 0 {
		n = 1 + w.c.n(8)
	}
	for range n {
		key, ok := w.greaterKey()
		if !ok {
			break
		}
		meta, loc := w.meta(), w.location()
		a.Append([]byte(key), []byte(meta), loc)
		w.m.set(key, value{meta, loc})
		if w.c.n(100) == 0 {
			a.Flush()
		}
	}
	a.Flush()
}

// adopt has the table adopt one with greater keys, or adopts it into another one that has none yet, and releases all views first.
func (w *world) adopt() {
	for len(w.views) > 0 {
		w.release(0)
	}
	own := w.t
	w.t = New(Options{Heap: own.arena.heap})
	for range w.c.n(100) {
		w.append()
	}
	if w.c.n(4) == 0 { // it has held a view, and gaps
		w.t.View().Release()
		if n := len(w.m.keys); n > own.Len() {
			w.t.Delete([]byte(w.m.keys[n-1]))
			w.m.delete(w.m.keys[n-1])
		}
	}
	own.Adopt(w.t)
	if w.t.Len() != 0 || w.t.Bytes() != 0 {
		w.tb.Fatalf("%d keys in %d bytes are left where they were adopted from", w.t.Len(), w.t.Bytes())
	}
	w.t.Close()
	w.t = own
	if w.c.n(4) == 0 {
		w.t = New(Options{Heap: own.arena.heap})
		w.t.Adopt(own)
	}
	w.t.check(w.tb)
}

// greaterKey is a key that is greater than all that are there. ok is false if none was found.
func (w *world) greaterKey() (key string, ok bool) {
	key = w.key(w.c)
	if n := len(w.m.keys); n > 0 && key <= w.m.keys[n-1] {
		last := w.m.keys[n-1]
		if key = last + "a"; len(last) > 60 {
			if key = last[:len(last)-1] + string(last[len(last)-1]+1); last[len(last)-1] == 0xff {
				return "", false
			}
		}
		return key, key > last && len(key) <= keyBytesMax
	}
	return key, true
}

func (w *world) sweep() {
	share := []int{1, 10, 50, 90, 99, 100}[w.c.n(6)]
	leaves := 1 + w.c.n(20)
	var from []byte
	if w.c.n(2) == 0 {
		from = []byte(w.someKey())
	}
	seen := string(from)
	var visited []string
	for rounds := 0; ; rounds++ {
		next, done := w.t.Sweep(from, leaves, func(key, meta []byte, loc Location) bool {
			w.expect("Sweep", string(key), meta, loc, true)
			visited = append(visited, string(key))
			if w.c.n(100) < share {
				w.m.delete(string(key))
				return true
			}
			return false
		})
		if !slices.IsSorted(visited) || len(visited) > 0 && visited[0] < seen {
			w.tb.Fatal("Sweep visits keys out of order")
		}
		w.t.check(w.tb)
		if done || w.c.n(20) == 0 {
			return
		}
		from = next
	}
}

func (w *world) release(i int) {
	w.views[i].Release()
	w.views, w.models = slices.Delete(w.views, i, i+1), slices.Delete(w.models, i, i+1)
}

func (w *world) checkView() {
	if len(w.views) == 0 {
		return
	}
	i := w.c.n(len(w.views))
	checkViewIs(w.tb, w.views[i], w.models[i])
	seeks(w.tb, w.views[i], w.models[i], w.someKey())
}

func checkViewIs(tb testing.TB, v *View, m *model) {
	tb.Helper()
	if v.Len() != len(m.keys) {
		tb.Fatalf("a view has %d keys, want %d", v.Len(), len(m.keys))
	}
	it := v.Iter()
	i := 0
	for ok := it.Seek(nil); ok; ok = it.Next() {
		isAt(tb, &it, m, i)
		i++
	}
	if i != len(m.keys) {
		tb.Fatalf("a view has %d keys forwards, want %d", i, len(m.keys))
	}
	for ok := it.SeekBefore(nil); ok; ok = it.Prev() {
		i--
		isAt(tb, &it, m, i)
	}
	if i != 0 {
		tb.Fatalf("a view lacks %d keys backwards", i)
	}
}

func isAt(tb testing.TB, it *Iterator, m *model, i int) {
	tb.Helper()
	if i < 0 || i >= len(m.keys) {
		tb.Fatalf("the iterator is on %.40q, outside of the model", it.Key())
	}
	key := m.keys[i]
	v := m.values[key]
	if string(it.Key()) != key || string(it.Meta()) != v.meta || it.Location() != v.loc {
		tb.Fatalf("the iterator is on %.40q %q %+v, want %.40q %+v", it.Key(), it.Meta(), it.Location(), key, v)
	}
}

// seeks checks both seeks, and a few moves from there.
func seeks(tb testing.TB, v *View, m *model, key string) {
	tb.Helper()
	it := v.Iter()
	at := sort.SearchStrings(m.keys, key)
	if ok := it.Seek([]byte(key)); ok != (at < len(m.keys)) {
		tb.Fatalf("Seek to %.40q is %v", key, ok)
	} else if ok {
		isAt(tb, &it, m, at)
		if it.Prev() != (at > 0) {
			tb.Fatal("Prev after Seek")
		} else if at > 0 {
			isAt(tb, &it, m, at-1)
		}
	}
	if ok := it.SeekBefore([]byte(key)); ok != (at > 0) {
		tb.Fatalf("SeekBefore to %.40q is %v", key, ok)
	} else if ok {
		isAt(tb, &it, m, at-1)
		if it.Next() != (at < len(m.keys)) {
			tb.Fatal("Next after SeekBefore")
		} else if at < len(m.keys) {
			isAt(tb, &it, m, at)
		}
	}
}

func (w *world) finish() {
	v := w.t.View()
	checkViewIs(w.tb, v, w.m)
	v.Release()
	for len(w.views) > 0 {
		checkViewIs(w.tb, w.views[0], w.models[0])
		w.release(0)
	}
	w.t.check(w.tb)
	w.t.Sweep(nil, 1, func([]byte, []byte, Location) bool { return false })
	for w.t.debt.Load() {
		w.t.reclaim(reclaimStep)
	}
	w.t.check(w.tb)
	for from, done := []byte(nil), false; !done; {
		from, done = w.t.Sweep(from, 7, func([]byte, []byte, Location) bool { return true })
	}
	w.t.check(w.tb)
	if w.t.Len() != 0 || w.t.root != none {
		w.tb.Fatalf("%d keys are left", w.t.Len())
	}
	if w.t.arena.free != max(0, w.t.arena.bytes>>granuleShift-1) {
		w.tb.Fatal("an empty table has memory that is not free")
	}
	w.t.Close()
}

// keyKinds are the keys that tables are tested with.
var keyKinds = []struct {
	name string
	key  func(c *choices) string
}{
	{"few short", func(c *choices) string { return strings.Repeat("\x00", c.n(3)) + fmt.Sprint(c.n(300)) }},
	{"bits", func(c *choices) string {
		b := make([]byte, c.n(14))
		for i := range b {
			b[i] = byte(c.n(2)) * 255
		}
		return string(b)
	}},
	{"random of one length", func(c *choices) string {
		b := make([]byte, 16)
		for i := range b {
			b[i] = byte(c.n(256))
		}
		return string(b)
	}},
	{"numbers of one prefix", func(c *choices) string { return fmt.Sprintf("user:%011d", c.n(20000)) }},
	{"long prefixes", func(c *choices) string {
		return strings.Repeat("p", 100*c.n(3)) + strings.Repeat("q", c.n(20)) + fmt.Sprint(c.n(1000))
	}},
	{"any length", func(c *choices) string {
		switch c.n(60) {
		case 0:
			return strings.Repeat("z", keyBytesMax-c.n(5))
		case 1:
			return strings.Repeat("k", c.n(6000)) + fmt.Sprint(c.n(100))
		case 2:
			return ""
		}
		return fmt.Sprintf("k%d", c.n(5000))
	}},
	{"kilobytes", func(c *choices) string {
		return strings.Repeat("x", 1000+1000*c.n(3)) + fmt.Sprint(c.n(400))
	}},
}

func TestTableIsASortedMap(t *testing.T) {
	steps := 6000
	if testing.Short() {
		steps = 2000
	}
	for i, kind := range keyKinds {
		for _, varied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/variedMetas=%v", kind.name, varied), func(t *testing.T) {
				n := steps / 2
				if i >= 5 {
					n /= 6
				}
				c := &choices{rng: rand.New(rand.NewPCG(uint64(i), 1))}
				w := &world{tb: t, c: c, t: New(Options{}), m: newModel(), key: kind.key, variedMetas: varied}
				for k := range n {
					w.step()
					if k%(n/20) == 0 {
						w.t.check(t)
					}
				}
				w.finish()
			})
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{0}, []byte("seed of operations: any bytes do, two for each choice"))
	f.Add([]byte{0x80}, bytes.Repeat([]byte{9, 2, 130, 41, 7, 66, 250, 3, 18, 77}, 300))
	f.Add([]byte{3}, bytes.Repeat([]byte{1, 7, 90, 3, 55, 0, 38, 2}, 200))
	f.Fuzz(func(t *testing.T, kind, ops []byte) {
		if len(kind) == 0 {
			return
		}
		c := &choices{data: ops}
		w := &world{tb: t, c: c, t: New(Options{Heap: true}), m: newModel(), key: keyKinds[int(kind[0])%len(keyKinds)].key, variedMetas: kind[0]&0x80 != 0}
		for !c.done {
			w.step()
		}
		w.t.check(t)
		w.finish()
	})
}
