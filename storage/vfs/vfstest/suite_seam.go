package vfstest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
)

func testLink(t *testing.T, fsys vfs.FS, root string) {
	first, second := filepath.Join(root, "a", "first"), filepath.Join(root, "b", "second")
	must(t, fsys.MkdirAll(filepath.Dir(first)))
	must(t, fsys.MkdirAll(filepath.Dir(second)))
	f := create(t, fsys, first, "hello")
	must(t, fsys.Link(first, second))
	must(t, fsys.SyncDir(filepath.Dir(second)))
	_, err := f.WriteAt([]byte("J"), 0)
	must(t, err)
	must(t, f.Close())
	wantContent(t, fsys, first, "Jello")
	wantContent(t, fsys, second, "Jello")
	for _, taken := range []string{first, second, filepath.Dir(second)} {
		if err := fsys.Link(first, taken); !errors.Is(err, fs.ErrExist) {
			t.Errorf("link to a name that is taken: %v", err)
		}
	}
	if err := fsys.Link(filepath.Dir(first), filepath.Join(root, "dir")); err == nil {
		t.Error("linked a directory")
	}
	if err := fsys.Link(first, filepath.Join(root, "missing", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("link into a missing directory: %v", err)
	}
	// Replacing one name leaves the other with the old file.
	must(t, vfs.WriteFileAtomic(fsys, first, []byte("new")))
	wantContent(t, fsys, second, "Jello")
	must(t, fsys.Remove(first))
	wantContent(t, fsys, second, "Jello")
}

func testFree(t *testing.T, fsys vfs.FS, root string) {
	path := filepath.Join(root, "weighed")
	must(t, create(t, fsys, path, "x").Close())
	for _, p := range []string{root, path} {
		if free, err := fsys.Free(p); err != nil || free < 0 {
			t.Errorf("free on %s: %d %v", p, free, err)
		}
	}
	must(t, fsys.Remove(path))
}

func testReadAtCached(t *testing.T, fsys vfs.FS, path string) {
	f := create(t, fsys, path, "hello")
	buf := make([]byte, 3)
	for off, want := range map[int64]string{1: "ell", 3: "lo", 5: "", 1 << 40: "", -1: ""} {
		n, coming := f.ReadAtCached(buf, off)
		if !strings.HasPrefix(want, string(buf[:n])) || coming && want == "" {
			t.Errorf("read %q at %d, want %q; more is coming: %v", buf[:n], off, want, coming)
		}
		if n, err := vfs.Read(f, buf, off); string(buf[:n]) != want || (err == nil) != (n == len(buf)) {
			t.Errorf("Read: %q at %d, want %q; %v", buf[:n], off, want, err)
		}
	}
	must(t, f.Close())
	if n, coming := f.ReadAtCached(buf, 1); n > 0 || coming {
		t.Error("read a closed file")
	}
}

func testMap(t *testing.T, fsys vfs.FS, path string) {
	page := int64(os.Getpagesize())
	f := create(t, fsys, path, "head")
	_, err := f.WriteAt([]byte("hello"), page)
	must(t, err)
	m, err := f.Map(page, 5, true)
	if errors.Is(err, errors.ErrUnsupported) {
		must(t, f.Close())
		return // reading and writing at offsets is all there is
	}
	must(t, err)
	if len(m.Bytes) != 5 || string(m.Bytes) != "hello" {
		t.Errorf("mapped %q", m.Bytes)
	}
	_, err = f.WriteAt([]byte("J"), page)
	must(t, err)
	if string(m.Bytes) != "Jello" {
		t.Errorf("after a write: %q", m.Bytes)
	}
	for _, r := range [][2]int64{{1, 1}, {-page, 1}, {0, 0}, {0, -1}, {page, -1}} {
		if _, err := f.Map(r[0], r[1], false); err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("mapped %d bytes at %d: %v", r[1], r[0], err)
		}
	}
	must(t, f.Sync())
	must(t, f.Close())
	copy(m.Bytes, "C") // the mapping outlives the file
	must(t, m.Unmap())
	must(t, m.Unmap())
	wantContent(t, fsys, path, "head"+string(make([]byte, page-4))+"Cello")

	f, err = fsys.Open(path)
	must(t, err)
	if _, err := f.Map(0, page, true); err == nil {
		t.Error("mapped for writing what is open for reading")
	}
	m, err = f.Map(0, page+5, false)
	must(t, err)
	if string(m.Bytes[page:]) != "Cello" {
		t.Errorf("mapped %q", m.Bytes[page:])
	}
	must(t, m.Unmap())
	must(t, f.Close())
}

// testMapAhead maps what a file does not have yet.
func testMapAhead(t *testing.T, fsys vfs.FS, path string) {
	page := os.Getpagesize()
	f := create(t, fsys, path, "hello")
	m, err := f.Map(0, int64(3*page+5), true)
	if errors.Is(err, errors.ErrUnsupported) {
		must(t, f.Close())
		return
	}
	must(t, err)
	if len(m.Bytes) != 3*page+5 || string(m.Bytes[:6]) != "hello\x00" {
		t.Errorf("mapped %d bytes: %q", len(m.Bytes), m.Bytes[:6])
	}
	var fault *vfs.FaultError
	for name, touch := range map[string]func(){
		"read":  func() { copy(make([]byte, 1), m.Bytes[page:]) },
		"write": func() { m.Bytes[3*page+4] = 'x' },
	} {
		if err := vfs.Guard(touch); !errors.As(err, &fault) {
			t.Errorf("%s beyond the end: %v", name, err)
		}
	}
	_, err = f.WriteAt([]byte("world"), int64(2*page))
	must(t, err)
	if err := vfs.Guard(func() { m.Bytes[page] = 'o' }); err != nil || string(m.Bytes[2*page:][:5]) != "world" {
		t.Errorf("the file has grown: %v", err)
	}
	must(t, m.Unmap())
	must(t, f.Close())
	zeros := string(make([]byte, page))
	wantContent(t, fsys, path, "hello"+zeros[5:]+"o"+zeros[1:]+"world")
}

func testAdvise(t *testing.T, fsys vfs.FS, path string) {
	f := create(t, fsys, path, "hello")
	must(t, f.Sync())
	for _, a := range []vfs.Advice{vfs.AdviseRandom, vfs.AdviseSequential, vfs.AdviseDontNeed, vfs.AdviseWriteBack} {
		must(t, f.Advise(a))
	}
	must(t, f.Close())
	wantContent(t, fsys, path, "hello")
}
