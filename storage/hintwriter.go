package storage

import (
	"sync"
	"sync/atomic"

	"github.com/ringcask/ringcask/internal/yield"
)

// hintFileWriter writes the hint files of sealed segments in the background, one at a time. It reads each segment
// back for it, which needs no memory while the segment is filled and checks what was written. A hint file that cannot
// be written is only a slower Open: it is logged and not tried again before that.
type hintFileWriter struct {
	e       *Engine
	mu      sync.Mutex
	changed sync.Cond
	closing bool
	// idle says that every sealed segment was looked at.
	idle bool
	// upTo is the youngest segment looked at.
	upTo SegmentID
	// behind says that there may be more sealed segments than the one it is at, awaited how many wait until it has come to the end of that.
	// It does not rest then.
	behind  atomic.Bool
	awaited atomic.Int32
	yielder yield.Yielder
	running sync.WaitGroup
}

func newHintFileWriter(e *Engine) *hintFileWriter {
	h := &hintFileWriter{e: e, yielder: yield.Yielder{Yield: e.opts.yield}}
	h.changed.L = &h.mu
	if last := e.log.last(); last != nil && last.sealed.Load() {
		h.upTo = last.id // recovery has tried
	} else if last != nil {
		h.upTo = last.id - 1
	}
	return h
}

func (h *hintFileWriter) start() { h.running.Go(h.loop) }

// wake says that a segment may have been sealed.
func (h *hintFileWriter) wake() {
	h.mu.Lock()
	h.idle = false
	h.behind.Store(true)
	h.mu.Unlock()
	h.changed.Broadcast()
}

// close returns when what was sealed before has its hint files.
func (h *hintFileWriter) close() {
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	h.changed.Broadcast()
	h.running.Wait()
}

func (h *hintFileWriter) loop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		seg, more := h.pending()
		h.behind.Store(more)
		if seg == nil {
			if h.closing {
				return
			}
			h.idle = true
			h.changed.Broadcast()
			h.changed.Wait()
			continue
		}
		h.upTo = seg.id
		h.mu.Unlock()
		if err := h.e.makeHintFile(seg, h.rest); err != nil {
			h.e.opts.Logger.Warn("storage: hint file not written", "segment", seg.id, "error", err)
		}
		h.mu.Lock()
	}
}

// hurry has it rest no more.
func (h *hintFileWriter) hurry() { h.awaited.Add(1) }

// pause waits until no file is being made, and keeps others from being made until maintenance is unlocked.
func (h *hintFileWriter) pause() {
	h.awaited.Add(1)
	h.e.maintenance.Lock()
	h.awaited.Add(-1)
}

// rest lets others run.
func (h *hintFileWriter) rest() {
	if !h.behind.Load() && h.awaited.Load() == 0 {
		h.yielder.Rest()
	}
}

// pending is the oldest sealed segment that was not looked at, and whether there are more.
func (h *hintFileWriter) pending() (oldest *segment, more bool) {
	for _, s := range h.e.log.all() {
		switch {
		case s.id <= h.upTo || !s.sealed.Load():
		case oldest != nil:
			return oldest, true
		default:
			oldest = s
		}
	}
	return oldest, false
}

// makeHintFile scans a sealed segment and writes its hint file, and rests after each few records. A damaged segment gets none, so that
// every Open reads it and finds the damage again.
func (e *Engine) makeHintFile(seg *segment, rest func()) error {
	e.maintenance.Lock()
	defer e.maintenance.Unlock()
	if e.log.segment(uint32(seg.id)) != seg {
		return nil // it was merged
	}
	r, end := &replay{rest: rest, keys: keyList{rest: rest}}, seg.written.Load()
	if records := int64(e.firstSeqAfter(seg) - seg.firstSeq); records > 0 && records <= end/frameBytesMin {
		r.keys.reserve(records, end)
	}
	defer r.keys.free()
	if err := r.all(newLogScan(seg.file, seg.path, seg.sum, end), e.engine, seg.id); err != nil {
		return err
	}
	if len(r.regions) > 0 {
		return r.regions[0].damage(seg.id).err()
	}
	r.keys.sort(1)
	return e.storeHintFile(seg, r)
}

func (e *Engine) storeHintFile(seg *segment, r *replay) error {
	size, err := writeHintFile(e.fs, e.dir, seg, r)
	if err == nil {
		seg.hintFileBytes.Store(size)
	}
	return err
}
