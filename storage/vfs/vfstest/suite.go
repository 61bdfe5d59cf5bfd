package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
)

// TestFS is the suite that every vfs.FS has to pass. root is an empty directory of it.
func TestFS(t *testing.T, fsys vfs.FS, root string) {
	path := func(names ...string) string { return filepath.Join(append([]string{root}, names...)...) }
	t.Run("ReadWhatWasWritten", func(t *testing.T) { testReadWrite(t, fsys, path("file")) })
	t.Run("Truncate", func(t *testing.T) { testTruncate(t, fsys, path("cut")) })
	t.Run("Directories", func(t *testing.T) { testDirectories(t, fsys, path("a", "b")) })
	t.Run("Rename", func(t *testing.T) { testRename(t, fsys, path("from"), path("to")) })
	t.Run("Link", func(t *testing.T) { testLink(t, fsys, path("links")) })
	t.Run("Missing", func(t *testing.T) { testMissing(t, fsys, path("missing")) })
	t.Run("Lock", func(t *testing.T) { testLock(t, fsys, path("LOCK")) })
	t.Run("Free", func(t *testing.T) { testFree(t, fsys, root) })
	t.Run("ReadAtCached", func(t *testing.T) { testReadAtCached(t, fsys, path("cached")) })
	t.Run("Map", func(t *testing.T) { testMap(t, fsys, path("mapped")) })
	t.Run("MapAhead", func(t *testing.T) { testMapAhead(t, fsys, path("ahead")) })
	t.Run("Advise", func(t *testing.T) { testAdvise(t, fsys, path("advised")) })
	t.Run("WriteFileAtomic", func(t *testing.T) { testAtomic(t, fsys, path("atomic")) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, fsys vfs.FS, path, content string) vfs.File {
	t.Helper()
	f, err := fsys.Create(path)
	must(t, err)
	n, err := f.WriteAt([]byte(content), 0)
	must(t, err)
	if n != len(content) {
		t.Fatalf("wrote %d bytes of %d", n, len(content))
	}
	return f
}

func wantContent(t *testing.T, fsys vfs.FS, path, want string) {
	t.Helper()
	if have, err := vfs.ReadFile(fsys, path, 1<<20); err != nil || string(have) != want {
		t.Errorf("%s holds %q, %v; want %q", path, have, err, want)
	}
}

func testReadWrite(t *testing.T, fsys vfs.FS, path string) {
	f := create(t, fsys, path, "hello")
	_, err := f.WriteAt([]byte("!"), 8) // leaves a hole of zeros
	must(t, err)
	must(t, f.Sync())
	if size, err := f.Size(); err != nil || size != 9 {
		t.Errorf("size %d, %v", size, err)
	}
	buf := make([]byte, 4)
	if n, err := f.ReadAt(buf, 7); n != 2 || !errors.Is(err, io.EOF) || !bytes.Equal(buf[:2], []byte{0, '!'}) {
		t.Errorf("read across the end: %d %v %q", n, err, buf)
	}
	if n, err := f.ReadAt(buf, 100); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read beyond the end: %d %v", n, err)
	}
	must(t, f.Close())
	wantContent(t, fsys, path, "hello\x00\x00\x00!")
	f, err = fsys.OpenReadWrite(path)
	must(t, err)
	_, err = f.WriteAt([]byte("J"), 0)
	must(t, err)
	must(t, f.Close())
	wantContent(t, fsys, path, "Jello\x00\x00\x00!")
	f, err = fsys.Open(path)
	must(t, err)
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("wrote to a file that is open for reading")
	}
	must(t, f.Close())
	must(t, create(t, fsys, path, "").Close())
	wantContent(t, fsys, path, "")
}

func testTruncate(t *testing.T, fsys vfs.FS, path string) {
	f := create(t, fsys, path, "hello")
	must(t, f.Truncate(2))
	must(t, f.Truncate(4))
	must(t, f.Close())
	wantContent(t, fsys, path, "he\x00\x00")
}

func testDirectories(t *testing.T, fsys vfs.FS, dir string) {
	must(t, fsys.MkdirAll(dir))
	must(t, fsys.MkdirAll(dir))
	for _, name := range []string{"2", "1"} {
		must(t, create(t, fsys, filepath.Join(dir, name), name).Close())
	}
	must(t, fsys.SyncDir(dir))
	if names, err := fsys.List(dir); err != nil || !slices.Equal(names, []string{"1", "2"}) {
		t.Errorf("list: %q %v", names, err)
	}
	if names, err := fsys.List(filepath.Dir(dir)); err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("list of directories: %q %v", names, err)
	}
	if info, err := fsys.Stat(dir); err != nil || !info.Dir {
		t.Errorf("stat of a directory: %+v %v", info, err)
	}
	if info, err := fsys.Stat(filepath.Join(dir, "1")); err != nil || info != (vfs.Info{Size: 1}) {
		t.Errorf("stat of a file: %+v %v", info, err)
	}
	if err := fsys.Remove(dir); err == nil {
		t.Error("removed a directory with files in it")
	}
	if err := fsys.MkdirAll(filepath.Join(dir, "1", "x")); err == nil {
		t.Error("made a directory below a file")
	}
	for _, name := range []string{"1", "2", ""} {
		must(t, fsys.Remove(filepath.Join(dir, name)))
	}
	if _, err := fsys.List(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of a removed directory: %v", err)
	}
}

func testRename(t *testing.T, fsys vfs.FS, from, to string) {
	must(t, create(t, fsys, to, "old").Close())
	f := create(t, fsys, from, "new")
	must(t, fsys.Rename(from, to))
	wantContent(t, fsys, to, "new")
	if _, err := fsys.Stat(from); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old name is still there: %v", err)
	}
	// An open file goes on under its new name.
	_, err := f.WriteAt([]byte("N"), 0)
	must(t, err)
	must(t, f.Close())
	wantContent(t, fsys, to, "New")
}

func testMissing(t *testing.T, fsys vfs.FS, path string) {
	_, open := fsys.Open(path)
	_, openRW := fsys.OpenReadWrite(path)
	_, stat := fsys.Stat(path)
	_, list := fsys.List(path)
	_, free := fsys.Free(path)
	_, createIn := fsys.Create(filepath.Join(path, "file"))
	for name, err := range map[string]error{
		"open": open, "open read-write": openRW, "stat": stat, "list": list, "create in": createIn, "free": free, "link": fsys.Link(path, path+"2"),
		"remove": fsys.Remove(path), "rename": fsys.Rename(path, path+"2"), "sync": fsys.SyncDir(path),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of what is missing: %v", name, err)
		}
	}
}

func testLock(t *testing.T, fsys vfs.FS, path string) {
	lock, err := fsys.Lock(path)
	must(t, err)
	var held *vfs.LockedError
	if _, err := fsys.Lock(path); !errors.As(err, &held) || held.Path != path || held.PID == 0 {
		t.Errorf("second lock: %v", err)
	}
	must(t, lock.Close())
	lock, err = fsys.Lock(path)
	must(t, err)
	must(t, lock.Close())
}

func testAtomic(t *testing.T, fsys vfs.FS, path string) {
	for _, content := range []string{"first", "", "second"} {
		must(t, vfs.WriteFileAtomic(fsys, path, []byte(content)))
		wantContent(t, fsys, path, content)
	}
	if _, err := fsys.Stat(path + vfs.TempSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("temporary file left: %v", err)
	}
	if _, err := vfs.ReadFile(fsys, path, 3); err == nil {
		t.Error("read a file over the limit")
	}
}
