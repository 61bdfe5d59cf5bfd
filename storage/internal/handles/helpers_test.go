package handles

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// counted counts the open files of a file system.
type counted struct {
	*vfstest.FS
	open, most atomic.Int64
}

func (c *counted) Open(path string) (vfs.File, error) {
	f, err := c.FS.Open(path)
	if err != nil {
		return nil, err
	}
	n := c.open.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return &countedFile{f, c}, nil
}

type countedFile struct {
	vfs.File
	fs *counted
}

func (f *countedFile) Close() error {
	defer f.fs.open.Add(-1)
	return f.File.Close()
}

func path(i int) string    { return fmt.Sprintf("/f%03d", i) }
func content(i int) string { return fmt.Sprintf("content of %03d", i) }

// newFiles makes a pool with n files.
func newFiles(t testing.TB, max, n int) (*counted, *Pool, []*File) {
	t.Helper()
	fsys := &counted{FS: vfstest.New()}
	pool := NewPool(fsys, max)
	files := make([]*File, n)
	for i := range files {
		if err := fsys.SetContent(path(i), []byte(content(i))); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = pool.Open(path(i)); err != nil {
			t.Fatal(err)
		}
	}
	return fsys, pool, files
}

func mustRead(t testing.TB, f *File, want string) {
	t.Helper()
	p := make([]byte, len(want))
	if n, err := f.ReadAt(p, 0); err != nil || string(p[:n]) != want {
		t.Fatalf("read %q, %v; want %q", p[:n], err, want)
	}
}

// mustCount says how many files are open.
func mustCount(t testing.TB, fsys *counted, p *Pool, want int) {
	t.Helper()
	if open, count := int(fsys.open.Load()), p.Count(); open != want || count != want {
		t.Fatalf("%d files are open, the pool says %d, want %d", open, count, want)
	}
}
