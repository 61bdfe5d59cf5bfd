package workload

import (
	"strconv"
	"sync"
)

// pool gives out a few keys over and over, each a bounded number of times: so what was done to one key stays small, and a key rests some time before
// the end. It is safe for concurrent use.
type pool struct {
	prefix     string
	size, uses int

	mu      sync.Mutex
	next    int
	entries []poolEntry
}

type poolEntry struct {
	key  string
	left int
}

// use is one of the keys in use, and whether this is its first use or its last.
func (p *pool) use(w *worker) (key string, first, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := w.rand.IntN(p.size)
	for len(p.entries) <= at {
		p.entries = append(p.entries, poolEntry{})
	}
	e := &p.entries[at]
	if e.left == 0 {
		*e = poolEntry{key: p.prefix + strconv.FormatInt(int64(p.next), 36), left: p.uses}
		p.next++
	}
	e.left--
	return e.key, e.left == p.uses-1, e.left == 0
}

// sharedKeys gives out a few keys to be used by all workers, each once its creator has shared it. It is safe for concurrent use.
type sharedKeys struct {
	prefix string

	mu     sync.Mutex
	next   int
	shared []poolEntry
}

// use is a key to use; or one to create, where fewer than size are shared and their creation is this worker's turn.
func (s *sharedKeys) use(w *worker, size, uses int) (key string, create bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.shared) < size && (len(s.shared) == 0 || w.chance(0.1)) {
		s.next++
		return s.prefix + strconv.FormatInt(int64(s.next), 36), true
	}
	at := w.rand.IntN(len(s.shared))
	e := &s.shared[at]
	key = e.key
	if e.left++; e.left == uses {
		s.shared = append(s.shared[:at], s.shared[at+1:]...)
	}
	return key, false
}

// share lets all workers use a key.
func (s *sharedKeys) share(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = append(s.shared, poolEntry{key: key})
}
