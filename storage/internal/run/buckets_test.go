package run

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/storage/vfs"
)

const testScheme = 7

// bucketsOf has n buckets and spills into a file in memory.
func bucketsOf(tb testing.TB, n uint32) *Buckets {
	return &Buckets{
		Of:     func(key []byte) uint32 { return uint32(Hash(key)>>32) % n },
		Scheme: testScheme,
		Spill:  func() (vfs.File, error) { return newFile(tb), nil },
	}
}

// bucketed is a run whose list has several parts and pages.
func bucketed(tb testing.TB, n int, o WriterOptions) ([]byte, []Record) {
	tb.Helper()
	all := records(n)
	fs, _, _ := build(tb, o, all)
	return content(tb, fs), all
}

// wantBlocks are the blocks of the records of some buckets, and how many these are.
func wantBlocks(r *Reader, all []Record, b *Buckets, buckets []uint32) (blocks []uint32, records int) {
	for i := range all {
		if slices.Contains(buckets, b.Of(all[i].Key)) {
			blocks = append(blocks, uint32(r.index.find(all[i].Key)))
		}
	}
	return slices.Compact(blocks), len(blocks)
}

func TestBlocksOfAreThoseOfTheBuckets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		count := rapid.SampledFrom([]uint32{1, 5, 300, 5000, 1 << 31}).Draw(rt, "buckets")
		b := bucketsOf(t, count)
		o := WriterOptions{BlockBytes: BlockBytesLeast, Buckets: b, bucketPartPairs: rapid.SampledFrom([]int{0, 1, 100, 3000}).Draw(rt, "part")}
		file, all := bucketed(t, rapid.SampledFrom([]int{0, 1, 100, 4000}).Draw(rt, "records"), o)
		asked := rapid.SliceOfNDistinct(rapid.Uint32Range(0, count-1), 0, 20, rapid.ID).Draw(rt, "asked")
		for range min(len(all), 3) {
			asked = append(asked, b.Of(all[rapid.IntRange(0, len(all)-1).Draw(rt, "of")].Key))
		}
		slices.Sort(asked)
		asked = slices.Compact(asked)
		for name, way := range ways(file) {
			r := mustOpen(t, file, way)
			want, n := wantBlocks(r, all, b, asked)
			blocks, ok, err := r.BlocksOf(testScheme, asked, &Buffer{})
			if err != nil || ok && !slices.Equal(blocks, want) || !ok && n <= r.index.blocks()/bucketPart {
				rt.Fatalf("%s: %v, want %v: %v %v", name, blocks, want, ok, err)
			}
			if _, ok, err := r.BlocksOf(testScheme+1, asked, &Buffer{}); ok || err != nil {
				rt.Fatalf("another scheme: %v %v", ok, err)
			}
			read := int64(0)
			found, err := r.Verify(context.Background(), func(n int64) error { read += n; return nil })
			if err != nil || len(found) > 0 || read != r.Size() {
				rt.Fatalf("%s: Verify reads %d bytes of %d and finds %v, %v", name, read, r.Size(), found, err)
			}
		}
	})
}

func TestIteratorsWalkOnlyTheirBlocks(t *testing.T) {
	file, all := bucketed(t, 300, WriterOptions{BlockBytes: BlockBytesLeast})
	r := mustOpen(t, file, ReaderOptions{})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		blocks := []uint32{}
		for n := range r.index.blocks() {
			if rng.IntN(4) == 0 {
				blocks = append(blocks, uint32(n))
			}
		}
		var want []Record
		for i := range all {
			if slices.Contains(blocks, uint32(r.index.find(all[i].Key))) {
				want = append(want, all[i])
			}
		}
		it := r.Iter(IterOptions{Blocks: blocks, ReadAhead: rng.IntN(2) == 0})
		for i := range want {
			if !it.Next() || !same(it.Record(), &want[i]) {
				t.Fatalf("forward: record %d is %q, want %q", i, it.Record().Key, want[i].Key)
			}
		}
		if it.Next() {
			t.Fatalf("%q behind the end", it.Record().Key)
		}
		for i := range slices.Backward(want) {
			if !it.Prev() || !same(it.Record(), &want[i]) {
				t.Fatalf("back: record %d is %q, want %q", i, it.Record().Key, want[i].Key)
			}
		}
		key := all[rng.IntN(len(all))].Key
		n, _ := slices.BinarySearchFunc(want, key, func(r Record, k []byte) int { return bytes.Compare(r.Key, k) })
		if it.Seek(key) != (n < len(want)) || n < len(want) && !same(it.Record(), &want[n]) {
			t.Fatalf("seek %q: %q", key, it.Record().Key)
		}
		if it.SeekBefore(key) != (n > 0) || n > 0 && !same(it.Record(), &want[n-1]) {
			t.Fatalf("seek before %q: %q", key, it.Record().Key)
		}
	}
}

func TestBucketsCostFewBytes(t *testing.T) {
	n := 600_000
	write := func(b *Buckets) (int64, int64) {
		f := newFile(t)
		info := writeBench(t, f, WriterOptions{Buckets: b, RecordsMax: uint64(n)}, n)
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(f, testPath, testEngine, ReaderOptions{})
		if err != nil || info.Records != uint64(n) {
			t.Fatal(err)
		}
		return size, r.MemoryBytes()
	}
	size, memory := write(nil)
	listed, listedMemory := write(bucketsOf(t, 1<<18))
	per, heap := float64(listed-size)/float64(n), float64(listedMemory-memory)/float64(n)
	t.Logf("%.2f bytes a record on disk, %.4f in memory", per, heap)
	if per > 4 || heap > 0.02 {
		t.Errorf("%.2f bytes a record on disk, %.4f in memory", per, heap)
	}
}

// TestADamagedListOfBucketsIsNoDamageToKeys flips bytes all over the section, and each of its directory and tail.
func TestADamagedListOfBucketsIsNoDamageToKeys(t *testing.T) {
	b := bucketsOf(t, 2000)
	file, all := bucketed(t, 3000, WriterOptions{Buckets: b, BlockBytes: 300, bucketPartPairs: 2000})
	whole := mustOpen(t, file, ReaderOptions{})
	from, to := int(whole.trailer.bucketsAt()), len(file)-trailerBytes
	if len(whole.buckets.starts) != 3 || len(whole.buckets.firsts) < 3 {
		t.Fatalf("%d parts, %d pages", len(whole.buckets.starts)-1, len(whole.buckets.firsts))
	}
	asked := []uint32{1, 700, 1999}
	want, _ := wantBlocks(whole, all, b, asked)
	seen, step := 0, 11
	if testing.Short() {
		step = 101
	}
	for i := from; i < to; i++ {
		if i < int(whole.buckets.end) && (i-from)%step != 0 {
			continue
		}
		file[i] ^= 0x11
		for name, o := range map[string]ReaderOptions{"readat": {}, "mapped": {Mapped: file}} {
			r := mustOpen(t, file, o)
			found, err := r.Verify(context.Background(), nil)
			if err != nil || len(found) != 1 || !found[0].Aside || int64(i) < found[0].Offset || int64(i) >= found[0].Offset+found[0].Length {
				t.Fatalf("%s, byte %d of [%d, %d): Verify finds %v, %v", name, i, from, to, found, err)
			}
			blocks, ok, err := r.BlocksOf(testScheme, asked, &Buffer{})
			if err != nil {
				seen++
			}
			if d, is := err.(*DamageError); err != nil && (!is || !d.Aside) || err == nil && (!ok || !slices.Equal(blocks, want)) {
				t.Fatalf("%s, byte %d: %v, want %v: %v %v", name, i, blocks, want, ok, err)
			}
		}
		file[i] ^= 0x11
	}
	if seen == 0 {
		t.Error("no damage was seen")
	}
}

// TestAFailedSpillIsAFailedRun has the file of what is spilled fail to be made, written, and read, and be changed.
func TestAFailedSpillIsAFailedRun(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fail faultyFile
		want error
	}{
		"create": {faultyFile{}, boom},
		"write":  {faultyFile{write: boom}, boom},
		"read":   {faultyFile{read: boom}, boom},
		"change": {faultyFile{flip: true}, errSpill},
	} {
		b := bucketsOf(t, 100)
		b.Spill = func() (vfs.File, error) {
			if name == "create" {
				return nil, boom
			}
			c.fail.File = newFile(t)
			return &c.fail, nil
		}
		w, err := NewWriter(newFile(t), testInfo, WriterOptions{Buckets: b, bucketPartPairs: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records(100) {
			if err = w.Add(&rec); err != nil {
				break
			}
		}
		_, _, finished := w.Finish()
		if !errors.Is(finished, c.want) || err != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: Add %v, Finish %v", name, err, finished)
		}
	}
}

type faultyFile struct {
	vfs.File
	write, read error
	flip        bool
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if f.write != nil {
		return 0, f.write
	}
	return f.File.WriteAt(b, off)
}

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if f.read != nil {
		return 0, f.read
	}
	n, err := f.File.ReadAt(b, off)
	if f.flip && n > 0 {
		b[n/2] ^= 1
	}
	return n, err
}

func TestPairsAreSortedByBucket(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, most := range []uint64{1, 2, 2048, 1 << 18, 1 << 23, 1<<32 - 1} {
		pairs := make([]uint64, 5000)
		for i := range pairs {
			pairs[i] = rng.Uint64N(most)<<32 | uint64(i/3)
		}
		want := slices.Sorted(slices.Values(pairs))
		if have, _ := sortByBucket(pairs, make([]uint64, len(pairs)), func() {}); !slices.Equal(have, want) {
			t.Errorf("buckets below %d are out of order", most)
		}
	}
}

func goldenBuckets(t *testing.T) WriterOptions {
	return WriterOptions{BlockBytes: BlockBytesLeast, Buckets: bucketsOf(t, 1000), bucketPartPairs: 3}
}

func TestTheFormatWithBucketsIsThatOfTheGoldenFile(t *testing.T) {
	path := filepath.Join("testdata", "v2", "none.run")
	fs, _, _ := build(t, goldenBuckets(t), goldenRecords())
	have := content(t, fs)
	if *updateGolden {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, have, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("the writer writes other bytes than before:\n%x\nwant\n%x", have, want)
	}
	r := mustOpen(t, want, ReaderOptions{})
	it := r.Iter(IterOptions{})
	for _, rec := range goldenRecords() {
		if !it.Next() || !same(it.Record(), &rec) {
			t.Errorf("%+v, want %+v", it.Record(), rec)
		}
	}
	if r.buckets == nil || r.buckets.scheme != testScheme || r.buckets.pairs != 5 || len(r.buckets.firsts) != 2 {
		t.Errorf("%+v", r.buckets)
	}
}

// forgeBuckets makes a run of some blocks with a bucket section of anything; its checksums are right as far as its lengths
// allow.
func forgeBuckets(tb testing.TB, blocks []byte, t trailer, section []byte) []byte {
	tb.Helper()
	info := t.info
	s := newSum(&info)
	b := bytes.Clone(blocks)
	at := int64(len(b))
	b = append(b, section...)
	if tail := b[at:]; len(tail) >= bucketTailBytes {
		end := int64(len(b)) - bucketTailBytes
		tail = b[end:]
		directory := end - 4*(int64(leUint32(tail[16:]))+int64(leUint32(tail[20:])))
		if directory >= at {
			binary.LittleEndian.PutUint32(tail[24:], s.of(directory, b[directory:end]))
			for off := at; off+bucketPageHeadBytes <= directory; off += bucketPageBytes {
				page := b[off:min(off+bucketPageBytes, directory)]
				binary.LittleEndian.PutUint32(page, s.of(off, page[4:]))
			}
		}
		binary.LittleEndian.PutUint32(tail[28:], s.of(end, tail[:28]))
	}
	t.fileBytes = int64(len(b)) + trailerBytes
	return append(b, t.encode(s)...)
}

// FuzzBuckets reads a bucket section of anything whose checksums are right.
func FuzzBuckets(f *testing.F) {
	file, _ := bucketed(f, 1000, WriterOptions{Buckets: bucketsOf(f, 400), BlockBytes: 300, bucketPartPairs: 600})
	r := mustOpen(f, file, ReaderOptions{})
	t := r.trailer
	blocks := file[:t.bucketsAt()]
	section := file[t.bucketsAt() : len(file)-trailerBytes]
	f.Add(section)
	for _, at := range []int{0, 4, 6, 8, 100, len(section) - 16, len(section) - 12, len(section) - 40} {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			changed := bytes.Clone(section)
			for i := range 4 {
				changed[at+i] = v
			}
			f.Add(changed)
		}
	}
	f.Add(make([]byte, bucketTailBytes))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(tt *testing.T, section []byte) {
		b := forgeBuckets(tt, blocks, t, section)
		for _, o := range []ReaderOptions{{}, {Mapped: b}} {
			r, err := Open(&memFile{b: b}, testPath, testEngine, o)
			if err != nil {
				if len(section) >= bucketTailBytes || !errors.Is(err, ErrDamaged) {
					tt.Error(err)
				}
				return
			}
			for _, asked := range [][]uint32{nil, {0}, {1, 17, 399}, {1<<32 - 1}} {
				found, ok, err := r.BlocksOf(r.schemeOf(), asked, &Buffer{})
				if err != nil && !errors.Is(err, ErrDamaged) || ok && err != nil {
					tt.Error(ok, err)
				}
				it := r.Iter(IterOptions{Blocks: found})
				for ok && it.Next() {
				}
			}
			if _, err := r.Verify(context.Background(), nil); err != nil {
				tt.Error(err)
			}
		}
	})
}

// schemeOf is what the list says of itself.
func (r *Reader) schemeOf() uint64 {
	if r.buckets == nil {
		return 0
	}
	return r.buckets.scheme
}

// TestAListThatLiesAboutItsLengthCostsNoMemory claims as many pages and parts as there can be.
func TestAListThatLiesAboutItsLengthCostsNoMemory(t *testing.T) {
	file, _ := bucketed(t, 100, WriterOptions{Buckets: bucketsOf(t, 50)})
	r := mustOpen(t, file, ReaderOptions{})
	at := r.trailer.bucketsAt()
	section := bytes.Clone(file[at : len(file)-trailerBytes])
	for _, field := range []int{16, 20} {
		for _, v := range []uint32{0, 2, 1 << 20, 1<<32 - 1} {
			lying := bytes.Clone(section)
			binary.LittleEndian.PutUint32(lying[len(lying)-bucketTailBytes+field:], v)
			b := forgeBuckets(t, file[:at], r.trailer, lying)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if r := mustOpen(t, b, ReaderOptions{Mapped: b}); r.buckets != nil {
				t.Errorf("field %d of %d passes", field, v)
			}
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			if allocated > 1<<20 {
				t.Errorf("field %d of %d: %d bytes allocated", field, v, allocated)
			}
		}
	}
}
