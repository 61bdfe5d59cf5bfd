package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestWhatAScanCannotSeeCannotBeReadEither flips a byte of a record in a block of a run that is mapped, where single records answer for
// themselves. Whoever fills a store again goes by scans, and a merge of what was vouched for leaves the block behind: a record that is still
// found in it would be taken for held, and be lost.
func TestWhatAScanCannotSeeCannotBeReadEither(t *testing.T) {
	dir := t.TempDir()
	open := func() *Engine {
		e, err := Open(dir, Options{ReserveBytes: 1, CacheBytes: -1, BlockBytes: 1024})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e, model := open(), map[string]string{}
	for i := range 120 {
		model[key(i)] = fmt.Sprint("value ", i, strings.Repeat("x", 50))
		mustPut(t, e, key(i), model[key(i)])
	}
	mustMerge(t, e)
	path := e.index.runs()[0].path
	mustClose(t, e)
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stored[strings.Index(string(stored), "value 60")] ^= 1
	if err := os.WriteFile(path, stored, 0o600); err != nil {
		t.Fatal(err)
	}
	e = open()
	defer mustClose(t, e)
	seen := map[string]bool{}
	for rec, err := range e.Scan(Range{KeysOnly: true}) {
		if err == nil {
			seen[string(rec.Key)] = true
		}
	}
	if len(seen) > 119 || len(seen) < 90 {
		t.Fatalf("%d keys are seen of 120", len(seen))
	}
	for k, v := range model {
		_, err := e.Get([]byte(k), nil)
		var corrupt *CorruptError
		if seen[k] != (err == nil) || !seen[k] && !errors.As(err, &corrupt) {
			t.Errorf("%s: seen %v, read %v", k, seen[k], err)
		}
		if err != nil {
			mustPut(t, e, k, v)
		}
	}
	if err := e.Vouch(context.Background(), e.Stats().Damage); err != nil {
		t.Fatal(err)
	}
	mustShow(t, e, model, "vouched for")
}

// TestALookUpSeesWhatAScanSees has a run with a damaged block above one with keys within the bounds of that block. The filter of the upper one
// says of most of them that it never had them: they are not lost. A key that a scan shows as unreadable and a look-up as present would
// be healed for ever: there is nothing to be written.
func TestALookUpSeesWhatAScanSees(t *testing.T) {
	dir := t.TempDir()
	o := Options{ReserveBytes: 1, CacheBytes: -1, BlockBytes: 1024, MergeDisabled: true}
	e, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		mustPut(t, e, key(i), "old")
	}
	mergeSegmentsNow(t, e, false)
	for i := range 12 {
		mustPut(t, e, key(i*10), "new")
	}
	mergeSegmentsNow(t, e, false)
	if n := len(e.index.runs()); n != 2 {
		t.Fatalf("%d runs, want 2", n)
	}
	path := e.index.runs()[0].path
	mustClose(t, e)
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stored[strings.Index(string(stored), "new")] ^= 1
	if err := os.WriteFile(path, stored, 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err = Open(dir, o); err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, e)
	seen := map[string]bool{}
	for rec, err := range e.Scan(Range{KeysOnly: true}) {
		if err == nil {
			seen[string(rec.Key)] = true
		}
	}
	for i := range 120 {
		if _, err := e.Get([]byte(key(i)), nil); seen[key(i)] != (err == nil) {
			t.Errorf("%s: seen %v, read %v", key(i), seen[key(i)], err)
		}
	}
	if len(seen) < 90 {
		t.Errorf("of 108 keys that were not written again %d are seen", len(seen))
	}
}
