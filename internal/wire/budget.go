package wire

import (
	"errors"
	"sync/atomic"
)

// ErrBudget ends a link whose message would take more memory than the links together may hold in unfinished messages.
var ErrBudget = errors.New("wire: too many bytes held in unfinished messages")

// Budget bounds what several links hold together in large messages that have not arrived whole. It is safe for concurrent use.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of that many bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Used is the number of bytes taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// take takes n bytes if they are there. A nil Budget always has them.
func (b *Budget) take(n int) bool {
	if b == nil || b.used.Add(int64(n)) <= b.limit {
		return true
	}
	b.used.Add(-int64(n))
	return false
}

func (b *Budget) give(n int) {
	if b != nil {
		b.used.Add(-int64(n))
	}
}
