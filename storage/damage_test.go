package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// smallSegments rolls after some twenty of the records that fill writes.
var smallSegments = Options{SegmentBytesMax: segmentBytesLeast}

// fill writes n keys in order, some 200 bytes each.
func fill(t testing.TB, e *Engine, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		mustPut(t, e, key(i), valueOf(i))
	}
	settleHintFiles(e)
}

func valueOf(i int) string { return fmt.Sprintf("value %d %s", i, strings.Repeat("x", 150)) }

// placeOf is where the newest record of a key stands.
func placeOf(t testing.TB, e *Engine, key string) (path string, en entry) {
	t.Helper()
	en, ok := e.index.get([]byte(key))
	if !ok {
		t.Fatalf("no entry for %q", key)
	}
	return segmentPath(dataDir, SegmentID(en.Segment)), en
}

func mustDamage(t testing.TB, fs *vfstest.FS, path string, off int64, n int) {
	t.Helper()
	if err := fs.Damage(path, off, n); err != nil {
		t.Fatal(err)
	}
}

func TestDamageWithHintFileMakesExactlyItsKeysUnknown(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 100)
	path, en := placeOf(t, e, key(5))
	mustDamage(t, fs, path, int64(en.Offset)+int64(en.Length)-3, 2)

	// Found by a read: the key is unknown from then on.
	wantValue(t, e, key(5), "?")
	if s := e.Stats(); s.Damage != 1 || s.UnknownAll {
		t.Errorf("stats after a corrupt read: %+v", s)
	}
	wantValue(t, e, key(5), "?")
	if s := e.Stats(); s.Damage != 1 {
		t.Errorf("one damage was counted %d times", s.Damage)
	}
	if _, err := e.Meta([]byte(key(5)), nil); !isCorrupt(err) {
		t.Errorf("meta of an unreadable key: %v", err)
	}
	mustClose(t, e)

	// Found again by every open, with the keys that it touches and no others.
	for range 2 {
		e = mustOpen(t, fs, smallSegments)
		d := e.Recovery().Damage
		if len(d) != 1 || !d[0].KeysKnown || d[0].KeyCount != 1 || string(d[0].Keys[0]) != key(5) {
			t.Fatalf("damage after reopen: %v", d)
		}
		for i := range 100 {
			want := valueOf(i)
			if i == 5 {
				want = "?"
			}
			wantValue(t, e, key(i), want)
		}
		wantValue(t, e, "absent", "-")
		if have := contents(t, e); have[key(5)] != "?" || len(have) != 100 {
			t.Errorf("scan shows %d keys, the damaged one as %q", len(have), have[key(5)])
		}
		mustClose(t, e)
	}

	// Ended by a newer write.
	e = mustOpen(t, fs, smallSegments)
	mustPut(t, e, key(5), "new")
	wantValue(t, e, key(5), "new")
	mustClose(t, e)
	e = mustOpen(t, fs, smallSegments)
	wantValue(t, e, key(5), "new")
}

func TestDamageWithoutHintFileMakesOlderAndAbsentKeysUnknown(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 60)
	mustDelete(t, e, key(1))
	path, en := placeOf(t, e, key(30))
	if en.Segment == 1 || SegmentID(en.Segment) == e.log.last().id {
		t.Fatalf("key 30 is in segment %d of %d", en.Segment, e.log.last().id)
	}
	mustClose(t, e)
	mustDamage(t, fs, path, int64(en.Offset), int(en.Length))
	mustDamage(t, fs, strings.TrimSuffix(path, segmentSuffix)+hintFileSuffix, 100, 1)

	for pass := range 3 {
		e = mustOpen(t, fs, smallSegments)
		d := e.Recovery().Damage
		if len(d) != 1 || d[0].KeysKnown || d[0].FirstSeq != 31 || d[0].LastSeq != 31 || d[0].Offset != int64(en.Offset) {
			t.Fatalf("damage: %+v", d)
		}
		if s := e.Stats(); !s.UnknownAll || s.Damage != 1 {
			t.Errorf("stats: %+v", s)
		}
		wantValue(t, e, "never written", "?")
		wantValue(t, e, key(29), "?") // may have been written again in the damaged place
		wantValue(t, e, key(30), "?")
		wantValue(t, e, key(31), valueOf(31))
		wantValue(t, e, key(1), "-") // deleted after the damage
		if pass == 0 {
			err := e.Update([][]byte{[]byte(key(29)), []byte("never written"), []byte(key(31))}, func(cur []Current, w *Writes) error {
				if cur[0].State != Unknown || cur[1].State != Unknown || cur[2].State != Present {
					t.Errorf("update sees %+v", cur)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			// A write ends it, a delete too.
			mustPut(t, e, key(2), "again")
			mustDelete(t, e, key(3))
		}
		wantValue(t, e, key(2), "again")
		wantValue(t, e, key(3), "-")
		mustClose(t, e)
	}
}

func TestDamageBelowTheSyncedMarkOfTheActiveSegmentIsNoTornTail(t *testing.T) {
	for name, clean := range map[string]bool{"after a clean close": true, "after a crash": false} {
		t.Run(name, func(t *testing.T) {
			fs := vfstest.New()
			e := mustOpen(t, fs, Options{})
			fill(t, e, 0, 10)
			last := 9 // closed cleanly, a mark vouches for the last record, too
			if !clean {
				last = 8
			}
			path, en := placeOf(t, e, key(last))
			if clean {
				mustClose(t, e)
			} else {
				fs = fs.Crash(vfstest.Nothing())
			}
			mustDamage(t, fs, path, int64(en.Offset)+20, 1)
			e = mustOpen(t, fs, Options{})
			r := e.Recovery()
			if len(r.Damage) != 1 || r.Damage[0].LastSeq != uint64(last+1) || r.TornBytes != 0 {
				t.Fatalf("recovery: %+v", r)
			}
			wantValue(t, e, key(last), "?")
			// What is written now goes to a new segment, and the damage is found again.
			mustPut(t, e, "new", "value")
			if _, en := placeOf(t, e, "new"); en.Segment != 2 {
				t.Errorf("written to segment %d", en.Segment)
			}
			mustClose(t, e)
			e = mustOpen(t, fs, Options{})
			if d := e.Recovery().Damage; len(d) != 1 {
				t.Errorf("damage after reopen: %v", d)
			}
			wantValue(t, e, "new", "value")
			wantValue(t, e, key(3), "?")
		})
	}
}

func TestTornTailIsCutAndReported(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{Sync: SyncNever})
	fill(t, e, 0, 10)
	path, en := placeOf(t, e, key(7))
	fs = fs.Crash(vfstest.Everything())
	mustDamage(t, fs, path, int64(en.Offset)+20, 1)
	e = mustOpen(t, fs, Options{Sync: SyncNever})
	r := e.Recovery()
	if len(r.Damage) != 0 || r.TornBytes == 0 || r.TornSegment != 1 {
		t.Fatalf("recovery: %+v", r)
	}
	for i := range 10 {
		want := valueOf(i)
		if i >= 7 {
			want = "-"
		}
		wantValue(t, e, key(i), want)
	}
	mustPut(t, e, key(7), "again")
	mustClose(t, e)
	e = mustOpen(t, fs, Options{})
	if r := e.Recovery(); len(r.Damage) != 0 || r.TornBytes != 0 {
		t.Errorf("second recovery: %+v", r)
	}
	wantValue(t, e, key(7), "again")
	wantValue(t, e, key(8), "-")
}

func TestMissingSegmentIsDamage(t *testing.T) {
	for _, gone := range []int{1, 2} {
		fs := vfstest.New()
		e := mustOpen(t, fs, smallSegments)
		fill(t, e, 0, 100)
		mustClose(t, e)
		if err := fs.Remove(segmentPath(dataDir, SegmentID(gone))); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, fs, smallSegments)
		d := e.Recovery().Damage
		if len(d) != 1 || d[0].LastSeq == 0 || d[0].KeysKnown {
			t.Fatalf("segment %d missing: damage %v", gone, d)
		}
		wantValue(t, e, "absent", "?")
		wantValue(t, e, key(99), valueOf(99))
		mustClose(t, e)
	}
}

func TestSegmentCutShortIsDamage(t *testing.T) {
	for _, withHintFile := range []bool{true, false} {
		fs := vfstest.New()
		e := mustOpen(t, fs, smallSegments)
		fill(t, e, 0, 100)
		path, en := placeOf(t, e, key(10))
		mustClose(t, e)
		data, err := fs.Content(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := fs.SetContent(path, data[:en.Offset+10]); err != nil {
			t.Fatal(err)
		}
		if !withHintFile {
			if err := fs.Remove(strings.TrimSuffix(path, segmentSuffix) + hintFileSuffix); err != nil {
				t.Fatal(err)
			}
		}
		e = mustOpen(t, fs, smallSegments)
		d := e.Recovery().Damage
		if len(d) == 0 || d[0].KeysKnown != withHintFile {
			t.Fatalf("with hint file %v: damage %v", withHintFile, d)
		}
		wantValue(t, e, key(10), "?")
		absent, older := "-", valueOf(9)
		if !withHintFile {
			absent, older = "?", "?"
		}
		wantValue(t, e, "absent", absent)
		wantValue(t, e, key(9), older)
		wantValue(t, e, key(99), valueOf(99))
		mustClose(t, e)
	}
}

// TestDamageAtTheEndOfTheLogIsNotForgotten has nothing readable behind the damage that would say how much is lost: a
// crash came while the next segment was made.
func TestDamageAtTheEndOfTheLogIsNotForgotten(t *testing.T) {
	for name, from := range map[string]int64{"the end": 0, "all": 1, "truncated": -1} {
		t.Run(name, func(t *testing.T) {
			fs := vfstest.New()
			e := mustOpen(t, fs, smallSegments)
			fill(t, e, 0, 30)
			mustPut(t, e, key(3), "newer")
			path, en := placeOf(t, e, key(29))
			if en.Segment != 2 {
				t.Fatalf("key 29 is in segment %d", en.Segment)
			}
			mustClose(t, e)
			content, err := fs.Content(path)
			if err != nil {
				t.Fatal(err)
			}
			switch from {
			case 0:
				mustDamage(t, fs, path, int64(en.Offset), len(content)-int(en.Offset))
			case 1:
				mustDamage(t, fs, path, 0, len(content))
			default:
				if err := fs.SetContent(path, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := fs.SetContent(segmentPath(dataDir, 3), nil); err != nil {
				t.Fatal(err)
			}
			for pass := range 3 {
				e = mustOpen(t, fs, smallSegments)
				if !e.Stats().UnknownAll {
					t.Fatalf("nothing unknown: %v", e.Recovery())
				}
				wantValue(t, e, key(3), "?")
				wantValue(t, e, "absent", "?")
				if pass == 1 {
					mustPut(t, e, "new", "value")
				}
				if pass > 0 {
					wantValue(t, e, "new", "value")
				}
				mustClose(t, e)
			}
		})
	}
}

func TestDamagedHeaderLosesNoRecord(t *testing.T) {
	for _, segment := range []SegmentID{1, 3} {
		for _, hintFiles := range []bool{true, false} {
			fs := vfstest.New()
			e := mustOpen(t, fs, smallSegments)
			fill(t, e, 0, 55)
			if e.log.last().id != 3 {
				t.Fatalf("%d segments", e.log.last().id)
			}
			mustClose(t, e)
			mustDamage(t, fs, segmentPath(dataDir, segment), 3, 1)
			if !hintFiles {
				for _, s := range e.log.all()[:2] {
					if err := fs.Remove(s.hintFilePath()); err != nil {
						t.Fatal(err)
					}
				}
			}
			e = mustOpen(t, fs, smallSegments)
			if d := e.Recovery().Damage; len(d) != 1 || d[0].LastSeq != 0 || d[0].KeyCount != 0 {
				t.Errorf("segment %d: damage %v", segment, d)
			}
			for i := range 55 {
				wantValue(t, e, key(i), valueOf(i))
			}
			wantValue(t, e, "absent", "-")
			mustClose(t, e)
		}
	}
}

func TestDamagedBatchIsNeverReplayedInPart(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	var b Batch
	for i := range 5 {
		b.Put([]byte(key(i)), []byte(valueOf(i)))
	}
	if err := e.Apply(&b); err != nil {
		t.Fatal(err)
	}
	mustPut(t, e, "after", "x")
	path, en := placeOf(t, e, key(2))
	mustClose(t, e)
	mustDamage(t, fs, path, int64(en.Offset)+30, 1)
	e = mustOpen(t, fs, Options{})
	if d := e.Recovery().Damage; len(d) != 1 || d[0].FirstSeq != 1 || d[0].LastSeq != 5 {
		t.Fatalf("damage: %v", d)
	}
	for i := range 5 {
		wantValue(t, e, key(i), "?")
	}
	wantValue(t, e, "after", "x")
}

func TestVerifyFindsDamageAndQuarantines(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 100)
	if d, err := e.Verify(context.Background(), nil); err != nil || len(d) != 0 {
		t.Fatalf("verify of a sound log: %v %v", d, err)
	}
	sealed, a := placeOf(t, e, key(3))
	active, b := placeOf(t, e, key(98))
	mustDamage(t, fs, sealed, int64(a.Offset)+30, 1)
	mustDamage(t, fs, active, int64(b.Offset)+30, 1)
	var last Progress
	d, err := e.Verify(context.Background(), func(p Progress) { last = p })
	if err != nil || len(d) != 2 || string(d[0].Keys[0]) != key(3) || string(d[1].Keys[0]) != key(98) {
		t.Fatalf("verify: %v %v", d, err)
	}
	if last.Segment != e.log.last().id || last.Bytes == 0 || last.Bytes > last.BytesTotal {
		t.Errorf("progress: %+v", last)
	}
	wantValue(t, e, key(3), "?")
	wantValue(t, e, key(98), "?")
	wantValue(t, e, key(4), valueOf(4))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("verify with a canceled context: %v", err)
	}
	mustClose(t, e)
	if _, err := e.Verify(context.Background(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("verify of a closed engine: %v", err)
	}
	e = mustOpen(t, fs, smallSegments)
	if d := e.Recovery().Damage; len(d) != 2 {
		t.Errorf("reopened after verify: %v", d)
	}
}

func TestDamagedHintFileIsRebuilt(t *testing.T) {
	for _, off := range []int64{0, 20, 70, 90} {
		fs := vfstest.New()
		e := mustOpen(t, fs, smallSegments)
		fill(t, e, 0, 60)
		mustDelete(t, e, key(0))
		mustClose(t, e)
		hintFile := e.log.all()[0].hintFilePath()
		before, err := fs.Content(hintFile)
		if err != nil {
			t.Fatal(err)
		}
		mustDamage(t, fs, hintFile, off, 1)
		e = mustOpen(t, fs, smallSegments)
		if r := e.Recovery(); r.HintFilesRebuilt != 1 || len(r.Damage) != 0 {
			t.Fatalf("recovery: %+v", r)
		}
		after, err := fs.Content(hintFile)
		if err != nil || string(after) != string(before) {
			t.Errorf("hint file was not rebuilt alike: %v", err)
		}
		for i := 1; i < 60; i++ {
			wantValue(t, e, key(i), valueOf(i))
		}
		wantValue(t, e, key(0), "-")
		mustClose(t, e)
	}
}

// TestHintFileThatEndsBeforeItsSegmentIsRebuilt has a hint file that could not be read for one open, so that its segment
// took more frames, and then can be read again.
func TestHintFileThatEndsBeforeItsSegmentIsRebuilt(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "old")
	mustPut(t, e, "deleted", "v")
	seg := e.log.last()
	if err := e.makeHintFile(seg, func() {}); err != nil {
		t.Fatal(err)
	}
	hintFile, err := fs.Content(seg.hintFilePath())
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, e, "k", "new")
	mustDelete(t, e, "deleted")
	mustClose(t, e)
	if err := fs.SetContent(seg.hintFilePath(), hintFile); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, fs, Options{})
	wantValue(t, e, "k", "new")
	wantValue(t, e, "deleted", "-")
	mustPut(t, e, "after", "v")
	wantValue(t, e, "after", "v")
}

// TestEveryFlippedByteIsNoticed flips each byte of a small log in turn. No key may then show an older value, or none,
// as if nothing had happened: it is as it was, or Unknown.
func TestEveryFlippedByteIsNoticed(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{Sync: SyncNever})
	for i := range 4 {
		mustPut(t, e, key(i), "old")
	}
	for i := range 3 {
		mustPut(t, e, key(i), "new")
	}
	mustDelete(t, e, key(3))
	var b Batch
	b.Put([]byte(key(4)), []byte("batch"))
	b.Put([]byte(key(0)), []byte("newest"))
	if err := e.Apply(&b); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{key(0): "newest", key(1): "new", key(2): "new", key(3): "-", key(4): "batch", key(5): "-"}
	end := e.log.last().written.Load()
	mustClose(t, e)
	path := e.log.last().path
	for off := range end {
		damaged := fs.Crash(vfstest.Everything())
		mustDamage(t, damaged, path, off, 1)
		e := mustOpen(t, damaged, Options{Sync: SyncNever})
		unknown := 0
		for k, v := range want {
			switch have := got(t, e, k); have {
			case v:
			case "?":
				unknown++
			default:
				t.Errorf("byte %d flipped: %q reads %q, want %q or unknown", off, k, have, v)
			}
		}
		if r := e.Recovery(); len(r.Damage) == 0 {
			t.Errorf("byte %d flipped: %d keys unknown, %+v", off, unknown, r)
		}
		mustClose(t, e)
	}
}

func TestReadErrorIsNoCorruption(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "k", "v")
	remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Err: os.ErrDeadlineExceeded})
	var io *IOError
	if _, err := e.Get([]byte("k"), nil); !errors.As(err, &io) || io.Op != "read" {
		t.Errorf("failing read: %v", err)
	}
	remove()
	wantValue(t, e, "k", "v")
}

// TestLogThatEndsBeforeAKnownRecordIsRefused takes away what no other file of the log tells of.
func TestLogThatEndsBeforeAKnownRecordIsRefused(t *testing.T) {
	for name, lose := range map[string]func(fs *vfstest.FS, last *segment) error{
		"last segment": func(fs *vfstest.FS, last *segment) error { return fs.Remove(last.path) },
		"emptied":      func(fs *vfstest.FS, last *segment) error { return fs.SetContent(last.path, nil) },
		"cut to its header": func(fs *vfstest.FS, last *segment) error {
			content, err := fs.Content(last.path)
			if err != nil {
				return err
			}
			return fs.SetContent(last.path, content[:segmentHeaderBytes])
		},
		"everything": func(fs *vfstest.FS, _ *segment) error {
			names, err := fs.List(dataDir)
			for _, name := range names {
				err = errors.Join(err, fs.Remove(dataDir+"/"+name))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfstest.New()
			e := mustOpen(t, fs, smallSegments)
			fill(t, e, 0, 50)
			mustClose(t, e)
			known := e.Stats().LastSeq
			whole := fs.Crash(vfstest.Everything())
			if err := lose(fs, e.log.last()); err != nil {
				t.Fatal(err)
			}
			o := smallSegments
			o.FS, o.KnownSeq = fs, known
			for range 2 { // the refusal changes nothing
				var missing *MissingError
				if _, err := Open(dataDir, o); !errors.As(err, &missing) || missing.KnownSeq != 50 || missing.LastSeq >= 50 {
					t.Fatalf("got %v", err)
				}
			}
			if e = mustOpen(t, whole, o); e.Stats().LastSeq != known {
				t.Errorf("last record is %d, was %d", e.Stats().LastSeq, known)
			}
		})
	}
}

// TestDamageUpToAKnownRecordIsNoTornTail has the last group damaged, which no frame vouches for.
func TestDamageUpToAKnownRecordIsNoTornTail(t *testing.T) {
	for _, c := range []struct {
		known uint64
		want  string
	}{{9, "-"}, {10, "?"}} {
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{})
		fill(t, e, 0, 10)
		path, en := placeOf(t, e, key(9))
		fs = fs.Crash(vfstest.Everything())
		mustDamage(t, fs, path, int64(en.Offset)+20, 1)
		for range 2 {
			e = mustOpen(t, fs, Options{KnownSeq: c.known})
			wantValue(t, e, key(9), c.want)
			mustClose(t, e)
		}
	}
}
