package storage

import (
	"sync"
	"time"
)

// held counts the writes that wait for a merge, and the time for which there are any.
type held struct {
	mu sync.Mutex
	// writes have waited, of which waiting still do, since the first of them began to.
	writes, waiting int64
	since           time.Time
	time            time.Duration
}

func (h *held) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == 0 {
		h.since = time.Now()
	}
	h.waiting++
	h.writes++
}

func (h *held) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting--; h.waiting == 0 {
		h.time += time.Since(h.since)
	}
}

// any says whether any are waiting.
func (h *held) any() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting > 0
}

// total returns how many have waited, and for how long there were any.
func (h *held) total() (writes int64, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d = h.time
	if h.waiting > 0 {
		d += time.Since(h.since)
	}
	return h.writes, d
}
