package vfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestWriteFileAtomicLeavesOldOrNewContentAtEveryCrash(t *testing.T) {
	for point := 0; ; point++ {
		fs := vfstest.New()
		if err := vfs.WriteFileAtomic(fs, "/f", []byte("old")); err != nil {
			t.Fatal(err)
		}
		fs.CrashAfter(point)
		err := vfs.WriteFileAtomic(fs, "/f", []byte("new"))
		for seed := range uint64(20) {
			content, readErr := vfs.ReadFile(fs.Crash(vfstest.Random(seed)), "/f", 10)
			switch {
			case readErr != nil:
				t.Fatalf("crash point %d, seed %d: %v", point, seed, readErr)
			case string(content) == "new":
			case string(content) != "old" || err == nil:
				t.Errorf("crash point %d, seed %d: content %q, written: %v", point, seed, content, err)
			}
		}
		if err == nil {
			return
		}
	}
}

func TestWriteFileAtomicKeepsTheOldContentWhenItFails(t *testing.T) {
	boom := errors.New("boom")
	for n := range 4 { // create, write, sync, rename
		fs := vfstest.New()
		if err := vfs.WriteFileAtomic(fs, "/f", []byte("old")); err != nil {
			t.Fatal(err)
		}
		fs.Inject(vfstest.Fault{Ops: vfstest.OpChange, Skip: n, Times: 1, Err: boom})
		if err := vfs.WriteFileAtomic(fs, "/f", []byte("new")); !errors.Is(err, boom) {
			t.Errorf("step %d: %v", n, err)
		}
		if content, err := vfs.ReadFile(fs, "/f", 10); err != nil || string(content) != "old" {
			t.Errorf("step %d: %q %v", n, content, err)
		}
		if names, err := fs.List("/"); err != nil || len(names) != 1 {
			t.Errorf("step %d: left behind %v %v", n, names, err)
		}
	}
}

// TestLockNeedsNoSpace locks a file that nothing can be written to, as on a full disk.
func TestLockNeedsNoSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "LOCK")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Skip(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	lock, err := vfs.OS{}.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}
