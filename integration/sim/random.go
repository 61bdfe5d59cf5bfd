package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// random is a source of random bytes and numbers that many may use.
type random struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newRandom(seed, stream uint64) *random { return &random{rng: rand.New(rand.NewPCG(seed, stream))} }

// Read implements io.Reader; it never fails.
func (r *random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var word [8]byte
	for n := 0; n < len(p); n += len(word) {
		binary.BigEndian.PutUint64(word[:], r.rng.Uint64())
		copy(p[n:], word[:])
	}
	return len(p), nil
}

// float is a number in [0, 1).
func (r *random) float() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.Float64()
}

func (r *random) uint64() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.Uint64()
}
