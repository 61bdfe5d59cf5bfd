package storage

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// scrubbed is a store with a run of some keys and segments over it.
func scrubbed(t testing.TB, fs *vfstest.FS, o Options) *Engine {
	t.Helper()
	o.SegmentBytesMax = segmentBytesLeast
	e := mustOpen(t, fs, o)
	fill(t, e, 0, 60)
	mustMerge(t, e)
	fill(t, e, 60, 60)
	return e
}

func TestVerifyReadsRunsAndReportsTheirDamage(t *testing.T) {
	fs := vfstest.New()
	e := scrubbed(t, fs, Options{})
	if found, err := e.Verify(t.Context(), nil); err != nil || len(found) > 0 {
		t.Fatalf("an intact store: %v, %v", found, err)
	}
	r := e.index.runs()[0]
	mustDamage(t, fs, r.path, 5000, 2)
	for pass := range 2 {
		var last Progress
		files := map[string]bool{}
		found, err := e.Verify(t.Context(), func(p Progress) {
			if p.Bytes < last.Bytes || p.Bytes > p.BytesTotal {
				t.Errorf("progress goes from %+v to %+v", last, p)
			}
			last = p
			files[p.File] = true
		})
		if err != nil || len(found) != 1 {
			t.Fatalf("pass %d: %v, %v", pass, found, err)
		}
		d := found[0]
		if d.File != filepath.Base(r.path) || !d.Ranged || d.Segment != r.last || d.Offset > 5000 || d.Offset+d.Length <= 5000 || len(d.EndKey) == 0 {
			t.Errorf("damage: %+v", d)
		}
		unknown := 0
		for i := range 120 {
			lost := key(i) >= string(d.FirstKey) && key(i) < string(d.EndKey)
			if got(t, e, key(i)) == "?" {
				unknown++
			} else if lost && got(t, e, key(i)) == "-" {
				t.Errorf("%s is absent", key(i))
			}
		}
		if unknown == 0 {
			t.Error("no key is unknown")
		}
		if s := e.Stats(); s.Damage != 1 {
			t.Errorf("one damage was counted %d times", s.Damage)
		}
		if last.Bytes != last.BytesTotal || !files[filepath.Base(r.path)] || !files[""] {
			t.Errorf("progress ended at %+v, of %v", last, files)
		}
	}
}

func TestVerifyPassesOverWhatAMergeHasReplaced(t *testing.T) {
	fs := vfstest.New()
	e := scrubbed(t, fs, Options{})
	merged := false
	var last Progress
	found, err := e.Verify(t.Context(), func(p Progress) {
		if !merged {
			merged = true
			mustMerge(t, e)
		}
		last = p
	})
	if err != nil || len(found) > 0 || last.Bytes != last.BytesTotal {
		t.Errorf("%v, %v, %+v", found, err, last)
	}
	for _, err := range []error{syscall.EIO} {
		remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Path: runSuffix, Err: err})
		var io *IOError
		if _, got := e.Verify(t.Context(), nil); !errors.As(got, &io) || !errors.Is(got, err) {
			t.Errorf("verify of a run that cannot be read: %v", got)
		}
		remove()
	}
}

const week = 7 * 24 * time.Hour

// after waits in fake time, until nothing is left to do at its end.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestEverythingIsScrubbedOnceAnIntervalEvenAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := scrubbed(t, fs, Options{})
		after(week - 2*time.Hour)
		if s := e.Stats(); !s.ScrubbedAt.IsZero() || s.ScrubBytes > 0 {
			t.Fatalf("a new store was scrubbed: %+v", s)
		}
		after(4 * time.Hour)
		s := e.Stats()
		first := s.ScrubbedAt
		if age := time.Since(first); age < 0 || age > 4*time.Hour || s.ScrubBytes != s.LiveBytes+s.DeadBytes || s.Scrubbing {
			t.Fatalf("after a week: %v, %+v", age, s)
		}
		mustClose(t, e)

		after(3 * 24 * time.Hour)
		e = mustOpen(t, fs, Options{})
		if s := e.Stats(); !s.ScrubbedAt.Equal(first) {
			t.Errorf("last scrub %v, want %v", s.ScrubbedAt, first)
		}
		after(3 * 24 * time.Hour)
		if s := e.Stats(); !s.ScrubbedAt.Equal(first) {
			t.Errorf("scrubbed after six days")
		}
		after(27 * time.Hour)
		if s := e.Stats(); s.ScrubbedAt.Sub(first) < week || s.ScrubBytes == 0 {
			t.Errorf("second scrub at %v, the first at %v", s.ScrubbedAt, first)
		}
		mustClose(t, e)

		// What is long overdue waits for a minute, and what is not readable counts as never.
		for name, content := range map[string]string{
			"damaged": strings.Replace(string(encodeScrub(time.Now())), "20", "30", 1),
			"empty":   "", "of another version": strings.Replace(string(encodeScrub(time.Now())), "version 1", "version 2", 1),
		} {
			if err := fs.SetContent(filepath.Join(dataDir, scrubName), []byte(content)); err != nil {
				t.Fatal(err)
			}
			e = mustOpen(t, fs, Options{})
			after(scrubDelay - time.Second)
			if s := e.Stats(); !s.ScrubbedAt.IsZero() || s.ScrubBytes > 0 {
				t.Errorf("%s: scrubbed at once: %+v", name, s)
			}
			after(time.Minute)
			if s := e.Stats(); s.ScrubbedAt.IsZero() {
				t.Errorf("%s: not scrubbed", name)
			}
			mustClose(t, e)
		}
	})
}

func TestScrubsAreThrottledAndCloseDoesNotWaitForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := scrubbed(t, fs, Options{ScrubBytesPerSecond: 1 << 10, ScrubInterval: time.Hour})
		after(time.Hour)
		if s := e.Stats(); !s.Scrubbing || !s.ScrubbedAt.IsZero() {
			t.Fatalf("not at it: %+v", s)
		}
		before := e.Stats().ScrubBytes
		after(10 * time.Second)
		// A file of some 4 KiB is read at once and waited for.
		if read := e.Stats().ScrubBytes - before; read < 4<<10 || read > 16<<10 {
			t.Errorf("%d bytes in 10 s at 1 KiB a second", read)
		}
		mustMerge(t, e) // it does not hold on to what it has begun
		after(time.Minute)
		if s := e.Stats(); s.Scrubbing {
			t.Errorf("still at it: %+v", s)
		}
		for range 3600 {
			if after(time.Second); e.Stats().Scrubbing {
				break
			}
		}
		if !e.Stats().Scrubbing {
			t.Fatal("not at it")
		}
		began := time.Now()
		mustClose(t, e)
		if took := time.Since(began); took > 0 {
			t.Errorf("close took %v", took)
		}
	})
}

func TestScrubFindsDamageAndQuarantinesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := scrubbed(t, fs, Options{})
		path, en := placeOf(t, e, key(70))
		mustDamage(t, fs, path, int64(en.Offset)+int64(en.Length)-3, 2)
		mustDamage(t, fs, e.index.runs()[0].path, 5000, 2)
		after(week + 2*time.Hour)
		if s := e.Stats(); s.Damage != 2 || s.ScrubbedAt.IsZero() {
			t.Errorf("stats: %+v", s)
		}
		if _, err := fs.Stat(strings.TrimSuffix(path, segmentSuffix) + suspectSuffix); err != nil {
			t.Errorf("no suspect file: %v", err)
		}
		wantValue(t, e, key(70), "?")
		mustClose(t, e)
		e = mustOpen(t, fs, Options{})
		wantValue(t, e, key(70), "?")
		wantValue(t, e, key(71), valueOf(71))
	})
}

func TestAFailedScrubIsTriedAgainAndANegativeIntervalIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := scrubbed(t, fs, Options{})
		remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Err: syscall.EIO})
		after(week + 2*time.Hour)
		if s := e.Stats(); !s.ScrubbedAt.IsZero() || s.ReadOnly != "" {
			t.Errorf("stats: %+v", s)
		}
		remove()
		after(2 * time.Hour)
		if s := e.Stats(); s.ScrubbedAt.IsZero() {
			t.Errorf("not tried again: %+v", s)
		}
		mustClose(t, e)
		e = mustOpen(t, fs, Options{ScrubInterval: -1})
		at := e.Stats().ScrubbedAt
		after(10 * week)
		if s := e.Stats(); !s.ScrubbedAt.Equal(at) || at.IsZero() {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestAClockThatWasAheadDoesNotEndScrubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := scrubbed(t, fs, Options{})
		mustClose(t, e)
		future := time.Now().AddDate(50, 0, 0)
		if err := fs.SetContent(filepath.Join(dataDir, scrubName), encodeScrub(future)); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, fs, Options{})
		after(week + 2*time.Hour)
		if s := e.Stats(); s.ScrubbedAt.Equal(future) {
			t.Errorf("not scrubbed: %+v", s)
		}
	})
}

func TestScrubFileReadsBackAsItWas(t *testing.T) {
	at := time.Date(2026, 10, 16, 12, 30, 1, 500, time.FixedZone("x", 3600))
	text := encodeScrub(at)
	if want := "ringcask scrub\nversion 1\nended 2026-10-16T11:30:01.0000005Z\ncrc32c "; !strings.HasPrefix(string(text), want) {
		t.Errorf("file: %q", text)
	}
	if back, err := decodeScrub(text); err != nil || !back.Equal(at) {
		t.Errorf("read back %v, %v", back, err)
	}
	for i := range text {
		bad := append([]byte{}, text...)
		bad[i] ^= 1
		if back, err := decodeScrub(bad); err == nil {
			t.Errorf("byte %d changed, read back %v", i, back)
		}
	}
}
