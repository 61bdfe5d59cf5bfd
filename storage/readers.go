package storage

import (
	"sync"
	"sync/atomic"
)

// readers are those who are looking at files and may not be cut short. Who takes something away from them first sees to it that nobody finds
// it any more, and then waits for those who may have found it before. Nobody waits for him meanwhile: neither they nor those who come later.
// It is sleepable read-copy-update: P. McKenney, "Sleepable RCU", LWN 2006.
type readers struct {
	// generation says, by its last bit, which of the counts takes who comes.
	generation atomic.Uint32
	counts     [2]readerCount
	// waiting says that one wants to be told through left when a count has come to zero.
	waiting atomic.Bool
	left    chan struct{}
	// turn is held by him.
	turn sync.Mutex
}

// readerCount keeps its distance from the other one: they are not to share a cache line.
type readerCount struct {
	atomic.Int64
	_ [56]byte
}

func newReaders() *readers { return &readers{left: make(chan struct{}, 1)} }

// enter is called before the first look. Its result is for leave.
func (r *readers) enter() (generation uint32) {
	g := r.generation.Load() & 1
	r.counts[g].Add(1)
	return g
}

func (r *readers) leave(generation uint32) {
	if r.counts[generation].Add(-1) == 0 && r.waiting.Load() {
		select {
		case r.left <- struct{}{}:
		default: // he looks again anyway
		}
	}
}

// wait returns when all who had entered have left.
func (r *readers) wait() {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.waiting.Store(true)
	defer r.waiting.Store(false)
	// Both counts: who has read the generation before it was changed may enter only after the look at its count. That does no harm to this wait, for he
	// finds nothing of what is taken away; but he has to be seen by the next.
	for range r.counts {
		g := (r.generation.Add(1) - 1) & 1
		for r.counts[g].Load() != 0 {
			<-r.left
		}
	}
}
