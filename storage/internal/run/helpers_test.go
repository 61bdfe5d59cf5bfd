package run

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// raceEnabled says that the race detector is on, under which pools forget at random.
var raceEnabled bool

const testPath = "/1-3.run"

var (
	testEngine = [16]byte{0x52, 0x43, 2: 1, 15: 0xff}
	testInfo   = Info{Engine: testEngine, First: 1, Last: 3, FirstSeq: 100, NextSeq: 1 << 40, LostSeq: 7}
	allCodecs  = []Codec{CodecNone, CodecS2, CodecLZ4, CodecGzip, CodecZstd}
)

// build returns the file of sorted records.
func build(tb testing.TB, o WriterOptions, records []Record) (*vfstest.FS, vfs.File, Info) {
	tb.Helper()
	fs := vfstest.New()
	f, err := fs.Create(testPath)
	if err != nil {
		tb.Fatal(err)
	}
	w, err := NewWriter(f, testInfo, o)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range records {
		if err := w.Add(&records[i]); err != nil {
			tb.Fatal(err)
		}
	}
	info, size, err := w.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	if have, err := f.Size(); err != nil || have != size {
		tb.Fatalf("file of %d bytes, %v; Finish says %d", have, err, size)
	}
	return fs, f, info
}

func content(tb testing.TB, fs *vfstest.FS) []byte {
	tb.Helper()
	b, err := fs.Content(testPath)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Clone(b)
}

// memFile is a file of given bytes.
type memFile struct {
	vfs.File
	b []byte
}

func (m *memFile) ReadAtCached([]byte, int64) (int, bool) { return 0, false }

func (m *memFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memFile) Size() (int64, error) { return int64(len(m.b)), nil }

// mapCache keeps everything, and copies of it to prove that nobody writes to it.
type mapCache struct {
	mu       sync.Mutex
	blocks   map[string][]byte
	copies   map[string][]byte
	hits, in int
}

func newMapCache() *mapCache {
	return &mapCache{blocks: map[string][]byte{}, copies: map[string][]byte{}}
}

func (c *mapCache) Get(file, offset uint64) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.blocks[fmt.Sprint(file, offset)]
	if ok {
		c.hits++
	}
	return b, ok
}

func (c *mapCache) Put(file, offset uint64, block []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in++
	k := fmt.Sprint(file, offset)
	c.blocks[k], c.copies[k] = block, bytes.Clone(block)
}

func (c *mapCache) check(tb testing.TB) {
	tb.Helper()
	for k, b := range c.blocks {
		if !bytes.Equal(b, c.copies[k]) {
			tb.Errorf("cached block %s was changed", k)
		}
	}
}

// ways are all ways to read a file.
func ways(b []byte) map[string]ReaderOptions {
	return map[string]ReaderOptions{
		"readat":        {},
		"readat cached": {Cache: newMapCache(), FileID: 1},
		"mapped":        {Mapped: b},
		"mapped cached": {Mapped: b, Cache: newMapCache(), FileID: 2},
	}
}

func mustOpen(tb testing.TB, b []byte, o ReaderOptions) *Reader {
	tb.Helper()
	r, err := Open(&memFile{b: b}, testPath, testEngine, o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func same(a, b *Record) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Meta, b.Meta) && bytes.Equal(a.Value, b.Value) &&
		a.Seq == b.Seq && a.Flags == b.Flags
}

// records makes n records with some of everything, sorted.
func records(n int) []Record {
	all := make([]Record, n)
	for i := range all {
		r := Record{Key: fmt.Appendf(nil, "bucket/%06d", i*7), Seq: 100 + uint64(i*i)}
		switch i % 11 {
		case 3:
			r.Flags = FlagTombstone
		case 5:
			r.Flags, r.Meta = FlagUnreadable, []byte("m")
		default:
			r.Meta = bytes.Repeat([]byte{byte(i)}, i%20)
			r.Value = bytes.Repeat(fmt.Appendf(nil, "value %d ", i), i%9)
		}
		all[i] = r
	}
	return all
}

func newFile(tb testing.TB) vfs.File {
	tb.Helper()
	f, err := vfstest.New().Create(testPath)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}
