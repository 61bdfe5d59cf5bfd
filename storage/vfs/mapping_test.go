package vfs_test

import (
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
)

// newFile makes a file of n pages in a directory of the test's.
func newFile(t testing.TB, pages int) vfs.File {
	t.Helper()
	f, err := vfs.OS{}.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	content := make([]byte, pages*os.Getpagesize())
	for i := range content {
		content[i] = byte(i * 7)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func newMapping(t testing.TB, f vfs.File, off, n int64, writable bool) vfs.Mapping {
	t.Helper()
	m, err := f.Map(off, n, writable)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Unmap() })
	return m
}

func TestGuardMakesAFaultBeneathAMappingAnError(t *testing.T) {
	page := os.Getpagesize()
	f := newFile(t, 3)
	m := newMapping(t, f, int64(page), int64(2*page), true)
	if err := f.Truncate(int64(2 * page)); err != nil {
		t.Fatal(err)
	}
	copied, text, cleaned := make([]byte, 180), "", false
	for name, touch := range map[string]func(){
		"a copy":     func() { copy(copied, m.Bytes[page+10:]) },
		"a checksum": func() { crc32.ChecksumIEEE(m.Bytes) },
		"a string":   func() { text = string(m.Bytes[page:]) },
		"a byte":     func() { copied[0] = m.Bytes[page] },
		"a write":    func() { m.Bytes[page] = 1 },
		"a deferred": func() { defer func() { cleaned = true }(); _ = copy(copied, m.Bytes[page:]) },
		"nested":     func() { runtime.KeepAlive(vfs.Guard(func() {})); copied[0] = m.Bytes[page] },
	} {
		var fault *vfs.FaultError
		if err := vfs.Guard(touch); !errors.As(err, &fault) || fault.Addr == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !cleaned || text != "" {
		t.Error("the deferred calls of what faulted were not done")
	}
	if err := vfs.Guard(func() { copy(copied, m.Bytes) }); err != nil || copied[1] != byte((page+1)*7%256) {
		t.Errorf("the page that is left: %v", err)
	}
}

func TestGuardLetsOtherPanicsThroughAndRestoresTheSetting(t *testing.T) {
	type node struct{ next *node }
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fn   func()
		want func(any) bool
	}{
		"a value":         {func() { panic(boom) }, func(r any) bool { return r == boom }},
		"nil dereference": {func() { var n *node; n = n.next; runtime.KeepAlive(n) }, isRuntimeError},
		"index":           {func() { var s []int; s = s[:len(os.Args)]; runtime.KeepAlive(s) }, isRuntimeError},
	} {
		for _, before := range []bool{false, true} {
			previous := debug.SetPanicOnFault(before)
			func() {
				defer func() {
					if r := recover(); !c.want(r) {
						t.Errorf("%s: panic %v", name, r)
					}
				}()
				t.Errorf("%s: returned %v", name, vfs.Guard(c.fn))
			}()
			if after := debug.SetPanicOnFault(previous); after != before {
				t.Errorf("%s: the setting was %v and is %v", name, before, after)
			}
		}
	}
	done := make(chan struct{})
	go func() { // Goexit is not a panic: the goroutine must end and Guard must not return
		defer close(done)
		_ = vfs.Guard(runtime.Goexit)
		t.Error("Guard returned from Goexit")
	}()
	<-done
}

func isRuntimeError(r any) bool {
	_, ok := r.(runtime.Error)
	return ok
}

func TestUnmapAgainLeavesALaterMappingAlone(t *testing.T) {
	f := newFile(t, 1)
	n := int64(os.Getpagesize())
	for range 100 {
		first := newMapping(t, f, 0, n, false)
		if err := first.Unmap(); err != nil {
			t.Fatal(err)
		}
		second := newMapping(t, f, 0, n, false) // often at the same address
		if err := first.Unmap(); err != nil {
			t.Fatal(err)
		}
		if err := vfs.Guard(func() { crc32.ChecksumIEEE(second.Bytes) }); err != nil {
			t.Fatal(err)
		}
		if err := second.Unmap(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShortReadsDoNotAllocate(t *testing.T) {
	f := newFile(t, 1)
	p := make([]byte, 180)
	if n := testing.AllocsPerRun(100, func() { f.ReadAtCached(p, 10) }); n != 0 {
		t.Errorf("ReadAtCached: %v allocations", n)
	}
	m := newMapping(t, f, 0, int64(os.Getpagesize()), false)
	if n := testing.AllocsPerRun(100, func() { _ = guardedRead(p, m, 10) }); n != 0 {
		t.Errorf("Guard: %v allocations", n)
	}
}

// TestReadAtCachedReadsWhatIsCached drops a file from the page cache, if its file system has one to drop it from.
func TestReadAtCachedReadsWhatIsCached(t *testing.T) {
	f := newFile(t, 4)
	p, want := make([]byte, 180), make([]byte, 180)
	if _, err := f.ReadAt(want, 100); err != nil {
		t.Fatal(err)
	}
	if n, _ := f.ReadAtCached(p, 100); n < len(p) {
		t.Skip("not supported here")
	}
	if !slices.Equal(p, want) {
		t.Errorf("read % x, want % x", p, want)
	}
	if err := errors.Join(f.Sync(), f.Advise(vfs.AdviseDontNeed)); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // a miss may have started the read that lets a later call succeed
		if n, _ := f.ReadAtCached(p, 100); !slices.Equal(p[:n], want[:n]) {
			t.Fatalf("read % x, want % x", p[:n], want)
		}
	}
	for _, off := range []int64{1 << 40, -1} {
		if n, coming := f.ReadAtCached(p, off); n > 0 || coming {
			t.Errorf("read %d bytes at %d, which the file does not have; more are coming: %v", n, off, coming)
		}
	}
}

// guardedRead is how a mapping is meant to be read: copy first, check the copy.
func guardedRead(p []byte, m vfs.Mapping, off int) error {
	return vfs.Guard(func() { copy(p, m.Bytes[off:]) })
}

func BenchmarkGuardEmpty(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = vfs.Guard(func() {})
	}
}

func BenchmarkRead180(b *testing.B) {
	f := newFile(b, 4)
	p := make([]byte, 180)
	b.Run("ReadAt", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.ReadAt(p, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ReadAtCached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n, _ := f.ReadAtCached(p, 100); n < len(p) {
				b.Skip("not supported here")
			}
		}
	})
	m := newMapping(b, f, 0, int64(os.Getpagesize()), false)
	b.Run("Mapping", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			copy(p, m.Bytes[100:])
		}
	})
	b.Run("MappingGuarded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := guardedRead(p, m, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReadAtCachedMiss is what a miss costs before ReadAt is called. The setup drops a page for each.
func BenchmarkReadAtCachedMiss(b *testing.B) {
	f := newFile(b, 1024)
	if err := errors.Join(f.Sync(), f.Advise(vfs.AdviseRandom)); err != nil {
		b.Fatal(err)
	}
	p, misses := make([]byte, 180), 0
	for i := 0; b.Loop(); i++ {
		if i%1024 == 0 {
			b.StopTimer()
			if err := f.Advise(vfs.AdviseDontNeed); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if n, _ := f.ReadAtCached(p, int64(i%1024*os.Getpagesize())); n < len(p) {
			misses++
		}
	}
	b.ReportMetric(float64(misses)/float64(b.N), "misses/op")
}
