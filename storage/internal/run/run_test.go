package run

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
	"pgregory.net/rapid"
)

func genRecords(t *rapid.T) []Record {
	key := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 12),
		rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 255}), 0, 12),
		rapid.Map(rapid.IntRange(0, 999), func(i int) []byte { return fmt.Appendf(nil, "a long prefix of all keys/%03d", i) }),
	)
	keys := rapid.SliceOfNDistinct(key, 0, 120, func(k []byte) string { return string(k) }).Draw(t, "keys")
	slices.SortFunc(keys, bytes.Compare)
	seed := rapid.Uint64().Draw(t, "seed")
	rng := rand.New(rand.NewPCG(seed, 0))
	sizes := []int{0, 1, 100, 100, 100, 127, 128, 3000, 70000}
	all := make([]Record, len(keys))
	for i, k := range keys {
		r := Record{Key: k, Seq: testInfo.FirstSeq + rng.Uint64N(1<<rng.IntN(40)), Meta: make([]byte, []int{0, 15, 255}[rng.IntN(3)])}
		if r.Flags = uint8(max(0, rng.IntN(12)-9)); r.Flags == 0 {
			r.Value = make([]byte, sizes[rng.IntN(len(sizes))])
			if rng.IntN(2) == 0 {
				for j := range r.Value {
					r.Value[j] = byte(rng.Uint32())
				}
			}
		}
		all[i] = r
	}
	return all
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genRecords(t)
		o := WriterOptions{
			Codec:            rapid.SampledFrom(allCodecs).Draw(t, "codec"),
			BlockBytes:       rapid.SampledFrom([]int{0, BlockBytesLeast, 1000, BlockBytesMost}).Draw(t, "block bytes"),
			FilterBitsPerKey: rapid.SampledFrom([]int{0, -1, 1, 64}).Draw(t, "filter bits"),
		}
		file, info := write(t, o, want)
		for name, ro := range ways(file) {
			r, err := Open(&memFile{b: file}, testPath, testEngine, ro)
			if err != nil {
				t.Fatal(name, err)
			}
			if r.Info() != info || r.Size() != int64(len(file)) {
				t.Fatalf("%s: info %+v, written %+v", name, r.Info(), info)
			}
			checkGets(t, r, want)
			checkIterator(t, r, want, name)
			if c, ok := ro.Cache.(*mapCache); ok {
				for k, b := range c.blocks {
					if !bytes.Equal(b, c.copies[k]) {
						t.Fatal("a cached block was changed")
					}
				}
			}
			if damage, err := r.Verify(context.Background(), nil); err != nil || len(damage) > 0 {
				t.Fatal(damage, err)
			}
		}
	})
}

// write is build without a testing.TB.
func write(t *rapid.T, o WriterOptions, records []Record) ([]byte, Info) {
	fs := vfstest.New()
	f, err := fs.Create(testPath)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f, testInfo, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := w.Add(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	size := w.Size()
	info, total, err := w.Finish()
	if err != nil || o.Codec == CodecNone && total < size {
		t.Fatal(err, total, size)
	}
	b, err := fs.Content(testPath)
	if err != nil {
		t.Fatal(err)
	}
	return b, info
}

func checkGets(t *rapid.T, r *Reader, want []Record) {
	var buf Buffer
	known := map[string]bool{}
	for i := range want {
		known[string(want[i].Key)] = true
		have, ok, err := r.Get(want[i].Key, Hash(want[i].Key), &buf)
		if err != nil || !ok || !same(&have, &want[i]) {
			t.Fatalf("key %q: %v %v", want[i].Key, ok, err)
		}
		if !r.MayContain(Hash(want[i].Key)) {
			t.Fatalf("the filter denies key %q", want[i].Key)
		}
	}
	for i := range want {
		k := want[i].Key
		for _, k := range [][]byte{append(bytes.Clone(k), 0), append(bytes.Clone(k), 255), k[:max(len(k)-1, 0)], {}} {
			if _, ok, err := r.Get(k, Hash(k), &buf); err != nil || ok != known[string(k)] {
				t.Fatalf("key %q: %v %v", k, ok, err)
			}
		}
	}
}

// checkIterator walks at random and compares each step with the sorted slice.
func checkIterator(t *rapid.T, r *Reader, all []Record, name string) {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "walk"), 1))
	probe := func() []byte {
		if len(all) == 0 || rng.IntN(10) == 0 {
			return []byte{byte(rng.Uint32())}
		}
		k := bytes.Clone(all[rng.IntN(len(all))].Key)
		if rng.IntN(2) == 0 {
			k = append(k, byte(rng.IntN(2)))
		}
		return k
	}
	o := IterOptions{ReadAhead: rng.IntN(2) == 0}
	if rng.IntN(2) == 0 {
		o.Start = probe()
	}
	if rng.IntN(2) == 0 {
		o.End = probe()
	}
	want := slices.DeleteFunc(slices.Clone(all), func(r Record) bool {
		return o.Start != nil && bytes.Compare(r.Key, o.Start) < 0 || o.End != nil && bytes.Compare(r.Key, o.End) >= 0
	})
	lower := func(k []byte) int {
		return sort.Search(len(want), func(i int) bool { return bytes.Compare(want[i].Key, k) >= 0 })
	}
	it := r.Iter(o)
	for i := range want {
		if !it.Next() || !same(it.Record(), &want[i]) {
			t.Fatalf("%s: record %d of %d: %q, want %q", name, i, len(want), it.Record().Key, want[i].Key)
		}
	}
	if it.Next() || it.Err() != nil || it.Damage() != nil {
		t.Fatalf("%s: more than %d records, or %v", name, len(want), it.Err())
	}
	at := len(want)
	for range 40 {
		var ok bool
		var what string
		switch rng.IntN(8) {
		case 0:
			what, at, ok = "First", 0, it.First()
		case 1:
			what, at, ok = "Last", len(want)-1, it.Last()
		case 2:
			k := probe()
			what, at, ok = fmt.Sprintf("Seek %q", k), lower(k), it.Seek(k)
		case 3:
			k := probe()
			what, at, ok = fmt.Sprintf("SeekBefore %q", k), lower(k)-1, it.SeekBefore(k)
		case 4, 5:
			what, at, ok = "Next", min(at+1, len(want)), it.Next()
		default:
			what, at, ok = "Prev", max(at-1, -1), it.Prev()
		}
		inside := at >= 0 && at < len(want)
		if ok != inside || ok && !same(it.Record(), &want[at]) || it.Err() != nil {
			t.Fatalf("%s: %s in [%q, %q): %v at %q, want %d of %d", name, what, o.Start, o.End, ok, it.Record().Key, at, len(want))
		}
	}
}

func TestScansLeaveTheCacheAlone(t *testing.T) {
	fs, _, _ := build(t, WriterOptions{Codec: CodecS2, BlockBytes: 500}, records(300))
	b := content(t, fs)
	for _, mapped := range [][]byte{nil, b} {
		c := newMapCache()
		r := mustOpen(t, b, ReaderOptions{Mapped: mapped, Cache: c})
		n := 0
		for it := r.Iter(IterOptions{ReadAhead: true}); it.Next(); n++ {
		}
		if n != 300 || c.in+c.hits > 0 {
			t.Errorf("%d records, %d blocks put, %d found", n, c.in, c.hits)
		}
		for range 2 {
			for it := r.Iter(IterOptions{}); it.Next(); {
			}
		}
		if c.in == 0 || c.hits != c.in {
			t.Errorf("without ReadAhead: %d blocks put, %d found", c.in, c.hits)
		}
		c.check(t)
	}
}

// countingFile counts reads.
type countingFile struct {
	memFile
	reads int
}

func (c *countingFile) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.memFile.ReadAt(p, off)
}

func TestReadAheadGrows(t *testing.T) {
	fs, _, info := build(t, WriterOptions{}, records(20000))
	f := &countingFile{memFile: memFile{b: content(t, fs)}}
	r, err := Open(f, testPath, testEngine, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.reads = 0
	it := r.Iter(IterOptions{ReadAhead: true})
	if !it.Seek(records(20)[19].Key) || f.reads != 1 || len(it.ahead) > 5000 {
		t.Errorf("a seek took %d reads of %d bytes", f.reads, len(it.ahead))
	}
	for it.Next() {
	}
	if most := int(r.Size())/readAheadBytesMax + 10; f.reads > most || info.Blocks < 100 {
		t.Errorf("%d reads for %d blocks, want %d at most", f.reads, info.Blocks, most)
	}
}

func TestWriterRefusesWhatItCannotHold(t *testing.T) {
	f := &memFile{}
	for _, o := range []WriterOptions{{BlockBytes: 1}, {BlockBytes: BlockBytesMost + 1}, {FilterBitsPerKey: 65}, {Codec: 9}} {
		if _, err := NewWriter(f, testInfo, o); err == nil {
			t.Errorf("options %+v are taken", o)
		}
	}
	if _, err := NewWriter(f, Info{First: 2, Last: 1}, WriterOptions{}); err == nil {
		t.Error("segments backwards are taken")
	}
	w, err := NewWriter(f, testInfo, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&Record{Key: []byte("m"), Seq: 100}); err != nil {
		t.Fatal(err)
	}
	size := w.Size()
	for name, rec := range map[string]Record{
		"same key":          {Key: []byte("m"), Seq: 101},
		"lower key":         {Key: []byte("a"), Seq: 101},
		"long key":          {Key: bytes.Repeat([]byte("x"), KeyBytesMax+1), Seq: 101},
		"long meta":         {Key: []byte("x"), Meta: make([]byte, 256), Seq: 101},
		"flags":             {Key: []byte("x"), Flags: 3, Seq: 101},
		"tombstone's value": {Key: []byte("x"), Flags: FlagTombstone, Value: []byte("v"), Seq: 101},
		"early seq":         {Key: []byte("x"), Seq: 99},
		"late seq":          {Key: []byte("x"), Seq: testInfo.NextSeq},
	} {
		if err := w.Add(&rec); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.Size() != size {
		t.Error("a refused record has left something")
	}
}

func TestAWriteErrorEndsTheWriter(t *testing.T) {
	boom := errors.New("boom")
	fs := vfstest.New()
	f, err := fs.Create(testPath)
	if err != nil {
		t.Fatal(err)
	}
	fs.Inject(vfstest.Fault{Ops: vfstest.OpWrite, Times: 1, Err: boom})
	w, err := NewWriter(f, testInfo, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		err = w.Add(&Record{Key: []byte{byte(i)}, Value: make([]byte, outBytes), Seq: 100})
	}
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	if _, _, err := w.Finish(); !errors.Is(err, boom) {
		t.Error(err)
	}
}

func TestFinishIsTheEnd(t *testing.T) {
	w, err := NewWriter(newFile(t), testInfo, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Finish(); err == nil {
		t.Error("finished twice")
	}
	if err := w.Add(&Record{Seq: 100}); err == nil {
		t.Error("added after the end")
	}
}

func TestFalsePositivesAreAboutOnePercent(t *testing.T) {
	n := 200_000
	f := newFilter(uint64(n), filterBitsDefault)
	key := make([]byte, 0, 32)
	for i := range n {
		key = fmt.Appendf(key[:0], "in/%d", i)
		f.add(Hash(key))
	}
	passed := 0
	for i := range n {
		key = fmt.Appendf(key[:0], "out/%d", i)
		if f.mayContain(Hash(key)) {
			passed++
		}
	}
	if rate := float64(passed) / float64(n); rate > 0.013 || rate < 0.005 {
		t.Errorf("false positives: %.2f %%", 100*rate)
	}
}

func TestRecordsCostFewBytes(t *testing.T) {
	n := 20_000
	all := make([]Record, n)
	for i := range all {
		key := make([]byte, 16)
		copy(key, fmt.Sprintf("%016x", uint64(i)*(1<<63/uint64(n))))
		all[i] = Record{Key: key, Value: make([]byte, 128), Seq: 100 + uint64(i)*200}
	}
	_, f, info := build(t, WriterOptions{}, all)
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	if per := float64(size)/float64(n) - 144; per > 19 {
		t.Errorf("%.1f bytes a record beside its content", per)
	}
	r, err := Open(f, testPath, testEngine, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if per := float64(r.index.memoryBytes()) / float64(info.Blocks); per > 27 {
		t.Errorf("%.1f bytes of index a block", per)
	}
}

// TestExtentsBeyondFourGiB has blocks of a GiB, in the index alone.
func TestExtentsBeyondFourGiB(t *testing.T) {
	var b indexBuilder
	off := int64(headerBytes)
	var want []int64
	for i := range 13 {
		b.begin([]byte{byte(i)})
		b.end(1<<30 + i)
		want = append(want, off)
		off += 1<<30 + int64(i)
	}
	x, reason := decodeIndex(b.encode(), 13, off)
	if reason != "" {
		t.Fatal(reason)
	}
	for i, w := range want {
		if at, n := x.extent(i); at != w || n != 1<<30+int64(i) {
			t.Errorf("block %d at %d of %d, want %d", i, at, n, w)
		}
	}
}

func TestIndexFindsTheBlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		n, alphabet, longest := rapid.IntRange(1, 4000).Draw(t, "n"), rapid.IntRange(2, 256).Draw(t, "alphabet"), rapid.IntRange(1, 40).Draw(t, "longest")
		word := func() []byte {
			b := make([]byte, rng.IntN(longest+1))
			for i := range b {
				// Zeros are many: shared parts get long, and padding gets tested.
				b[i] = byte(max(0, rng.IntN(2*alphabet)-alphabet))
			}
			return b
		}
		seps := make([][]byte, n)
		for i := range seps {
			seps[i] = word()
		}
		slices.SortFunc(seps, bytes.Compare)
		seps = slices.CompactFunc(seps, bytes.Equal)
		var b indexBuilder
		for _, s := range seps {
			b.begin(s)
			b.end(20)
		}
		x, reason := decodeIndex(b.encode(), uint64(len(seps)), int64(headerBytes+20*len(seps)))
		if reason != "" {
			t.Fatal(reason)
		}
		probes := slices.Clone(seps)
		for range 500 {
			probes = append(probes, word(), append(bytes.Clone(seps[rng.IntN(len(seps))]), word()...))
		}
		for _, p := range probes {
			want := sort.Search(len(seps), func(i int) bool { return bytes.Compare(seps[i], p) > 0 }) - 1
			if have := x.find(p); have != want {
				t.Fatalf("%q is in block %d, want %d", p, have, want)
			}
			below := sort.Search(len(seps), func(i int) bool { return bytes.Compare(seps[i], p) >= 0 }) - 1
			if have := x.findBelow(p); have != below {
				t.Fatalf("below %q is block %d, want %d", p, have, below)
			}
		}
	})
}

func TestCodecNamesParse(t *testing.T) {
	for _, c := range allCodecs {
		if have, err := ParseCodec(c.String()); err != nil || have != c {
			t.Error(c, have, err)
		}
	}
	if _, err := ParseCodec("brotli"); err == nil || !strings.Contains(err.Error(), "brotli") {
		t.Error(err)
	}
	if Codec(77).String() == "" {
		t.Error("an unknown codec has no name")
	}
}

func TestCompressionIsWorthIt(t *testing.T) {
	all := make([]Record, 2000)
	for i := range all {
		all[i] = Record{Key: fmt.Appendf(nil, "%08d", i), Value: bytes.Repeat(fmt.Appendf(nil, "{%d}", i), 12), Seq: 100}
	}
	_, plain, _ := build(t, WriterOptions{}, all)
	size, err := plain.Size()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range allCodecs[1:] {
		_, f, _ := build(t, WriterOptions{Codec: c}, all)
		if have, err := f.Size(); err != nil || have > size*2/3 {
			t.Errorf("%v: %d bytes of %d, %v", c, have, size, err)
		}
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	all := records(500)
	for _, c := range allCodecs {
		fs, _, _ := build(t, WriterOptions{Codec: c, BlockBytes: 1000}, all)
		b := content(t, fs)
		for _, mapped := range [][]byte{nil, b} {
			r, err := Open(&memFile{b: b}, testPath, testEngine, ReaderOptions{Mapped: mapped})
			if err != nil {
				t.Fatal(err)
			}
			var buf Buffer
			i := 0
			allocs := testing.AllocsPerRun(1000, func() {
				rec := &all[i%len(all)]
				i++
				if _, ok, err := r.Get(rec.Key, Hash(rec.Key), &buf); !ok || err != nil {
					t.Fatal(ok, err)
				}
			})
			if allocs > 0 && !raceEnabled {
				t.Errorf("%v, mapped %v: %.2f allocations a Get", c, mapped != nil, allocs)
			}
		}
	}
}

func TestGoroutinesShareAReader(t *testing.T) {
	all := records(200)
	for _, c := range allCodecs {
		fs, _, _ := build(t, WriterOptions{Codec: c, BlockBytes: 1000}, all)
		b := content(t, fs)
		for name, o := range ways(b) {
			r := mustOpen(t, b, o)
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					var buf Buffer
					for i := range all {
						want := &all[(i*7+g*50)%len(all)]
						have, ok, err := r.Get(want.Key, Hash(want.Key), &buf)
						if err != nil || !ok || !same(&have, want) {
							t.Errorf("%v, %s: key %q: %v %v", c, name, want.Key, ok, err)
						}
					}
					n := 0
					for it := r.Iter(IterOptions{ReadAhead: g%2 == 0}); it.Next() && same(it.Record(), &all[n]); {
						n++
					}
					if n != len(all) {
						t.Errorf("%v, %s: %d records", c, name, n)
					}
				})
			}
			wg.Wait()
		}
	}
}

// TestFoldedFilterIsAsGoodAsOneOfItsSize makes filters for many more keys than there are in the end.
func TestFoldedFilterIsAsGoodAsOneOfItsSize(t *testing.T) {
	const n = 20_000
	for _, most := range []uint64{n, n + 1, 3 * n, 50 * n} {
		f := newFoldableFilter(most, filterBitsDefault)
		for i := range uint64(n) {
			f.add(hashOf(i))
		}
		f.fold(n, filterBitsDefault)
		if most < 32*n && f.lines > 2*filterLines(n, filterBitsDefault)+1<<foldable {
			t.Errorf("for at most %d: %d lines, %d would do", most, f.lines, filterLines(n, filterBitsDefault))
		}
		wrong := 0
		for i := range uint64(2 * n) {
			has := f.mayContain(hashOf(i))
			if i < n && !has {
				t.Fatalf("for at most %d: key %d is not in it", most, i)
			}
			if i >= n && has {
				wrong++
			}
		}
		if rate := float64(wrong) / n; rate > 0.013 {
			t.Errorf("for at most %d: %.2f %% false positives", most, 100*rate)
		}
	}
}

func hashOf(i uint64) uint64 { return Hash(binary.BigEndian.AppendUint64(nil, i)) }
