package storage

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/internal/handles"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// longKey is long enough for a hint file of some hundred to have several blocks.
func longKey(i int) string { return key(i) + strings.Repeat("-", 180) }

// TestHintFileThatMakesNoSenseIsRebuilt has hint files of several blocks, which are read by several loaders, whose checksums are right.
func TestHintFileThatMakesNoSenseIsRebuilt(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	const keys = 900
	at := func(blocks [][]entry, share float64) (block int) { return int(share * float64(len(blocks)-1)) }
	for name, spoil := range map[string]func(blocks [][]entry, share float64) [][]entry{
		"keys that are not in order": func(b [][]entry, share float64) [][]entry {
			slices.Reverse(b[at(b, share)])
			return b
		},
		"a key twice": func(b [][]entry, share float64) [][]entry {
			in := at(b, share)
			b[in] = append(b[in], b[in][len(b[in])-1])
			return b
		},
		"an entry too few": func(b [][]entry, share float64) [][]entry {
			in := at(b, share)
			b[in] = slices.Delete(b[in], 3, 4)
			return b
		},
		"a key that belongs behind the block": func(b [][]entry, share float64) [][]entry {
			in := b[at(b, share)]
			in[len(in)-2].key = []byte("z")
			return b
		},
		"blocks that are not in order": func(b [][]entry, share float64) [][]entry {
			in := min(at(b, share), len(b)-2)
			b[in], b[in+1] = b[in+1], b[in]
			return b
		},
		"a record behind the end": func(b [][]entry, share float64) [][]entry {
			in := b[at(b, share)]
			in[len(in)-1].Offset = math.MaxUint32
			return b
		},
	} {
		for _, share := range []float64{0, 0.5, 1} {
			for _, damaged := range []bool{false, true} { // the segment, which has the hint file read for the names of what is lost
				t.Run(fmt.Sprintf("%s/%v/damaged=%v", name, share, damaged), func(t *testing.T) {
					fs := vfstest.New()
					e := mustOpen(t, fs, Options{Sync: SyncNever})
					for i := range keys {
						mustPut(t, e, longKey(i), valueOf(i))
					}
					mustDelete(t, e, longKey(0))
					seg := e.log.active()
					if err := e.writer.sealActive(); err != nil {
						t.Fatal(err)
					}
					settleHintFiles(e)
					mustPut(t, e, longKey(1), "newer")
					mustClose(t, e)
					before, err := fs.Content(seg.hintFilePath())
					if err != nil {
						t.Fatal(err)
					}
					mustRewriteHintFile(t, fs, seg, func(blocks [][]entry) [][]entry { return spoil(blocks, share) })
					if damaged {
						mustDamage(t, fs, seg.path, segmentHeaderBytes+30, 1)
						if err := fs.SetContent(seg.suspectPath(), nil); err != nil {
							t.Fatal(err)
						}
					}
					log, err := fs.Content(segmentPath(dataDir, seg.id+1))
					if err != nil {
						t.Fatal(err)
					}
					if err := fs.SetContent(segmentPath(dataDir, seg.id+1), append(log, "torn"...)); err != nil {
						t.Fatal(err)
					}
					e = mustOpen(t, fs, Options{})
					r := e.Recovery()
					if !damaged && (r.HintFilesRebuilt != 1 || len(r.Damage) != 0) || damaged && len(r.Damage) != 1 || r.TornBytes == 0 || r.TornSegment != seg.id+1 {
						t.Errorf("recovery: %+v", r)
					}
					if after, err := fs.Content(seg.hintFilePath()); !damaged && (err != nil || string(after) != string(before)) {
						t.Errorf("the hint file was not rebuilt alike: %v", err)
					}
					wantValue(t, e, longKey(1), "newer")
					for i := 2; i < keys; i++ {
						wantValue(t, e, longKey(i), valueOf(i))
					}
					mustClose(t, e)
					if damaged {
						return
					}
					if r := mustOpen(t, fs, Options{}).Recovery(); r.HintFilesUsed != 1 || r.HintFilesRebuilt != 0 {
						t.Errorf("with the hint file that was rebuilt: %+v", r)
					}
				})
			}
		}
	}
}

// mustRewriteHintFile puts other entries into a hint file, which says that there are as many as before.
func mustRewriteHintFile(t *testing.T, fs *vfstest.FS, seg *segment, change func([][]entry) [][]entry) {
	t.Helper()
	r, err := openHintFile(handles.NewPool(fs, 1), seg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	var blocks [][]entry
	for {
		l, ok, err := r.entry()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if int(r.number) > len(blocks) {
			blocks = append(blocks, nil)
		}
		l.key, l.meta = bytes.Clone(l.key), bytes.Clone(l.meta)
		blocks[r.number-1] = append(blocks[r.number-1], l)
	}
	if len(blocks) < 5 {
		t.Fatalf("the hint file has %d blocks", len(blocks))
	}
	file := r.header.encode(seg.sum)
	for i, entries := range change(blocks) {
		block := make([]byte, 8)
		for _, l := range entries {
			block = appendHintEntry(block, &l, r.header.firstSeq)
		}
		sealHintBlock(block, seg.sum, uint32(i))
		file = append(file, block...)
	}
	if err := fs.SetContent(seg.hintFilePath(), file); err != nil {
		t.Fatal(err)
	}
}

// TestSourcesBeginAnywhere has each kind of source begin at each key, and between keys.
func TestSourcesBeginAnywhere(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	const n = 900
	for i := range n {
		mustPut(t, e, longKey(2*i), valueOf(i))
	}
	seg := e.log.active()
	if err := e.writer.sealActive(); err != nil {
		t.Fatal(err)
	}
	settleHintFiles(e)
	hints, err := openHintFile(handles.NewPool(fs, 1), seg)
	if err != nil {
		t.Fatal(err)
	}
	defer hints.close()
	if err := hints.check(); err != nil {
		t.Fatal(err)
	}
	list := &keyList{}
	for i := range n {
		list.add(&frame{key: []byte(longKey(2 * i)), kind: kindPut, seq: uint64(i + 1)}, int64(segmentHeaderBytes+i))
	}
	for name, src := range map[string]source{
		"hint file": hints, "list": list, "unreadable": &unreadable{src: hints, offsets: map[uint32]bool{}},
	} {
		if samples := src.sample(nil); len(samples) == 0 {
			t.Errorf("%s: no samples", name)
		}
		for from := -1; from <= 2*n; from += 1 + (from+1)%5 {
			start := []byte(longKey(from))
			if from < 0 {
				start = nil
			}
			next := max(0, (from+1)/2) // of the first key that is not less
			skipped := 0
			for s := src.from(start); ; {
				var at hashedEntry
				ok, err := s.next(&at)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if bytes.Compare(at.key, start) < 0 {
					skipped++
					continue
				}
				if string(at.key) != longKey(2*next) {
					t.Fatalf("%s from %.10q: %.10q, not %.10q", name, start, at.key, longKey(2*next))
				}
				next++
			}
			if next != n || skipped > 250 {
				t.Fatalf("%s from %.10q: %d keys of %d, %d were skipped", name, start, next, n, skipped)
			}
		}
	}
}

// TestAnyNumberOfLoadersLoadsTheSame opens a log of several segments, which have keys in common.
func TestAnyNumberOfLoadersLoadsTheSame(t *testing.T) {
	fs := vfstest.New()
	opt := Options{SegmentBytesMax: 1 << 20, Sync: SyncNever}
	e := mustOpen(t, fs, opt)
	for i := range 5000 {
		mustPut(t, e, longKey(i*7919%3000), valueOf(i))
		if i%50 == 0 {
			mustDelete(t, e, longKey(i*31%3000))
		}
	}
	settleHintFiles(e)
	want, before := contents(t, e), e.Stats()
	mustClose(t, e)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, n := range []int{1, 2, 3, 7, 64} {
		runtime.GOMAXPROCS(n)
		e := mustOpen(t, fs, opt)
		if all := contents(t, e); !maps.Equal(all, want) {
			t.Errorf("%d loaders: a scan shows %d keys, not the %d", n, len(all), len(want))
		}
		for k, v := range want {
			wantValue(t, e, k, v)
		}
		if r := e.Recovery(); r.HintFilesUsed < 2 {
			t.Errorf("%d loaders: %+v", n, r)
		}
		if s := e.Stats(); s.Keys != before.Keys || s.LiveBytes != before.LiveBytes {
			t.Errorf("%d loaders: %+v, not %+v", n, s, before)
		}
		mustClose(t, e)
	}
}

func TestKeysAreSortedByAnyNumberOfGoroutines(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, distinct := range []int{1, 100, 1 << 20} {
		var records []frame
		for i := range 3 * sortAlone {
			records = append(records, frame{key: []byte(key(rng.IntN(distinct))), kind: kindPut, seq: uint64(i + 1)})
		}
		sorted := func(goroutines int) (keys []string, seqs []uint64) {
			var k keyList
			for i := range records {
				k.add(&records[i], int64(i))
			}
			k.sort(goroutines)
			for i := range k.items {
				keys, seqs = append(keys, string(k.key(&k.items[i]))), append(seqs, k.items[i].seq)
			}
			return keys, seqs
		}
		newest := map[string]uint64{}
		for i := range records {
			newest[string(records[i].key)] = records[i].seq
		}
		for _, goroutines := range []int{1, 2, 3, 16} {
			keys, seqs := sorted(goroutines)
			if !slices.IsSorted(keys) || len(keys) != len(newest) {
				t.Errorf("%d of %d keys by %d goroutines: sorted %v", len(keys), len(newest), goroutines, slices.IsSorted(keys))
			}
			for i, k := range keys {
				if seqs[i] != newest[k] {
					t.Fatalf("%d goroutines kept %d of %q, want %d", goroutines, seqs[i], k, newest[k])
				}
			}
		}
	}
}

func TestLoadRangesHaveEachKeyOnce(t *testing.T) {
	list := func(n int) *opened {
		k := &keyList{}
		for i := range n {
			k.add(&frame{key: []byte(key(i)), meta: []byte("m"), kind: kindPut, seq: uint64(i + 1)}, int64(segmentHeaderBytes+i))
		}
		k.sort(1)
		return &opened{src: k}
	}
	for _, found := range [][]*opened{nil, {list(0)}, {list(1)}, {list(1), list(1)}, {list(sampleItems * 5)}, {list(sampleItems * 20), list(3), list(sampleItems * 7)}} {
		for _, n := range []int{1, 2, 3, 8} {
			ranges := loadRanges(found, n)
			if len(ranges) == 0 || len(ranges) > n || ranges[0].Start != nil || ranges[len(ranges)-1].End != nil {
				t.Fatalf("ranges for %d loaders: %v", n, ranges)
			}
			for i := 1; i < len(ranges); i++ {
				if !bytes.Equal(ranges[i-1].End, ranges[i].Start) || bytes.Compare(ranges[i-1].Start, ranges[i-1].End) >= 0 {
					t.Errorf("%d loaders: %v is followed by %v", n, ranges[i-1], ranges[i])
				}
			}
		}
	}
	if many := loadRanges([]*opened{list(sampleItems * 20)}, 4); len(many) != 4 {
		t.Errorf("four loaders share %d ranges", len(many))
	}
}
