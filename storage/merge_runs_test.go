package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

var errBrokenOff = errors.New("broken off")

// churn changes some keys at random, in the store and in the model of it.
func churn(t *testing.T, e *Engine, rng *rand.Rand, model map[string]string) {
	t.Helper()
	for range 12 {
		k := key(rng.IntN(40))
		if rng.IntN(3) == 0 {
			mustDelete(t, e, k)
			delete(model, k)
		} else {
			model[k] = fmt.Sprint(rng.Uint32(), strings.Repeat("x", 9000))
			mustPut(t, e, k, model[k])
		}
	}
}

// mergeSegmentsNow makes a run of the sealed segments, with or without what goes along.
func mergeSegmentsNow(t *testing.T, e *Engine, along bool) {
	t.Helper()
	sealed := sealAll(t, e)
	if along {
		e.merger.stepSegments(true)
		if err := e.merger.lastError(); err != nil {
			t.Error(err)
		}
	} else if err := e.mergeAndCount(plan{segments: sealed, bytes: 1}, noPace); err != nil {
		t.Error(err)
	}
}

// TestSegmentsAreMergedWhileRunsAre has segments merged again and again in the middle of a merge of all runs, which then ends, is broken
// off, or is in the middle when the power goes. No key is ever anything but what was written last.
func TestSegmentsAreMergedWhileRunsAre(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			fs, model := vfstest.New(), map[string]string{}
			e := mustOpen(t, fs, Options{mergeWalkEntries: oneOf(rng, 1, 3, 0)})
			check := func(when string) {
				t.Helper()
				if have := contents(t, e); !maps.Equal(have, model) {
					t.Fatalf("%s: the store has %d keys, the model %d, or other values", when, len(have), len(model))
				}
				for i := range 40 {
					if v, ok := model[key(i)]; ok {
						wantValue(t, e, key(i), v)
					} else {
						wantValue(t, e, key(i), "-")
					}
				}
			}
			for range 2 + rng.IntN(3) {
				churn(t, e, rng, model)
				mergeSegmentsNow(t, e, false)
			}
			churn(t, e, rng, model)
			looks, end := 0, rng.IntN(3)
			p := e.merger.claim(e.planAllRuns)
			err := e.mergeAndCount(p, func(int64) error {
				if looks++; looks > 3 || looks > 1 && end > 0 {
					return nil
				}
				churn(t, e, rng, model)
				mergeSegmentsNow(t, e, rng.IntN(2) == 0)
				check("amid the merge")
				switch end {
				case 1:
					return errBrokenOff
				case 2:
					fs.CrashAfter(rng.IntN(9))
				}
				return nil
			})
			e.merger.release(&p)
			if looks == 0 || end == 0 && err != nil || end == 1 && !errors.Is(err, errBrokenOff) {
				t.Fatalf("after %d looks: %v", looks, err)
			}
			if end == 2 {
				_ = e.Close()
				fs = fs.Crash(vfstest.Random(rng.Uint64()))
			} else {
				check("after the merge")
				mustClose(t, e)
			}
			e = mustOpen(t, fs, Options{})
			check("reopened")
			churn(t, e, rng, model)
			if err := e.Merge(context.Background()); err != nil {
				t.Fatal(err)
			}
			check("merged")
			if runs := len(e.index.runs()); runs != 1 {
				t.Errorf("%d runs after a full merge", runs)
			}
		})
	}
}

// TestDropIsNotToldOfWhatAYoungerRunHas: the filter lets go of a record while a younger one of its key goes from the log to a run.
func TestDropIsNotToldOfWhatAYoungerRunHas(t *testing.T) {
	view, filters := map[string]bool{}, false
	e := mustOpen(t, vfstest.New(), Options{
		Filter: func(_, meta []byte) bool { return filters && string(meta) == "old" },
		Observer: func(changes []Change) {
			for _, c := range changes {
				view[string(c.Key)] = c.NewMeta != nil
			}
		},
	})
	put := func(key, meta string) {
		if err := e.PutMeta([]byte(key), []byte(meta), nil); err != nil {
			t.Fatal(err)
		}
	}
	put("gone", "old")
	put("renewed", "old")
	mergeSegmentsNow(t, e, false)
	filters = true
	p := e.merger.claim(e.planAllRuns)
	defer e.merger.release(&p)
	once := false
	err := e.mergeAndCount(p, func(int64) error {
		if !once {
			once = true
			put("renewed", "new")
			mergeSegmentsNow(t, e, false)
		}
		return nil
	})
	if err != nil || view["gone"] || !view["renewed"] {
		t.Errorf("the observer has %v, merge: %v", view, err)
	}
	wantValue(t, e, "renewed", "")
	wantValue(t, e, "gone", "-")
}

// TestFewRunsAreLeft merges segments many times: what is due of runs keeps their number down, and each record is not written many times.
func TestFewRunsAreLeft(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever, SegmentBytesMax: 64 << 10})
	value := strings.Repeat("x", 1000)
	for i := range 4000 {
		mustPut(t, e, key(i), value)
		if i%100 == 99 {
			mergeSegmentsNow(t, e, false)
			for e.merger.stepRuns() {
			}
		}
	}
	s := e.Stats()
	if s.Runs > mergeRuns || s.Keys < 3900 {
		t.Errorf("%d runs, %d keys", s.Runs, s.Keys)
	}
	if amp := float64(s.Merge.BytesWritten) / float64(s.RunBytes); amp > 4 {
		t.Errorf("merges have written everything %.1f times", amp)
	}
}
