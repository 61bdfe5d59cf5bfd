package storage

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestConformanceCrashWhileMergingKeepsAcknowledgedWrites loses power while merges go on in the background, which no seed repeats
// exactly: at many points, again during recovery, and again after it.
func TestConformanceCrashWhileMergingKeepsAcknowledgedWrites(t *testing.T) {
	t.Parallel()
	eachSeed(t, 100, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		fs, h := vfstest.New(), newHistory(seed)
		fs.CrashAfter(rng.IntN(400))
		o := crashOptions(fs, SyncAlways)
		o.MergeDisabled = false
		o.Compression = oneOf(rng, CompressionNone, CompressionS2)
		if err := h.run(o, 80); err != nil && !errors.Is(err, vfstest.ErrCrashed) {
			t.Fatal(err)
		}
		survives(t, fs, h, o, rng)
	})
}

// TestConformanceCrashKeepsAPrefixThroughMerges loses power at every change of the file system under the policies that do not
// sync each write. What is left has to be what a prefix of the operations had made, and no shorter one than the last full
// merge, which has made durable what came before: a record that was durable is not lost because a merge left it out in favour of
// one that was not.
func TestConformanceCrashKeepsAPrefixThroughMerges(t *testing.T) {
	t.Parallel()
	eachSeed(t, 5, func(t *testing.T, seed uint64) {
		for point := 0; crashUnsynced(t, seed, point, false); point += every(1, 4) {
		}
	})
}

// TestConformanceCrashOfAMappedLogKeepsAPrefix is the same where the log is written through mappings, whose pages the system may write in any
// order or not at all.
func TestConformanceCrashOfAMappedLogKeepsAPrefix(t *testing.T) {
	t.Parallel()
	eachSeed(t, 2, func(t *testing.T, seed uint64) {
		for point := 0; crashUnsynced(t, seed, point, true); point += every(1, 4) {
		}
	})
}

// crashUnsynced says whether the history came to the crash point.
func crashUnsynced(t *testing.T, seed uint64, point int, mapped bool) bool {
	rng := rand.New(rand.NewPCG(seed, uint64(point)))
	fs, h := vfstest.New(), newHistory(seed)
	o := crashOptions(fs, oneOf(rng, SyncNever, SyncInterval))
	if mapped {
		fs.AllowMappings()
		o.Sync = SyncNever // nobody syncs what another goroutine writes
	}
	fs.CrashAfter(point)
	states, durable := []map[string]string{{}}, 0
	e, err := Open(dataDir, o)
	for n := 0; err == nil && n < 50; n++ {
		if err = h.step(e); err != nil {
			break
		}
		settleHintFiles(e)
		if rng.IntN(2) == 0 {
			fs.TakeMappings()
		}
		states = append(states, maps.Clone(h.acked))
		if h.merged {
			durable = len(states) - 1
		}
	}
	if err != nil && !errors.Is(err, vfstest.ErrCrashed) {
		t.Fatalf("crash point %d: %v", point, err)
	}
	if h.pending != nil {
		with := maps.Clone(h.acked)
		apply(with, h.pending)
		states = append(states, with)
	}
	if e != nil {
		e.Close()
	}
	reached := fs.Crashed()
	_, after := reopen(t, fs.Crash(vfstest.Random(rng.Uint64())), rng, o)
	defer after.Close()
	have := contents(t, after)
	if at := lastIndex(states, have); at < durable {
		t.Fatalf("crash point %d: what is left is state %d of %d, %d was durable:\n%s", point, at, len(states), durable, show(have))
	}
	if d := after.Recovery().Damage; len(d) > 0 {
		t.Fatalf("crash point %d: taken for damage: %v", point, d)
	}
	// What is shown after a crash is durable, and goes on to be so.
	h.acked, h.pending = have, nil
	for range 5 {
		if err := h.step(after); err != nil {
			t.Fatalf("crash point %d: afterwards: %v", point, err)
		}
	}
	mustHoldExactly(t, after, h.acked, fmt.Sprintf("crash point %d", point))
	return reached
}

// lastIndex is the last of the states that is the same, or -1.
func lastIndex(states []map[string]string, state map[string]string) int {
	for i := len(states) - 1; i >= 0; i-- {
		if maps.Equal(states[i], state) {
			return i
		}
	}
	return -1
}

func mustHoldExactly(t testing.TB, e *Engine, want map[string]string, when string) {
	t.Helper()
	if have := contents(t, e); !maps.Equal(have, want) {
		t.Fatalf("%s: the store holds\n%s\nwant\n%s", when, show(have), show(want))
	}
	for i := range historyKeys {
		if have := got(t, e, key(i)); have != cmpOr(want[key(i)], "-") {
			t.Fatalf("%s: get %q: %.40q, want %.40q", when, key(i), have, want[key(i)])
		}
	}
}

// TestConformanceCrashInALargeBatchLeavesAllOfItOrNothing loses power at every change of the file system around batches that are large, and after each of
// them: with many changes, with more bytes than there are zeros ahead for, and with more than a group takes.
func TestConformanceCrashInALargeBatchLeavesAllOfItOrNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []largeBatches{
		{"many changes, synced", 600, 10, SyncAlways, false},
		{"many changes, not synced", 600, 10, SyncNever, false},
		{"many changes, mapped", 600, 10, SyncNever, true},
		{"many bytes, synced", 24, 4 << 10, SyncAlways, false},
		{"many bytes, not synced", 24, 4 << 10, SyncNever, false},
		{"many bytes, mapped", 24, 4 << 10, SyncNever, true},
		{"over the group, synced", 50, groupBytesMax / 40, SyncAlways, false},
		{"over the group, not synced", 50, groupBytesMax / 40, SyncNever, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			points, step := 0, every(1, 3)
			for c.crash(t, points*step) {
				points++
			}
			if points*step < 8 {
				t.Errorf("%d crash points", points)
			}
		})
	}
}

// largeBatches are a history of single changes and large batches in turns.
type largeBatches struct {
	name                string
	changes, valueBytes int
	policy              SyncPolicy
	mapped              bool
}

// crash says whether the history came to the crash point.
func (c *largeBatches) crash(t *testing.T, point int) bool {
	rng, fs := rand.New(rand.NewPCG(uint64(c.changes), uint64(point))), vfstest.New()
	if c.mapped {
		fs.AllowMappings()
	}
	fs.CrashAfter(point)
	o := Options{FS: fs, Sync: c.policy, SegmentBytesMax: 2 * groupBytesMax, MergeDisabled: true}
	states, durable := []map[string]string{{}}, 0
	e, err := Open(dataDir, o)
	const batches = 6
	for n := 0; err == nil && n < batches; n++ {
		b, next := c.batch(n, states[len(states)-1])
		states = append(states, next)
		if err = e.Apply(b); err == nil && n == batches/2 {
			err = e.syncSegment(e.log.active())
		}
		if err == nil && (c.policy == SyncAlways || n == batches/2) {
			durable = len(states) - 1
		}
		if c.mapped && err == nil { // what is written to a mapping is no crash point
			c.mustHaveOneOf(t, fs, o, states, durable, rng)
		}
		fs.TakeMappings()
	}
	if err != nil && !errors.Is(err, vfstest.ErrCrashed) {
		t.Fatalf("crash point %d: %v", point, err)
	}
	if e != nil {
		err = e.Close()
	}
	if !fs.Crashed() {
		if durable = len(states) - 1; err != nil || durable != batches {
			t.Fatalf("%d batches: %v", durable, err)
		}
	}
	for range 3 {
		c.mustHaveOneOf(t, fs, o, states, durable, rng)
	}
	return fs.Crashed()
}

// batch is the n-th of the history, and what there is after it.
func (c *largeBatches) batch(n int, before map[string]string) (*Batch, map[string]string) {
	b, after := new(Batch), maps.Clone(before)
	for i := range 1 + n%2*c.changes {
		k := key((i*7 + n) % (c.changes + c.changes/2))
		if i%5 == 4 {
			b.Delete([]byte(k))
			delete(after, k)
			continue
		}
		v := strings.Repeat(string(rune('a'+n)), c.valueBytes)
		b.Put([]byte(k), []byte(v))
		after[k] = v
	}
	return b, after
}

// mustHaveOneOf loses power, and wants one of the states back from the one on that is durable.
func (c *largeBatches) mustHaveOneOf(t *testing.T, fs *vfstest.FS, o Options, states []map[string]string, durable int, rng *rand.Rand) {
	t.Helper()
	_, after := reopen(t, fs.Crash(vfstest.Random(rng.Uint64())), rng, o)
	defer after.Close()
	if d := after.Recovery().Damage; len(d) > 0 {
		t.Fatalf("taken for damage: %v", d)
	}
	if at := lastIndex(states, contents(t, after)); at < durable {
		t.Fatalf("what is left is state %d of %d, %d was durable", at, len(states), durable)
	}
}
