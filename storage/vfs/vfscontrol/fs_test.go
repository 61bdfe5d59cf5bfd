package vfscontrol_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfscontrol"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// under runs f with a file system in memory and a control file.
func under(t *testing.T, f func(t *testing.T, fsys *vfscontrol.FS, set func(vfscontrol.Control))) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control")
	synctest.Test(t, func(t *testing.T) {
		fsys := vfscontrol.New(vfstest.New(), path)
		f(t, fsys, func(c vfscontrol.Control) {
			if err := vfscontrol.Write(path, c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * vfscontrol.Interval)
		})
	})
}

func TestAFullDiskCanBeReadAndEmptied(t *testing.T) {
	under(t, func(t *testing.T, fsys *vfscontrol.FS, set func(vfscontrol.Control)) {
		if err := vfs.WriteFileAtomic(fsys, "/f", []byte("old")); err != nil {
			t.Fatal(err)
		}
		set(vfscontrol.Control{Scarce: true})
		if free, err := fsys.Free("/"); free != 0 || err != nil {
			t.Errorf("%d free, %v", free, err)
		}
		if err := vfs.WriteFileAtomic(fsys, "/f", []byte("old")); err != nil {
			t.Error(err)
		}
		set(vfscontrol.Control{Full: true})
		if err := vfs.WriteFileAtomic(fsys, "/f", []byte("new")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("written: %v", err)
		}
		if free, err := fsys.Free("/"); free != 0 || err != nil {
			t.Errorf("%d free, %v", free, err)
		}
		if got, err := vfs.ReadFile(fsys, "/f", 10); string(got) != "old" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := fsys.Remove("/f"); err != nil {
			t.Error(err)
		}
		set(vfscontrol.Control{})
		if err := vfs.WriteFileAtomic(fsys, "/f", []byte("new")); err != nil {
			t.Error(err)
		}
	})
}

func TestAShareOfAllOperationsFails(t *testing.T) {
	under(t, func(t *testing.T, fsys *vfscontrol.FS, set func(vfscontrol.Control)) {
		f, err := fsys.Create("/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("x"), 0); err != nil {
			t.Fatal(err)
		}
		set(vfscontrol.Control{FailShare: 0.5})
		failed := map[string]int{}
		for range 400 {
			_, write := f.WriteAt([]byte("x"), 0)
			_, read := f.ReadAt(make([]byte, 1), 0)
			for op, err := range map[string]error{"write": write, "read": read, "sync": f.Sync(), "dir": fsys.SyncDir("/")} {
				if errors.Is(err, syscall.EIO) {
					failed[op]++
				} else if err != nil {
					t.Fatal(op, err)
				}
			}
		}
		for _, op := range []string{"write", "read", "sync", "dir"} {
			if failed[op] < 100 || failed[op] > 300 {
				t.Errorf("%d of 400 %ss failed, want a half", failed[op], op)
			}
		}
		if n, coming := f.ReadAtCached(make([]byte, 1), 0); n > 0 || coming {
			t.Error("a read went past the control")
		}
		if _, err := f.Map(0, 1, true); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("mapped: %v", err)
		}
	})
}

func TestAWriteThatFailsIsWrittenInPart(t *testing.T) {
	under(t, func(t *testing.T, fsys *vfscontrol.FS, set func(vfscontrol.Control)) {
		f, err := fsys.Create("/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		set(vfscontrol.Control{FailShare: 1})
		parts := map[int]bool{}
		for range 200 {
			n, err := f.WriteAt([]byte("abc"), 0)
			if !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			parts[n] = true
		}
		size, err := f.Size()
		if len(parts) != 4 || size != 3 || err != nil {
			t.Errorf("%v were written of 3, up to %d, %v", parts, size, err)
		}
	})
}

func TestASlowDiskSyncsLate(t *testing.T) {
	under(t, func(t *testing.T, fsys *vfscontrol.FS, set func(vfscontrol.Control)) {
		f, err := fsys.Create("/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		set(vfscontrol.Control{SyncDelay: time.Second})
		began := time.Now()
		if err := errors.Join(f.Sync(), fsys.SyncDir("/")); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
