package storage

import (
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestSnapshotTakesKnownDamageAlong(t *testing.T) {
	t.Run("a segment with a hint file", func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, smallSegments)
		fill(t, e, 0, 60)
		path, en := placeOf(t, e, key(5))
		mustDamage(t, fs, path, int64(en.Offset)+int64(en.Length)-3, 2)
		wantValue(t, e, key(5), "?")
		mustSnapshot(t, e, snapshotDir)
		s := openAt(t, fs, snapshotDir, smallSegments)
		if d := s.Recovery().Damage; len(d) != 1 || d[0].KeyCount != 1 {
			t.Errorf("damage: %v", d)
		}
		wantValue(t, s, key(5), "?")
		wantValue(t, s, key(6), valueOf(6))
	})
	t.Run("the end of the youngest segment, which is sealed", func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, smallSegments)
		fill(t, e, 0, 5)
		mustClose(t, e) // a mark vouches for all
		last := e.log.last()
		mustDamage(t, fs, last.path, last.written.Load()-60, 60)
		e = mustOpen(t, fs, Options{KnownSeq: 5})
		if s := e.Stats(); !s.UnknownAll {
			t.Fatalf("stats: %+v", s)
		}
		mustSnapshot(t, e, snapshotDir)
		s := openAt(t, fs, snapshotDir, smallSegments)
		if !s.Stats().UnknownAll {
			t.Errorf("recovery: %+v", s.Recovery())
		}
	})
	t.Run("a run that cannot be opened", func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, smallSegments)
		fill(t, e, 0, 60)
		mustMerge(t, e)
		path := e.index.runs()[0].path
		mustClose(t, e)
		mustDamage(t, fs, path, 0, 60)
		e = mustOpen(t, fs, smallSegments)
		mustSnapshot(t, e, snapshotDir)
		s := openAt(t, fs, snapshotDir, smallSegments)
		if !e.Stats().UnknownAll || !s.Stats().UnknownAll {
			t.Errorf("recovery: %+v", s.Recovery())
		}
	})
}
