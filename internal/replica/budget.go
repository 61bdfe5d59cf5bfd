package replica

import (
	"sync/atomic"

	"github.com/ringcask/ringcask/coordinator"
)

// budget bounds the mutations under way and the bytes that they hold. Writes and stores have one each, so that neither
// waits for the other's share. It refuses in place of waiting: callers stand on goroutines that must not block, and
// the engine's own queue, which would make them wait, is never filled.
type budget struct {
	lenMax, bytesMax int64
	len, bytes       atomic.Int64
}

// take admits a mutation of size bytes, or returns coordinator.ErrOverloaded. One is always admitted, however large.
func (b *budget) take(size int) error {
	n, bytes := b.len.Add(1), b.bytes.Add(int64(size))
	if n > 1 && (n > b.lenMax || bytes > b.bytesMax) {
		b.give(size)
		return coordinator.ErrOverloaded
	}
	return nil
}

// give takes back what a mutation of size bytes was admitted with.
func (b *budget) give(size int) {
	b.bytes.Add(int64(-size))
	b.len.Add(-1)
}
