package run

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
)

const benchValueBytes = 128

// benchRecord is record i: a random-looking key of 16 bytes that rises with i, and a value half of which compresses.
type benchSource struct {
	rec   Record
	key   [16]byte
	value [benchValueBytes]byte
	rng   *rand.PCG
	n     int
}

func newBenchSource(n int) *benchSource {
	s := &benchSource{rng: rand.NewPCG(1, 2), n: n}
	s.rec.Key, s.rec.Value = s.key[:], s.value[:]
	return s
}

func (s *benchSource) setKey(i int) {
	step := ^uint64(0) / uint64(s.n)
	binary.BigEndian.PutUint64(s.key[:], uint64(i)*step+uint64(i)*0x9e3779b97f4a7c15%step)
	binary.BigEndian.PutUint64(s.key[8:], uint64(i)*0xbf58476d1ce4e5b9)
}

func (s *benchSource) record(i int) *Record {
	s.setKey(i)
	for at := 0; at < benchValueBytes/2; at += 8 {
		binary.LittleEndian.PutUint64(s.value[at:], s.rng.Uint64())
	}
	s.rec.Seq = testInfo.FirstSeq + uint64(i)*0x9e3779b9%uint64(s.n)
	return &s.rec
}

func benchRecords() int {
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}

func writeBench(b testing.TB, f vfs.File, o WriterOptions, n int) Info {
	w, err := NewWriter(f, testInfo, o)
	if err != nil {
		b.Fatal(err)
	}
	s := newBenchSource(n)
	for i := range n {
		if err := w.Add(s.record(i)); err != nil {
			b.Fatal(err)
		}
	}
	info, _, err := w.Finish()
	if err != nil {
		b.Fatal(err)
	}
	return info
}

// benchFile is a run on disk, and its mapping.
func benchFile(b *testing.B, o WriterOptions, n int) (vfs.File, []byte) {
	path := filepath.Join(b.TempDir(), "run")
	f, err := vfs.OS{}.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	writeBench(b, f, o, n)
	std, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		b.Fatal(err)
	}
	mapped, err := syscall.Mmap(int(std.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := syscall.Munmap(mapped); err != nil {
			b.Error(err)
		}
		std.Close()
		f.Close()
	})
	return f, mapped
}

func openBench(b *testing.B, f vfs.File, o ReaderOptions) *Reader {
	r, err := Open(f, "bench", testEngine, o)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// eachWay runs fn for each codec, mapped and with ReadAt.
func eachWay(b *testing.B, fn func(b *testing.B, r *Reader, n int)) {
	n := benchRecords()
	for _, c := range allCodecs {
		b.Run(c.String(), func(b *testing.B) {
			f, mapped := benchFile(b, WriterOptions{Codec: c}, n)
			for name, o := range map[string]ReaderOptions{"mapped": {Mapped: mapped}, "readat": {}} {
				b.Run(name, func(b *testing.B) { fn(b, openBench(b, f, o), n) })
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	eachWay(b, func(b *testing.B, r *Reader, n int) {
		s, rng := newBenchSource(n), rand.New(rand.NewPCG(3, 4))
		var buf Buffer
		b.ReportAllocs()
		for b.Loop() {
			s.setKey(rng.IntN(n))
			if _, ok, err := r.Get(s.key[:], Hash(s.key[:]), &buf); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

func BenchmarkGetAbsent(b *testing.B) {
	n := benchRecords()
	f, mapped := benchFile(b, WriterOptions{}, n)
	r := openBench(b, f, ReaderOptions{Mapped: mapped})
	s, rng := newBenchSource(n), rand.New(rand.NewPCG(3, 4))
	var buf Buffer
	for b.Loop() {
		s.setKey(rng.IntN(n))
		s.key[15]++
		if _, ok, err := r.Get(s.key[:], Hash(s.key[:]), &buf); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkIter(b *testing.B) {
	eachWay(b, func(b *testing.B, r *Reader, n int) {
		for b.Loop() {
			count := 0
			for it := r.Iter(IterOptions{ReadAhead: true}); it.Next(); {
				count++
			}
			if count != n {
				b.Fatal(count)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
	})
}

func BenchmarkWrite(b *testing.B) {
	n := benchRecords()
	for _, c := range allCodecs {
		b.Run(c.String(), func(b *testing.B) {
			f, err := vfs.OS{}.Create(filepath.Join(b.TempDir(), "run"))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				writeBench(b, f, WriterOptions{Codec: c}, n)
			}
			size, err := f.Size()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
			b.ReportMetric(float64(size)/float64(n), "file-B/record")
			f.Close()
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	n := 5 * benchRecords()
	f, mapped := benchFile(b, WriterOptions{}, n)
	for name, o := range map[string]ReaderOptions{"mapped": {Mapped: mapped}, "readat": {}} {
		b.Run(name, func(b *testing.B) {
			var r *Reader
			for b.Loop() {
				r = openBench(b, f, o)
			}
			b.ReportMetric(float64(r.index.memoryBytes())/float64(r.index.blocks()), "index-B/block")
			b.ReportMetric(float64(r.MemoryBytes())/float64(n), "memory-B/record")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	n := benchRecords()
	f, _ := benchFile(b, WriterOptions{}, n)
	r := openBench(b, f, ReaderOptions{})
	b.SetBytes(r.Size())
	for b.Loop() {
		if found, err := r.Verify(context.Background(), nil); err != nil || len(found) > 0 {
			b.Fatal(found, err)
		}
	}
}

func BenchmarkIndexFind(b *testing.B) {
	n := 900_000
	kinds := map[string]func(i int) []byte{
		"random": func(i int) []byte {
			s := newBenchSource(n)
			s.setKey(i)
			return s.key[:]
		},
		"structured": func(i int) []byte { return fmt.Appendf(nil, "bucket-%03d/user:%09d", i*20/n, i*25) },
	}
	for name, key := range kinds {
		var x indexBuilder
		var last []byte
		probes := make([][]byte, 0, 1<<16)
		for i := range n {
			k := key(i)
			if i == 0 {
				x.begin(k)
			} else {
				x.begin(k[:separatorBytes(last, k)])
			}
			x.end(4000)
			last = k
			if i%13 == 0 && len(probes) < cap(probes) {
				probes = append(probes, k)
			}
		}
		rand.Shuffle(len(probes), func(i, j int) { probes[i], probes[j] = probes[j], probes[i] })
		ix, reason := decodeIndex(x.encode(), uint64(n), headerBytes+4000*int64(n))
		if reason != "" {
			b.Fatal(reason)
		}
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				ix.find(probes[i&(1<<16-1)])
				i++
			}
			b.ReportMetric(float64(ix.memoryBytes())/1e6, "MB")
		})
	}
}
