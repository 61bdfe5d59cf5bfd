package storage

import (
	"sync/atomic"
	"time"
)

const (
	// spaceLookBytes is how much is written between two looks at what the disk has left.
	spaceLookBytes = 8 << 20
	// spaceLookInterval is the time after which a write has it looked again: others may have filled the disk, or made room.
	spaceLookInterval = 100 * time.Millisecond
)

// space watches what the disk has left. The last Options.ReserveBytes are not for writes, but for the merge that leads out of
// a full disk.
type space struct {
	full atomic.Bool
	// fresh says that the last look was less than spaceLookInterval ago, which costs a write less to know than the time; aging ends it.
	fresh atomic.Bool
	aging *time.Timer
	// unlooked is what was written since the last look. It belongs to the committer.
	unlooked int64
}

// watchSpace has the first look. Close ends what it starts.
func (e *Engine) watchSpace() {
	e.space.fresh.Store(true)
	e.space.aging = time.AfterFunc(spaceLookInterval, func() { e.space.fresh.Store(false) })
	e.look()
}

// lookForSpace looks whether the disk has room for more, now and then. n is about to be written.
func (e *Engine) lookForSpace(n int64) {
	if e.space.unlooked += n; e.space.unlooked >= min(spaceLookBytes, max(e.opts.ReserveBytes/4, 0)) {
		e.space.unlooked = 0
		e.look()
	}
}

// look sets whether the disk is full.
func (e *Engine) look() {
	free, err := e.fs.Free(e.dir)
	if err != nil {
		e.opts.Logger.Warn("storage: free space not known", "dir", e.dir, "error", err)
		return
	}
	full := free < e.opts.ReserveBytes
	if e.space.full.Swap(full) == full {
		return
	}
	if full {
		e.opts.Logger.Error("storage: the disk is full: writes are refused until there is room", "dir", e.dir,
			"free", free, "reserve", e.opts.ReserveBytes)
		e.merger.wake()
	} else {
		e.opts.Logger.Info("storage: the disk has room again", "dir", e.dir, "free", free)
	}
}

// refusal is ErrDiskFull while the disk is full, which is looked at again now and then.
func (s *space) refusal(e *Engine) error {
	if !s.fresh.Load() && !s.fresh.Swap(true) {
		s.aging.Reset(spaceLookInterval)
		e.look()
	}
	if s.full.Load() {
		return ErrDiskFull
	}
	return nil
}
