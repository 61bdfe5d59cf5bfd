package storage

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// The conformance tests compare the engine with a sorted map under everything that can go on at once or go wrong.
//
//	go test ./storage -run Conformance -conformance.seed=42   replays what a failure has printed
//	go test ./storage -run Conformance -conformance.time=10m  draws new seeds for so long in each random test
var (
	conformanceSeed = flag.Uint64("conformance.seed", 0, "run the conformance tests with this seed only")
	conformanceTime = flag.Duration("conformance.time", 0, "draw new seeds for so long in each conformance test")
)

// eachSeed runs a test for n seeds in parallel, a fourth of them in short mode.
func eachSeed(t *testing.T, n int, test func(t *testing.T, seed uint64)) {
	run := func(seed uint64, parallel bool) {
		t.Run(fmt.Sprintf("conformance.seed=%d", seed), func(t *testing.T) {
			if parallel {
				t.Parallel()
			}
			test(t, seed)
		})
	}
	switch {
	case *conformanceSeed != 0:
		run(*conformanceSeed, false)
	case *conformanceTime > 0:
		for until := time.Now().Add(*conformanceTime); time.Now().Before(until) && !t.Failed(); {
			run(rand.Uint64(), false)
		}
	default:
		if testing.Short() {
			n = (n + 3) / 4
		}
		for seed := range n {
			run(uint64(seed+1), true)
		}
	}
}

// stored is what the model knows of a key.
type stored struct {
	meta, value string
	seq         uint64
}

// model is what the store should hold.
type model struct {
	records map[string]stored
	seq     uint64
}

func newModel() *model { return &model{records: map[string]stored{}} }

func (m *model) put(key, meta, value string) {
	m.seq++
	m.records[key] = stored{meta, value, m.seq}
}

func (m *model) delete(key string) {
	m.seq++
	delete(m.records, key)
}

// scan is what a Scan should show, a line for each record.
func (m *model) scan(r Range) []string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(m.records)) {
		rec := m.records[k]
		if k < string(r.Start) || r.End != nil && k >= string(r.End) || r.Select != nil && !r.Select([]byte(k), []byte(rec.meta)) {
			continue
		}
		shown := Record{Key: []byte(k), Meta: []byte(rec.meta), Seq: rec.seq}
		if !r.KeysOnly {
			shown.Value = []byte(rec.value)
		}
		lines = append(lines, line(shown))
	}
	if r.Reverse {
		slices.Reverse(lines)
	}
	return lines
}

func line(rec Record) string {
	return fmt.Sprintf("%q %q %d:%x %d", rec.Key, rec.Meta, len(rec.Value), crc32.Checksum(rec.Value, castagnoli), rec.Seq)
}

// place is a data directory on one of the two file systems.
type place struct {
	fs  vfs.FS
	dir string
}

func memoryPlace() place { return place{vfstest.New(), dataDir} }

// somePlace draws the file system in memory or the real one, where files are mapped.
func somePlace(t *testing.T, rng *rand.Rand) place {
	if rng.IntN(2) == 0 {
		return memoryPlace()
	}
	return place{vfs.OS{}, t.TempDir()}
}

func (p place) open(t *testing.T, o Options) *Engine {
	t.Helper()
	o.FS = p.fs
	e, err := Open(p.dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return e
}

func oneOf[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }

// conformanceKeyBytesMax is small, so that keys of the greatest length are among those drawn.
const conformanceKeyBytesMax = 300

// someOptions draws the settings that change how things are kept. Background merges come as often as they can.
func someOptions(rng *rand.Rand) Options {
	o := Options{
		Sync:                oneOf(rng, SyncAlways, SyncInterval, SyncNever),
		SyncInterval:        oneOf(rng, time.Millisecond, 0),
		SegmentBytesMax:     oneOf[int64](rng, segmentBytesLeast, 16<<10, 1<<20),
		KeyBytesMax:         conformanceKeyBytesMax,
		MapBytesMax:         oneOf[int64](rng, -1, 0, 0),
		OpenFilesMax:        oneOf(rng, 1, 2, 0, -1),
		CacheBytes:          oneOf[int64](rng, -1, 4<<10, 0),
		IndexBytesMax:       oneOf[int64](rng, 1, 256<<10, 0),
		Compression:         oneOf(rng, CompressionNone, CompressionS2, CompressionLZ4, CompressionGzip, CompressionZstd),
		BlockBytes:          oneOf(rng, 0, 128, 512, 2048),
		DeadRatioMax:        oneOf(rng, 0, 0.01, 1),
		SpaceAmpMax:         oneOf(rng, 0, 1.01, 10),
		MergeBytesPerSecond: -1,
		MergeDisabled:       rng.IntN(2) == 0,
		showFrom:            oneOf(rng, 1, 0),
		freezeFrom:          oneOf(rng, 2, 0),
		mergeWalkEntries:    oneOf(rng, 1, 3, 0),
	}
	if n := oneOf[uint32](rng, 0, 7, 1000); n > 0 {
		o = bucketsBy(n, o)
	}
	return o
}

// keyPool is what keys are drawn from: empty, short, alike for long, as long as can be, and with every byte.
func keyPool(rng *rand.Rand) []string {
	long := strings.Repeat("p", 250)
	pool := []string{"", "\x00", "\xff", "\xff\xff", "a", "ab", "a\x00", strings.Repeat("z", conformanceKeyBytesMax)}
	for i := range 16 {
		pool = append(pool, key(i), fmt.Sprintf("%s%02d", long, i))
	}
	for range 8 {
		k := make([]byte, 1+rng.IntN(conformanceKeyBytesMax))
		for i := range k {
			k[i] = byte(rng.Uint32())
		}
		pool = append(pool, string(k))
	}
	slices.Sort(pool)
	return slices.Compact(pool)
}

// someValue draws a value: none, a few bytes, about a block, or more than one; compressible or not.
func someValue(rng *rand.Rand) string {
	v := make([]byte, oneOf(rng, 0, 3, 40, 200, 200, 2000, 9000))
	if rng.IntN(2) == 0 {
		copy(v, fmt.Sprint(rng.Uint64()))
		return string(v)
	}
	for i := range v {
		v[i] = byte(rng.Uint32())
	}
	return string(v)
}

func someMeta(rng *rand.Rand) string {
	return cutMeta(oneOf(rng, "", fmt.Sprint(rng.IntN(1e6)), fmt.Sprint(rng.IntN(10))+strings.Repeat("m", MetaBytesMax)))
}

// mustHold compares the whole store with the model, forward and backward and key by key.
func mustHold(t testing.TB, e *Engine, m *model, pool []string) {
	t.Helper()
	for _, r := range []Range{{}, {Reverse: true}, {KeysOnly: true}} {
		mustScan(t, e, r, m.scan(r))
	}
	for _, k := range pool {
		mustRead(t, e, m, k)
	}
}

func mustScan(t testing.TB, e *Engine, r Range, want []string) {
	t.Helper()
	n := 0
	for rec, err := range e.Scan(r) {
		if err != nil {
			t.Fatalf("scan: %v", err)
		}
		if n == len(want) {
			t.Fatalf("scan %s goes on with %.100s", showRange(r), line(rec))
		}
		if have := line(rec); have != want[n] {
			t.Fatalf("scan %s, record %d: %.200s\nwant %.200s", showRange(r), n, have, want[n])
		}
		n++
	}
	if n < len(want) {
		t.Fatalf("scan %s ends before %.200s", showRange(r), want[n])
	}
}

func showRange(r Range) string {
	return fmt.Sprintf("from %.20q to %.20q, reverse %v, keys only %v", r.Start, r.End, r.Reverse, r.KeysOnly)
}

// mustRead reads a key in the three ways there are.
func mustRead(t testing.TB, e *Engine, m *model, key string) {
	t.Helper()
	want, present := m.records[key]
	value, err := e.Get([]byte(key), nil)
	if present != (err == nil) || !present && !errors.Is(err, ErrNotFound) || string(value) != want.value {
		t.Fatalf("get %.40q: %d bytes, %v; want %v, %d bytes", key, len(value), err, present, len(want.value))
	}
	rec, err := e.Read([]byte(key), make([]byte, 2, 100))
	if present != (err == nil) || !present && !errors.Is(err, ErrNotFound) ||
		(stored{string(rec.Meta), string(rec.Value), rec.Seq}) != want {
		t.Fatalf("read %.40q: record %d, %v; want %v, record %d", key, rec.Seq, err, present, want.seq)
	}
	meta, err := e.Meta([]byte(key), []byte("x"))
	if present != (err == nil) || !present && !errors.Is(err, ErrNotFound) || !bytes.Equal(meta, []byte("x"+want.meta)) {
		t.Fatalf("meta %.40q: %q %v; want %v, %q", key, meta, err, present, want.meta)
	}
}

func mustMerge(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Merge(context.Background()); err != nil {
		t.Fatalf("merge: %v", err)
	}
}

// every is the step at which points are visited: each one where the tests may take long, else by whether they must be short.
func every(normal, short int) int {
	switch {
	case *conformanceTime > 0:
		return 1
	case testing.Short():
		return short
	}
	return normal
}
