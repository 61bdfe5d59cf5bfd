package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// damagedKeys are the keys of small, and one that was never written.
const damagedKeys = 25

var damageOptions = Options{
	SegmentBytesMax: segmentBytesLeast, BlockBytes: 128, CacheBytes: -1, IndexBytesMax: 1, MergeBytesPerSecond: -1,
}

// small is a store of few bytes with two runs, a sealed segment and an active one, in which younger records and tombstones
// hide older ones, and what it holds.
func small(t *testing.T, c Compression) (*vfstest.FS, map[string]string) {
	t.Helper()
	fs, want := vfstest.New(), map[string]string{}
	o := damageOptions
	o.Compression = c
	e := mustOpen(t, fs, o)
	layer := func(name string, every, removed int) {
		for i := range damagedKeys - 1 {
			switch k := key(i); i % every {
			case 0:
				want[k] = name + strings.Repeat("v", 20)
				mustPut(t, e, k, want[k])
			case removed:
				delete(want, k)
				mustDelete(t, e, k)
			}
		}
	}
	layer("oldest", 1, -1)
	mustMerge(t, e)
	layer("middle", 3, 1)
	if err := e.writer.sealActive(); err != nil {
		t.Fatal(err)
	}
	// The part that is not the oldest run.
	first, _, _ := e.sealedSegments()
	if err := e.mergeAndCount(plan{segments: first, bytes: 1}, func(int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	layer("young", 5, 2)
	if err := e.writer.sealActive(); err != nil {
		t.Fatal(err)
	}
	settleHintFiles(e)
	layer("youngest", 7, 3)
	if n := len(e.index.runs()); n != 2 {
		t.Fatalf("%d runs", n)
	}
	mustClose(t, e)
	return fs, want
}

// mustShowOrNotKnow checks a damaged store: every key reads right or is Unknown, in every way of reading; an older record never
// takes the place of one that is lost, and nothing is absent that is not.
func mustShowOrNotKnow(t testing.TB, e *Engine, want map[string]string, when string) (unknown int) {
	t.Helper()
	for i := range damagedKeys {
		k := key(i)
		value, present := want[k]
		switch have := got(t, e, k); have {
		case cmpOr(value, "-"):
		case "?":
			unknown++
		default:
			t.Fatalf("%s: get %q: %q, want %q or unknown", when, k, have, value)
		}
		meta, err := e.Meta([]byte(k), nil)
		if !isCorrupt(err) && (present != (err == nil) || !present && !errors.Is(err, ErrNotFound) || present && string(meta) != "m:"+k) {
			t.Fatalf("%s: meta %q: %q %v", when, k, meta, err)
		}
		err = e.Update([][]byte{[]byte(k)}, func(cur []Current, _ *Writes) error {
			switch c := &cur[0]; {
			case c.State == Unknown:
			case present != (c.State == Present):
				return fmt.Errorf("state %d, want %v", c.State, present)
			case present && !c.HasValue:
				return ErrNeedValues
			case string(c.Value) != value:
				return fmt.Errorf("value %q, want %q", c.Value, value)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: update %q: %v", when, k, err)
		}
	}
	for _, reverse := range []bool{false, true} {
		mustScanOrNotKnow(t, e, Range{Reverse: reverse}, want, when)
	}
	mustScanOrNotKnow(t, e, Range{Start: []byte(key(4)), End: []byte(key(17)), KeysOnly: true}, want, when)
	return unknown
}

// mustScanOrNotKnow checks that a scan of a damaged store shows or names each key, or a range that it is in.
func mustScanOrNotKnow(t testing.TB, e *Engine, r Range, want map[string]string, when string) {
	t.Helper()
	shown, ranges := map[string]bool{}, []*CorruptError(nil)
	for rec, err := range e.Scan(r) {
		var c *CorruptError
		value, present := want[string(rec.Key)]
		switch {
		case errors.As(err, &c) && rec.Key == nil && c.Ranged:
			ranges = append(ranges, c)
		case errors.As(err, &c) && rec.Key != nil:
			shown[string(rec.Key)] = true
		case err != nil:
			t.Fatalf("%s: scan: %v", when, err)
		case !present || string(rec.Value) != value && !r.KeysOnly || shown[string(rec.Key)]:
			t.Fatalf("%s: scan (%+v) shows %q with %q, want %q", when, r, rec.Key, rec.Value, value)
		default:
			shown[string(rec.Key)] = true
		}
	}
	for k := range want {
		in := k >= string(r.Start) && (r.End == nil || k < string(r.End))
		for _, c := range ranges {
			in = in && (k < string(c.FirstKey) || c.EndKey != nil && k >= string(c.EndKey))
		}
		if in && !shown[k] && !e.Stats().UnknownAll {
			t.Fatalf("%s: scan (%+v) says nothing of %q", when, r, k)
		}
	}
}

// TestConformanceFlippedBytesAreNoticed flips bytes of each file of a merged store in turn, while it is closed or while it is
// open: each byte where the tests may take long.
func TestConformanceFlippedBytesAreNoticed(t *testing.T) {
	t.Parallel()
	for _, c := range []Compression{CompressionNone, CompressionZstd} {
		base, want := small(t, c)
		names, err := base.List(dataDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			content, err := base.Content(filepath.Join(dataDir, name))
			if err != nil || name == formatName || name == lockName {
				continue
			}
			// What is filled ahead is zeros and no part of the log.
			size := len(bytes.TrimRight(content, "\x00"))
			t.Run(fmt.Sprintf("%v/%s", c, name), func(t *testing.T) {
				t.Parallel()
				for off, step := 0, every(7, 41); off < size; off += step {
					flip(t, base, want, name, int64(off), off/step%2 == 0)
				}
			})
		}
	}
}

// flip damages one byte of a file, looks, merges and writes again.
func flip(t *testing.T, base *vfstest.FS, want map[string]string, name string, off int64, open bool) {
	fs := base.Crash(vfstest.Everything())
	path := filepath.Join(dataDir, name)
	when := fmt.Sprintf("byte %d flipped, open %v", off, open)
	var e *Engine
	if open {
		e = mustOpen(t, fs, damageOptions)
		mustDamage(t, fs, path, off, 1)
	} else {
		mustDamage(t, fs, path, off, 1)
		e = mustOpen(t, fs, damageOptions)
	}
	before := mustShowOrNotKnow(t, e, want, when)
	mustMergeOrBeDamaged(t, e, when)
	if after := mustShowOrNotKnow(t, e, want, when+", merged"); after < before {
		t.Fatalf("%s: %d keys were unknown, %d are after a merge", when, before, after)
	}
	mustClose(t, e)
	e = mustOpen(t, fs, damageOptions)
	if after := mustShowOrNotKnow(t, e, want, when+", merged and reopened"); after < before {
		t.Fatalf("%s: %d keys were unknown, %d are after a merge and reopen", when, before, after)
	}
	rewrite(t, e, fs, when)
}

func mustMergeOrBeDamaged(t testing.TB, e *Engine, when string) {
	t.Helper()
	if err := e.Merge(context.Background()); err != nil && !isCorrupt(err) {
		t.Fatalf("%s: merge: %v", when, err)
	}
}

// rewrite ends the damage of every key by a newer write.
func rewrite(t *testing.T, e *Engine, fs *vfstest.FS, when string) {
	t.Helper()
	want := map[string]string{}
	for i := range damagedKeys {
		if k := key(i); i%4 == 3 {
			mustDelete(t, e, k)
		} else {
			want[k] = "again"
			mustPut(t, e, k, want[k])
		}
	}
	for _, what := range []string{"written again", "and reopened", "and merged", "and reopened once more"} {
		for i := range damagedKeys {
			if have := got(t, e, key(i)); have != cmpOr(want[key(i)], "-") {
				t.Fatalf("%s, %s: %q reads %q, want %q", when, what, key(i), have, want[key(i)])
			}
		}
		mustScanOrNotKnow(t, e, Range{}, want, when+", "+what)
		if what == "and reopened" {
			mustMergeOrBeDamaged(t, e, when)
			continue
		}
		mustClose(t, e)
		e = mustOpen(t, fs, damageOptions)
	}
	mustClose(t, e)
}

// TestConformanceRunThatCannotBeOpened has a run damaged where Open has to read it. What it held is Unknown, not absent, what is
// newer reads right, nothing that may still be of use is deleted, and what is written afterwards stays.
func TestConformanceRunThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	base, want := small(t, CompressionNone)
	names, err := base.List(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	var runs []string
	for _, name := range names {
		if strings.HasSuffix(name, runSuffix) {
			runs = append(runs, name)
		}
	}
	for how, damage := range map[string]func(content []byte) []byte{
		"emptied":     func([]byte) []byte { return nil },
		"cut to 1":    func(c []byte) []byte { return c[:1] },
		"cut to half": func(c []byte) []byte { return c[:len(c)/2] },
		"trailer cut": func(c []byte) []byte { return c[:len(c)-1] },
		"zeros":       func(c []byte) []byte { return make([]byte, len(c)) },
		"longer":      func(c []byte) []byte { return append(c, 0) },
	} {
		for _, name := range runs {
			for _, all := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/all=%v", how, name, all), func(t *testing.T) {
					fs := base.Crash(vfstest.Everything())
					if all { // nothing younger is left
						e := mustOpen(t, fs, damageOptions)
						mustMerge(t, e)
						name = filepath.Base(e.index.runs()[0].path)
						mustClose(t, e)
					}
					path := filepath.Join(dataDir, name)
					content, err := fs.Content(path)
					if err != nil {
						t.Fatal(err)
					}
					_, last, _ := runNameOf(name)
					leftover := segmentPath(dataDir, last)
					for file, data := range map[string][]byte{path: damage(content), leftover: []byte("of use")} {
						if err := fs.SetContent(file, data); err != nil {
							t.Fatal(err)
						}
					}
					e := mustOpen(t, fs, damageOptions)
					if unknown := mustShowOrNotKnow(t, e, want, "opened"); unknown == 0 || !e.Stats().UnknownAll {
						t.Fatalf("nothing is unknown: %+v", e.Recovery())
					}
					if have, err := fs.Content(leftover); err != nil || string(have) != "of use" {
						t.Errorf("the segment that the run was made of: %q %v", have, err)
					}
					rewrite(t, e, fs, "run damaged")
				})
			}
		}
	}
}

// TestConformanceDamageIsCarriedThroughMerges damages a segment before it is merged: with its hint file the keys are known that
// were lost, without it the number of the last record is. Both stay as they are through merges and reopens.
func TestConformanceDamageIsCarriedThroughMerges(t *testing.T) {
	t.Parallel()
	for _, hintFiles := range []bool{true, false} {
		for how, whole := range map[string]bool{"a record": false, "the whole segment": true} {
			for _, segment := range []SegmentID{1, 2, 3} {
				t.Run(fmt.Sprintf("%s/hint files=%v/segment %d", how, hintFiles, segment), func(t *testing.T) {
					t.Parallel()
					carryDamage(t, segment, whole, hintFiles)
				})
			}
		}
	}
}

func carryDamage(t *testing.T, segment SegmentID, whole, hintFiles bool) {
	fs, want := vfstest.New(), map[string]string{}
	e := mustOpen(t, fs, damageOptions)
	for layer := range 4 {
		for i := range damagedKeys - 1 {
			if k := key(i); (i+layer)%3 == 0 {
				delete(want, k)
				mustDelete(t, e, k)
			} else if i%2 == layer%2 || layer == 0 {
				want[k] = fmt.Sprintf("layer %d", layer)
				mustPut(t, e, k, want[k])
			}
		}
		if err := e.writer.sealActive(); err != nil {
			t.Fatal(err)
		}
	}
	settleHintFiles(e)
	mustClose(t, e)
	path := segmentPath(dataDir, segment)
	content, err := fs.Content(path)
	if err != nil {
		t.Fatal(err)
	}
	if whole {
		mustDamage(t, fs, path, 0, len(content))
	} else {
		mustDamage(t, fs, path, int64(len(content)/2), 60)
	}
	if !hintFiles {
		if err := fs.Remove(strings.TrimSuffix(path, segmentSuffix) + hintFileSuffix); err != nil {
			t.Fatal(err)
		}
	}
	e = mustOpen(t, fs, damageOptions)
	before := mustShowOrNotKnow(t, e, want, "damaged")
	if !hintFiles && before == 0 {
		t.Fatal("nothing is unknown")
	}
	for _, what := range []string{"merged in part", "merged", "merged again"} {
		if what == "merged in part" {
			mergeDue(e, false)
		} else {
			mustMerge(t, e)
		}
		for range 2 {
			if n := mustShowOrNotKnow(t, e, want, what); n != before {
				t.Fatalf("%s: %d keys are unknown, %d were", what, n, before)
			}
			if before > 0 && e.Stats().Damage == 0 {
				t.Fatalf("%s: no damage is reported", what)
			}
			mustClose(t, e)
			e = mustOpen(t, fs, damageOptions)
		}
	}
	rewrite(t, e, fs, "carried")
}

// TestConformanceDamagedRunDoesNotEndMerges damages the oldest run. A merge that comes upon it fails, but those that follow merge
// what is younger.
func TestConformanceDamagedRunDoesNotEndMerges(t *testing.T) {
	t.Parallel()
	fs, want := small(t, CompressionNone)
	o := damageOptions
	o.SpaceAmpMax = 1.01 // everything is due at any time
	e := mustOpen(t, fs, o)
	runs := e.index.runs()
	oldest := runs[len(runs)-1]
	mustDamage(t, fs, oldest.path, 200, 4)
	mergeDue(e, false)
	if err := e.merger.lastError(); !isCorrupt(err) {
		t.Fatalf("merge of a damaged run: %v", err)
	}
	for n := range 20 {
		for i := range 4 {
			want[key(i)] = fmt.Sprint("again ", n)
			mustPut(t, e, key(i), want[key(i)])
		}
		if err := e.writer.sealActive(); err != nil {
			t.Fatal(err)
		}
		mergeDue(e, false)
		if err := e.merger.lastError(); err != nil {
			t.Fatalf("merge of what is younger than the damage: %v", err)
		}
		mustShowOrNotKnow(t, e, want, "merged beside a damaged run")
	}
	if runs := e.index.runs(); len(runs) > mergeRuns+2 || len(e.log.all()) > 0 || runs[len(runs)-1] != oldest {
		t.Errorf("%d runs and %d segments are left", len(runs), len(e.log.all()))
	}
	rewrite(t, e, fs, "damaged run")
}
