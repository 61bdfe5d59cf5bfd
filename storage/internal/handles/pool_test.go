package handles

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestFilesAreReadWithFewerHandles(t *testing.T) {
	const files = 20
	for _, max := range []int{1, 2, 7, files, files + 1, -1} {
		fsys, pool, all := newFiles(t, max, files)
		for range 200 {
			i := rand.IntN(files)
			mustRead(t, all[i], content(i))
			if size, err := all[i].Size(); err != nil || size != int64(len(content(i))) {
				t.Fatal(size, err)
			}
		}
		want := min(max, files)
		if max < 0 {
			want = files
		}
		mustCount(t, fsys, pool, want)
		if most := int(fsys.most.Load()); most != want {
			t.Errorf("%d files were open at once, want %d", most, want)
		}
		for _, f := range all {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		mustCount(t, fsys, pool, 0)
	}
}

func TestWhatIsReadOftenStaysOpen(t *testing.T) {
	fsys, _, all := newFiles(t, 4, 20)
	mustRead(t, all[0], content(0))
	fsys.ResetEvents()
	for range 5 {
		for i := 1; i < len(all); i++ {
			mustRead(t, all[0], content(0))
			mustRead(t, all[i], content(i))
		}
	}
	for _, e := range fsys.Events(vfstest.OpOpen) {
		if e.Path == path(0) {
			t.Fatal("it was closed")
		}
	}
}

// TestWhatIsBeingReadIsNotClosed holds reads back while others need room.
func TestWhatIsBeingReadIsNotClosed(t *testing.T) {
	fsys, pool, all := newFiles(t, 1, 8)
	release, struck := make(chan struct{}), make(chan struct{}, 4)
	remove := fsys.Inject(vfstest.Fault{Ops: vfstest.OpRead, Times: 4, Block: release, Struck: struck})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() { mustRead(t, all[i], content(i)) })
	}
	for range 4 {
		<-struck
	}
	mustCount(t, fsys, pool, 4)
	mustRead(t, all[4], content(4))
	mustCount(t, fsys, pool, 5)
	close(release)
	readers.Wait()
	remove()
	mustRead(t, all[5], content(5))
	mustCount(t, fsys, pool, 1)
}

func TestHeldFileOutlivesItsPath(t *testing.T) {
	for name, lose := range map[string]func(*counted) error{
		"removed":  func(f *counted) error { return f.Remove(path(0)) },
		"replaced": func(f *counted) error { return vfs.WriteFileAtomic(f, path(0), []byte("another's content")) },
	} {
		for _, open := range []bool{false, true} {
			fsys, pool, all := newFiles(t, 1, 3)
			if open {
				mustRead(t, all[0], content(0))
			}
			for range 2 {
				if err := all[0].Hold(); err != nil {
					t.Fatal(err)
				}
			}
			if err := lose(fsys); err != nil {
				t.Fatal(name, err)
			}
			for range 3 {
				for i := range all {
					mustRead(t, all[i], content(i))
				}
			}
			mustCount(t, fsys, pool, 2) // it is not what the bound is for
			if err := all[0].Close(); err != nil {
				t.Fatal(err)
			}
			mustCount(t, fsys, pool, 1)
		}
	}
}

func TestAdoptedFileIsHeldUntilItIsReleased(t *testing.T) {
	fsys, pool, all := newFiles(t, 1, 2)
	h, err := fsys.Open(path(0))
	if err != nil {
		t.Fatal(err)
	}
	f := pool.Adopt(path(0), h)
	mustRead(t, all[1], content(1))
	mustCount(t, fsys, pool, 2)
	f.Release()
	mustCount(t, fsys, pool, 1)
	mustRead(t, f, content(0))
	mustRead(t, all[1], content(1))
	mustCount(t, fsys, pool, 1)
	f.Release() // once is enough
	mustCount(t, fsys, pool, 1)
}

func TestFailureToOpenIsThatOfTheCallAndPasses(t *testing.T) {
	fsys, pool, all := newFiles(t, 1, 2) // the first is closed by now
	for _, cause := range []error{syscall.EMFILE, syscall.EIO, fs.ErrNotExist} {
		remove := fsys.Inject(vfstest.Fault{Ops: vfstest.OpOpen, Err: cause})
		if _, err := all[0].ReadAt(make([]byte, 1), 0); !errors.Is(err, cause) {
			t.Errorf("read: %v, want %v", err, cause)
		}
		if n, coming := all[0].ReadAtCached(make([]byte, 1), 0); n > 0 || coming {
			t.Error("read what is closed")
		}
		if err := all[0].Hold(); !errors.Is(err, cause) {
			t.Errorf("hold: %v, want %v", err, cause)
		}
		if _, err := pool.Open(path(0)); !errors.Is(err, cause) {
			t.Errorf("open: %v, want %v", err, cause)
		}
		remove()
		mustRead(t, all[0], content(0))
		mustRead(t, all[1], content(1))
		mustCount(t, fsys, pool, 1)
	}
}

func TestNothingIsOpenedAfterCloseAndShut(t *testing.T) {
	fsys, pool, all := newFiles(t, 1, 3)
	for _, f := range all[:2] {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if err := f.Hold(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("hold: %v", err)
		}
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("close again: %v", err)
		}
	}
	pool.Shut()
	mustRead(t, all[2], content(2)) // is open
	if _, err := pool.Open(path(0)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("open: %v", err)
	}
	if err := all[2].Close(); err != nil {
		t.Fatal(err)
	}
	mustCount(t, fsys, pool, 0)
}

// TestManyAtOnce reads, holds, releases and closes files that are replaced under those who hold them.
func TestManyAtOnce(t *testing.T) {
	const files, readers = 12, 6
	for _, max := range []int{1, 3, files} {
		fsys, pool, all := newFiles(t, max, files)
		var running sync.WaitGroup
		for r := range readers {
			running.Go(func() {
				p := make([]byte, len(content(0)))
				for n := range 2000 {
					i := (n*7 + r*5) % files
					switch n % 50 {
					case 17:
						if err := all[i].Hold(); err != nil {
							t.Error(err)
						}
					case 18, 19, 20:
						all[i].Release()
					}
					if n, err := all[i].ReadAt(p, 0); err != nil || string(p[:n]) != content(i) {
						t.Errorf("read %q, %v", p[:n], err)
						return
					}
				}
			})
		}
		running.Wait()
		for _, f := range all {
			f.Release()
		}
		mustRead(t, all[0], content(0))
		if n := pool.Count(); n > max || n != int(fsys.open.Load()) {
			t.Errorf("the pool says that %d files are open, which is %d; the bound is %d", n, fsys.open.Load(), max)
		}
		for _, f := range all {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
		mustCount(t, fsys, pool, 0)
	}
}

func TestReadOfAnOpenFileDoesNotAllocate(t *testing.T) {
	pool := NewPool(vfs.OS{}, 1)
	f, err := pool.Open("pool_test.go")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 100)
	allocs := testing.AllocsPerRun(100, func() {
		f.ReadAtCached(p, 0)
		if _, err := f.ReadAt(p, 0); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// BenchmarkReadAt compares a File with the handle itself, and with opening one for each read.
func BenchmarkReadAt(b *testing.B) {
	h, err := vfs.OS{}.Open("pool_test.go")
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	pool := NewPool(vfs.OS{}, 1)
	var files [2]*File
	for i := range files {
		if files[i], err = pool.Open("pool_test.go"); err != nil {
			b.Fatal(err)
		}
		defer files[i].Close()
	}
	for name, at := range map[string]func(i int) vfs.File{
		"handle": func(int) vfs.File { return h },
		"open":   func(int) vfs.File { return files[0] },
		"reopen": func(i int) vfs.File { return files[i%2] },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p := make([]byte, 180)
			for i := 0; b.Loop(); i++ {
				if _, err := at(i).ReadAt(p, 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
