package storage

import (
	"sync"
	"time"
)

// held counts the writes that wait for a merge, and the time for which there are any.
type held struct {
	mu sync.Mutex
	// waits have begun, of which waiting last; since is when the first of those began.
	waits, waiting int64
	since          time.Time
	time           time.Duration
}

func (h *held) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == 0 {
		h.since = time.Now()
	}
	h.waiting++
	h.waits++
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

// total returns how often one has waited, and for how long there were any that did.
func (h *held) total() (waits int64, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d = h.time
	if h.waiting > 0 {
		d += time.Since(h.since)
	}
	return h.waits, d
}
