package memindex

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
)

// records makes keys, metas and locations as an engine's log would have them.
type records struct {
	keys  [][]byte
	metas []byte
	locs  []Location
	// spread is how many lengths metas have.
	spread int
}

const (
	benchKeys    = 1_000_000
	benchMetaLen = 15
	variedMetas  = 3
)

func (r *records) meta(i int) []byte {
	at := i * 7 % (len(r.metas) - benchMetaLen)
	return r.metas[at : at+benchMetaLen-i*7919%r.spread]
}

// newRecords makes n records that were written in the order of keys.
func newRecords(n int, key func(rng *rand.Rand, i int) []byte) *records {
	rng := rand.New(rand.NewPCG(1, 2))
	r := &records{keys: make([][]byte, n), metas: make([]byte, 1<<16), locs: make([]Location, n), spread: 1}
	for i := range r.metas {
		r.metas[i] = byte(rng.Uint32())
	}
	var segment, offset uint32
	for i := range n {
		r.keys[i] = key(rng, i)
		length := uint32(16 + benchMetaLen + 29 + 100 + rng.IntN(900))
		r.locs[i] = Location{Seq: uint64(i + 1), Segment: segment, Offset: offset, Length: length}
		if offset += length; offset > 256<<20 {
			segment, offset = segment+1, 0
		}
	}
	return r
}

func randomKey(rng *rand.Rand, _ int) []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func userKey(_ *rand.Rand, i int) []byte { return fmt.Appendf(nil, "user:%011d", i) }

// decimalKey is of one length most of the time, and not always.
func decimalKey(_ *rand.Rand, i int) []byte { return fmt.Appendf(nil, "bench/%d", i) }

func (r *records) shuffled() []int { return rand.New(rand.NewPCG(3, 4)).Perm(len(r.keys)) }

func (r *records) inOrder() []int {
	order := r.shuffled()
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(r.keys[a], r.keys[b]) })
	return order
}

// reordered returns the records in another order, side by side in memory, so that benchmarks do not measure how long
// it takes to fetch keys. Locations stay: records are written in the new order.
func (r *records) reordered(order []int) *records {
	text := make([]byte, 0, 16*len(order))
	o := &records{keys: make([][]byte, len(order)), metas: r.metas, locs: r.locs, spread: r.spread}
	for n, k := range order {
		at := len(text)
		text = append(text, r.keys[k]...)
		o.keys[n] = text[at:len(text):len(text)]
	}
	return o
}

func (r *records) filled() *Table {
	t := New(Options{})
	for i := range r.keys {
		t.Set(r.keys[i], r.meta(i), r.locs[i])
	}
	return t
}

func reportSize(b *testing.B, t *Table) {
	b.ReportMetric(float64(t.Bytes())/float64(t.Len()), "B/key")
}

// BenchmarkSetNew sets new keys in a table that has a million on average.
func BenchmarkSetNew(b *testing.B) {
	for _, kind := range []struct {
		name   string
		key    func(*rand.Rand, int) []byte
		spread int
	}{{"random", randomKey, 1}, {"user", userKey, 1}, {"random/metas=varied", randomKey, variedMetas}} {
		b.Run(kind.name, func(b *testing.B) {
			r := newRecords(2*benchKeys, kind.key)
			r.spread = kind.spread
			r = r.reordered(r.shuffled())
			var t *Table
			n := len(r.keys)
			for b.Loop() {
				if n == len(r.keys) {
					b.StopTimer()
					if t != nil {
						t.Close()
					}
					t, n = New(Options{}), 0
					b.StartTimer()
				}
				t.Set(r.keys[n], r.meta(n), r.locs[n])
				n++
			}
			reportSize(b, t)
			t.Close()
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	r := newRecords(benchKeys, randomKey)
	rand.Shuffle(benchKeys, func(i, j int) { r.locs[i], r.locs[j] = r.locs[j], r.locs[i] })
	r = r.reordered(r.inOrder())
	t := New(Options{})
	a := NewAppender(t)
	n := 0
	for b.Loop() {
		if n == benchKeys {
			t.Close()
			t, n = New(Options{}), 0
			a = NewAppender(t)
		}
		a.Append(r.keys[n], r.meta(n), r.locs[n])
		n++
	}
	a.Flush()
	reportSize(b, t)
	t.Close()
}

// eachSpread runs a benchmark with metas of one length, and of several.
func eachSpread(b *testing.B, fn func(b *testing.B, spread int)) {
	b.Run("metas=equal", func(b *testing.B) { fn(b, 1) })
	b.Run("metas=varied", func(b *testing.B) { fn(b, variedMetas) })
}

func BenchmarkGet(b *testing.B) { eachSpread(b, benchmarkGet) }

func benchmarkGet(b *testing.B, spread int) {
	r := newRecords(benchKeys, randomKey)
	r.spread = spread
	t := r.filled()
	r = r.reordered(r.shuffled())
	n := 0
	for b.Loop() {
		if _, _, ok := t.Get(r.keys[n%benchKeys]); !ok {
			b.Fatal("a key is missing")
		}
		n++
	}
	reportSize(b, t)
	t.Close()
}

func BenchmarkOverwrite(b *testing.B) { eachSpread(b, benchmarkOverwrite) }

func benchmarkOverwrite(b *testing.B, spread int) {
	r := newRecords(benchKeys, randomKey)
	r.spread = spread
	t := r.filled()
	r = r.reordered(r.shuffled())
	seq := uint64(benchKeys)
	n := 0
	for b.Loop() {
		seq++
		loc := r.locs[n%benchKeys]
		loc.Seq = seq
		t.Set(r.keys[n%benchKeys], r.meta(n), loc)
		n++
	}
	reportSize(b, t)
	t.Close()
}

// growingLog is a table of which all keys were written once, in random order, into a log that goes on growing.
type growingLog struct {
	r                     *records
	t                     *Table
	rng                   *rand.Rand
	written, segmentBytes int
}

func newGrowingLog(r *records, segmentBytes int) *growingLog {
	l := &growingLog{r: r, t: New(Options{}), rng: rand.New(rand.NewPCG(5, 6)), segmentBytes: segmentBytes}
	for _, i := range r.shuffled() {
		l.put(i)
	}
	return l
}

func (l *growingLog) someKey() int { return l.rng.IntN(len(l.r.keys)) }

// put writes a key at the end of the log.
func (l *growingLog) put(i int) {
	const recordBytes = 220
	at := l.written * recordBytes
	l.written++
	l.t.Set(l.r.keys[i], l.r.meta(i), Location{
		Seq: uint64(l.written), Segment: uint32(at / l.segmentBytes), Offset: uint32(at % l.segmentBytes), Length: recordBytes,
	})
}

// BenchmarkRewrite overwrites in random order the keys of a table of which the log goes on growing, as a store's does.
func BenchmarkRewrite(b *testing.B) {
	for _, kind := range []struct {
		name string
		key  func(*rand.Rand, int) []byte
		keys int
	}{{"random/keys=1e6", randomKey, benchKeys}, {"random/keys=2e4", randomKey, 20_000}, {"decimal/keys=2e4", decimalKey, 20_000}} {
		b.Run(kind.name, func(b *testing.B) {
			l := newGrowingLog(newRecords(kind.keys, kind.key), 256<<20)
			for b.Loop() {
				l.put(l.someKey())
			}
			reportSize(b, l.t)
			l.t.Close()
		})
	}
}

func BenchmarkIterate(b *testing.B) {
	t := newRecords(benchKeys, randomKey).filled()
	v := t.View()
	it := v.Iter()
	var sum uint64
	for b.Loop() {
		if !it.Next() {
			it.Seek(nil)
		}
		sum += it.Location().Seq + uint64(len(it.Key())+len(it.Meta()))
	}
	v.Release()
	t.Close()
}

// TestMemoryPerKey measures what a key takes; MEMINDEX_KEYS says with how many keys.
func TestMemoryPerKey(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("MEMINDEX_KEYS"))
	if n == 0 {
		n = 50_000
	}
	if testing.Short() {
		n = 20_000
	}
	for _, kind := range []struct {
		name string
		key  func(*rand.Rand, int) []byte
		most float64
	}{{"random", randomKey, 50}, {"user", userKey, 38}} {
		r := newRecords(n, kind.key)
		for _, way := range []struct {
			name string
			fill func(*Table)
		}{
			{"random order", func(tab *Table) {
				for n, k := range r.shuffled() {
					tab.Set(r.keys[k], r.meta(k), r.locs[n])
				}
			}},
			{"ascending", func(tab *Table) {
				for n, k := range r.inOrder() {
					tab.Set(r.keys[k], r.meta(k), r.locs[n])
				}
			}},
			{"Append", func(tab *Table) {
				written := r.shuffled()
				a := NewAppender(tab)
				for i, k := range r.inOrder() {
					a.Append(r.keys[k], r.meta(k), r.locs[written[i]])
				}
				a.Flush()
			}},
		} {
			tab := New(Options{})
			way.fill(tab)
			used := tab.Bytes() - tab.arena.free<<granuleShift
			perKey := float64(tab.Bytes()) / float64(n)
			t.Logf("%s keys, %s: %.1f B/key, %.1f of it in nodes", kind.name, way.name, perKey, float64(used)/float64(n))
			if n >= 1_000_000 && perKey > kind.most {
				t.Errorf("that is more than %v", kind.most)
			}
			tab.Close()
		}
	}
}
