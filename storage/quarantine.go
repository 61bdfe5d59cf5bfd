package storage

import (
	"bytes"
	"errors"
	"path/filepath"

	"github.com/ringcask/ringcask/storage/vfs"
)

// quarantine makes a key Unknown whose newest record was found to be unreadable, and notes the damage.
func (e *Engine) quarantine(en *entry, reason string) error {
	err := en.corrupt(reason)
	if !e.index.flag(en, flagUnreadable) {
		return err // another reader was faster, or the key was written again
	}
	e.note(Damage{
		Segment: err.Segment, Offset: err.Offset, Length: int64(en.Length), Reason: reason,
		KeysKnown: true, Keys: [][]byte{bytes.Clone(en.key)}, KeyCount: 1,
	})
	if seg := e.log.segment(en.Segment); seg != nil {
		e.suspect(seg, reason)
	}
	return err
}

// note adds to the damage found since Open.
func (e *Engine) note(d Damage) {
	e.damaged.Add(1)
	e.opts.Logger.Error("storage: damage found", "damage", d.String())
	if e.opts.Damaged != nil {
		e.opts.Damaged(d)
	}
}

// suspect leaves a file beside a segment which says that the segment is damaged: without it, the next Open would trust
// the segment's hint file and take the lost records for readable.
func (e *Engine) suspect(seg *segment, reason string) {
	if seg.suspect.Swap(true) {
		return
	}
	err := vfs.WriteFileAtomic(e.fs, seg.suspectPath(), []byte(reason+"\n"))
	if err != nil {
		e.opts.Logger.Error("storage: damage could not be noted in the data directory",
			"file", filepath.Base(seg.suspectPath()), "error", err)
	}
}

// isCorrupt says whether an error is a CorruptError.
func isCorrupt(err error) bool {
	var c *CorruptError
	return errors.As(err, &c)
}
