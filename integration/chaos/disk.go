package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/storage/vfs/vfscontrol"
)

// scarceFor is how long a disk has no free bytes before it takes none any longer: so long a node has to notice.
const scarceFor = 300 * time.Millisecond

// spoilDisk has a node's file system fail. A disk gets full in two steps, as they do: a node that looks in time refuses writes and needs
// nothing but room afterwards. One that stopped writing for good, or ended, is started anew at the end, as an operator does whose disk was
// mended; so is every one whose disk failed.
func (r *run) spoilDisk(ctx context.Context, p *process, f fault.Fault) (undo, error) {
	set := func(c vfscontrol.Control) error { return vfscontrol.Write(p.control, c) }
	if f.Kind == fault.DiskSlow { // no reason to stop anything
		return func() error { return set(vfscontrol.Control{}) }, set(vfscontrol.Control{SyncDelay: f.Delay})
	}
	r.mayEnd(p, true)
	mend := func() error {
		err := set(vfscontrol.Control{})
		r.mayEnd(p, false)
		if err != nil || f.Kind != fault.DiskError && p.writes(r.after) {
			return err
		}
		p.kill()
		return r.startNode(p)
	}
	if f.Kind == fault.DiskError {
		return mend, set(vfscontrol.Control{FailShare: f.Share})
	}
	if err := set(vfscontrol.Control{Scarce: true}); err != nil {
		return mend, err
	}
	sleep(ctx, scarceFor)
	return mend, set(vfscontrol.Control{Full: true})
}

// writes says that a process runs and has not stopped writing for good, be it what it stores or hints.
func (p *process) writes(ctx context.Context) bool {
	var s wire.Status
	return p.runs() && p.ask(ctx, "/status", &s) == nil && s.Storage.ReadOnly == "" && s.Hints.ReadOnly == ""
}

// engine is the directory of a node's storage engine.
func (p *process) engine() string { return filepath.Join(p.dir, "engine") }

// flipBytes flips a bit of each of so many bytes, no two of them the same, in the finished segments and runs of a stopped node's engine, which must
// have some. Where there are fewer bytes, all are struck.
func flipBytes(engine string, count int, seed uint64) error {
	files, err := finished(engine)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("nothing is finished in %s", engine)
	}
	sizes, all := make([]int64, len(files)), int64(0)
	for i, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		sizes[i] = info.Size()
		all += sizes[i]
	}
	type place struct {
		file int
		at   int64
	}
	struck := map[place]bool{}
	r := rand.New(rand.NewPCG(seed, 0xf11b))
	for int64(len(struck)) < min(int64(count), all) {
		p := place{file: r.IntN(len(files))}
		if sizes[p.file] == 0 {
			continue
		}
		if p.at = r.Int64N(sizes[p.file]); struck[p] {
			continue
		}
		struck[p] = true
		if err := flipBit(files[p.file], p.at, r.IntN(8)); err != nil {
			return err
		}
	}
	return nil
}

// finished are the files of an engine that it does not write to any longer: all runs, and all segments but the last.
func finished(engine string) ([]string, error) {
	segments, err := filepath.Glob(filepath.Join(engine, "*.seg"))
	if err != nil {
		return nil, err
	}
	runs, err := filepath.Glob(filepath.Join(engine, "*.run"))
	slices.Sort(segments)
	return append(segments[:max(0, len(segments)-1)], runs...), err
}

// flipBit flips a bit of the byte in a place of a file.
func flipBit(path string, at int64, bit int) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return fmt.Errorf("flip a byte: %w", err)
	}
	b[0] ^= 1 << bit
	_, err = f.WriteAt(b[:], at)
	return err
}
