package sim

import (
	"sync"
	"time"
)

// fate is what becomes of messages on a path.
type fate uint8

const (
	// pass lets them through.
	pass fate = iota
	// hold keeps them until the path passes again: what TCP does about a gap that is shorter than its patience.
	hold
	// lose loses them, and all that is written later to the connections that there were: they are dead without knowing it.
	lose
	// refuse breaks the connections, and refuses new ones.
	refuse
)

// path is the way from one place to another.
type path struct {
	mu   sync.Mutex
	fate fate
	// dark says that nobody answers at the far end where nobody listens: the machine has no power.
	dark                     bool
	slower                   time.Duration
	throttles                []*throttle
	loss, duplicate, reorder float64
}

func (p *path) holds() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fate != pass
}

func (p *path) lossy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loss+p.duplicate+p.reorder > 0
}

func (p *path) shares() (loss, duplicate, reorder float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loss, p.duplicate, p.reorder
}

// throttled is how long bytes wait for their turn at the ends of the path whose bandwidth is bounded.
func (p *path) throttled(now time.Time, bytes int) (wait time.Duration) {
	p.mu.Lock()
	throttles := p.throttles
	p.mu.Unlock()
	for _, t := range throttles {
		wait = max(wait, t.take(now, bytes))
	}
	return wait
}

// throttle is a bound of the bytes that one node sends and hears in a second.
type throttle struct {
	bytesPerSecond int64

	mu   sync.Mutex
	free time.Time
}

func (t *throttle) take(now time.Time, bytes int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free.Before(now) {
		t.free = now
	}
	t.free = t.free.Add(time.Duration(bytes) * time.Second / time.Duration(t.bytesPerSecond))
	return t.free.Sub(now)
}
