package vfs

import (
	"errors"
	"testing"
	"time"
)

// slowFile has some of what is asked for in the page cache, and the rest after so many looks.
type slowFile struct {
	File
	first, cachedAfter int
	// silent says that nothing is coming; slice is how long a look takes.
	silent       bool
	slice        time.Duration
	looks, reads int
	err          error
}

func content(off int64) byte { return byte(off * 7) }

func (f *slowFile) ReadAtCached(p []byte, off int64) (n int, coming bool) {
	time.Sleep(f.slice)
	switch f.looks++; {
	case f.looks > f.cachedAfter:
		n = len(p)
	case f.looks == 1:
		n = f.first
	}
	for i := range n {
		p[i] = content(off + int64(i))
	}
	return n, !f.silent
}

func (f *slowFile) ReadAt(p []byte, off int64) (int, error) {
	f.reads++
	if f.err != nil {
		return 0, f.err
	}
	for i := range p {
		p[i] = content(off + int64(i))
	}
	return len(p), nil
}

func TestReadLooksWhileOthersWait(t *testing.T) {
	const never = 1 << 30
	failure := errors.New("it cannot be read")
	for _, c := range []struct {
		name         string
		waiting      int32
		file         slowFile
		size         int
		looks, reads int
	}{
		{"it is cached", blockingMax, slowFile{}, 10, 1, 0},
		{"nobody waits", 0, slowFile{cachedAfter: 3}, 10, 1, 1},
		{"nobody waits, and the half of it is cached", 0, slowFile{cachedAfter: 3, first: 5}, 10, 1, 1},
		{"others wait", blockingMax, slowFile{cachedAfter: 3}, 10, 4, 0},
		{"others wait, and the half of it is cached", blockingMax, slowFile{cachedAfter: 3, first: 5}, 10, 4, 0},
		{"others wait, and the disk is slow", blockingMax, slowFile{cachedAfter: never}, 10, 1 + looksMax, 1},
		{"others wait, and looks take long", blockingMax, slowFile{cachedAfter: never, slice: 2 * lookWait}, 10, 2, 1},
		{"others wait, and nothing is coming", blockingMax, slowFile{cachedAfter: never, silent: true}, 10, 1, 1},
		{"others wait, and the disk fails", blockingMax, slowFile{cachedAfter: never, err: failure}, 10, 1 + looksMax, 1},
		{"others wait, and it is large", blockingMax, slowFile{cachedAfter: never}, lookBytesMax + 1, 1, 1},
	} {
		f, p := &c.file, make([]byte, c.size)
		blocking.Add(c.waiting)
		began := time.Now()
		n, err := Read(f, p, 5)
		late := f.slice == 0 && time.Since(began) >= lookWait // it may have looked less often: the machine is busy
		if left := blocking.Add(-c.waiting); left != 0 {
			t.Errorf("%s: %d still wait", c.name, left)
		}
		if f.looks > c.looks || !late && (f.looks < c.looks || f.reads != c.reads) {
			t.Errorf("%s: %d looks and %d reads, want %d and %d", c.name, f.looks, f.reads, c.looks, c.reads)
		}
		if !errors.Is(err, f.err) || (err == nil) != (n == len(p)) {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
		for i := range n {
			if p[i] != content(5+int64(i)) {
				t.Fatalf("%s: byte %d is wrong", c.name, i)
			}
		}
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	f, p := &slowFile{cachedAfter: 1 << 30}, make([]byte, 10)
	blocking.Add(blockingMax)
	defer blocking.Add(-blockingMax)
	if n := testing.AllocsPerRun(100, func() { _, _ = Read(f, p, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
