package causal

import (
	"encoding/binary"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// checkGlance compares what a glance at the meta of o tells with what o says.
func checkGlance(t fataler, o Object, stable Vector, expired int64) {
	t.Helper()
	g, err := GlanceAt(AppendMeta(nil, o))
	if err != nil {
		t.Fatalf("%v: %v", o, err)
	}
	want := binary.BigEndian.Uint64(appendDigest(nil, o))
	if len(o.Siblings) == 1 {
		want = xxhash.Sum64(appendHead(nil, &o.Siblings[0]))
	}
	if got := g.Digest(); got != want {
		t.Fatalf("%v has the digest %x, want %x", o, got, want)
	}
	if g.Elsewhere {
		if g.Mortal() || g.Settled(stable, expired) || metaLen(o) <= MetaBytesMax {
			t.Fatalf("more is known of %v than that it is elsewhere", o)
		}
		return
	}
	tombstones, expiring, last := 0, 0, int64(0)
	for _, s := range o.Siblings {
		if s.Tombstone {
			tombstones++
		}
		if s.ExpiresAt != 0 {
			expiring++
		}
		last = max(last, s.ExpiresAt)
	}
	if g.Siblings != len(o.Siblings) || g.Tombstones != tombstones || g.Expiring != expiring || g.ExpiresMax != last {
		t.Fatalf("%v looks like %+v", o, g)
	}
	if got, want := g.Settled(stable, expired), o.Settled(stable, expired); got != want {
		t.Fatalf("%v settled under %v and %d: %v", o, stable, expired, got)
	}
}

func TestGlanceTellsWhatDecodingTells(t *testing.T) {
	for _, o := range specimens() {
		checkGlance(t, o, o.Vector, 0)
		checkGlance(t, o, nil, 100)
	}
	checkGlance(t, expiring, expiring.Vector, expiring.Siblings[0].ExpiresAt)
	rapid.Check(t, func(t *rapid.T) {
		checkGlance(t, genObject(t), genVector(t), int64(rapid.IntRange(0, 2).Draw(t, "expired")))
	})
	if !grave.Settled(grave.Vector, 0) || !expiring.Settled(expiring.Vector, expiring.Siblings[0].ExpiresAt) {
		t.Error("nothing that was looked at is settled: this test shows little")
	}
}

// TestDigestDoesNotDependOnTheForm has the same siblings with their heads in the meta, elsewhere for a long vector, and compact.
func TestDigestDoesNotDependOnTheForm(t *testing.T) {
	for name, o := range specimens() {
		long := Object{Vector: o.Vector, Siblings: o.Siblings}
		for a := Actor(1); a <= 20; a++ {
			long.Vector = long.Vector.With(Dot{a << 40, 1})
		}
		here, _ := GlanceAt(AppendMeta(nil, o))
		elsewhere, err := GlanceAt(AppendMeta(nil, long))
		if err != nil || !elsewhere.Elsewhere || here.Digest() != elsewhere.Digest() {
			t.Errorf("%s: %x here, %x elsewhere, %v", name, here.Digest(), elsewhere.Digest(), err)
		}
		small, _ := long.Compact(long.Vector)
		meta := AppendMeta(nil, small)
		MarkCompact(meta)
		if compact, err := GlanceAt(meta); err != nil || here.Digest() != compact.Digest() {
			t.Errorf("%s: %x here, %x compact, %v", name, here.Digest(), compact.Digest(), err)
		}
	}
}

func TestGlanceAllocatesNothing(t *testing.T) {
	metas := [][]byte{AppendMeta(nil, grave), AppendMeta(nil, family), AppendMeta(nil, crowd()), AppendMeta(nil, followed())}
	if n := testing.AllocsPerRun(100, func() {
		for _, meta := range metas {
			if g, err := GlanceAt(meta); err != nil || g.Digest() == 0 || g.Settled(nil, 0) {
				t.Error("not as it should be")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzGlanceAt(f *testing.F) {
	for _, o := range specimens() {
		f.Add(AppendMeta(nil, o))
	}
	f.Add(outdatedMeta(followed()))
	f.Fuzz(func(t *testing.T, meta []byte) {
		g, err := GlanceAt(meta)
		g.Digest()
		g.Settled(family.Vector, 1)
		var o Object
		complete, decodeErr := DecodeMeta(&o, meta)
		if decodeErr != nil {
			return
		}
		if err != nil || g.Elsewhere == complete {
			t.Fatalf("%x is decoded as %v, and at a glance is %+v, %v", meta, o, g, err)
		}
		if complete {
			checkGlance(t, o, family.Vector, 1)
		}
	})
}

func BenchmarkGlance(b *testing.B) {
	for _, o := range []struct {
		name string
		Object
	}{{"lone", lone}, {"several", family}, {"elsewhere", crowd()}, {"vector-elsewhere", followed()}} {
		meta := AppendMeta(nil, o.Object)
		b.Run(o.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g, _ := GlanceAt(meta)
				g.Digest()
			}
		})
	}
}
