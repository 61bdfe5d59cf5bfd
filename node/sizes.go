package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ringcask/ringcask/ring"
)

const (
	// sizesAge is how old a count of what is stored may be before it is made anew for whoever asks.
	sizesAge = 10 * time.Second
	// sizesWait is how long whoever asks waits for the first count.
	sizesWait = 2 * time.Second
	// sizesKeysPerSecond bounds a count's use of the processor, sizesChunk is how many keys it visits between two looks at that.
	sizesKeysPerSecond = 1 << 20
	sizesChunk         = 1 << 12
)

// sizes counts, for those who ask, what is stored of each partition. It looks at the index alone.
type sizes struct {
	each      func(chunk int, pause func() error, fn func(key []byte, bytes int)) error
	partition func(key []byte) ring.PartitionID
	count     int
	now       func() time.Time
	wake      chan struct{}

	mu     sync.Mutex
	last   census
	counts chan struct{} // closed, and made anew, with each count
}

// census is what was stored of each partition at a time.
type census struct {
	at    time.Time
	parts []partitionSize
}

type partitionSize struct{ keys, bytes int64 }

func newSizes(
	each func(int, func() error, func([]byte, int)) error, partition func([]byte) ring.PartitionID, partitions int, now func() time.Time,
) *sizes {
	return &sizes{
		each: each, partition: partition, count: partitions, now: now,
		wake: make(chan struct{}, 1), counts: make(chan struct{}),
	}
}

// get is the last count, and has a newer one made if that is old. If there is none it waits for it, though not for long.
func (s *sizes) get(ctx context.Context) census {
	last, counted := s.look()
	if s.now().Sub(last.at) < sizesAge {
		return last
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if !last.at.IsZero() {
		return last
	}
	ctx, cancel := context.WithTimeout(ctx, sizesWait)
	defer cancel()
	select {
	case <-counted:
	case <-ctx.Done():
	}
	last, _ = s.look()
	return last
}

func (s *sizes) look() (census, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.counts
}

// run counts when asked to, until ctx is done.
func (s *sizes) run(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if err := s.take(ctx); err != nil && ctx.Err() == nil {
			log.Warn("cannot count what is stored", "error", err)
		}
	}
}

// take makes a count.
func (s *sizes) take(ctx context.Context) error {
	limit := rate.NewLimiter(sizesKeysPerSecond, sizesChunk)
	c := census{at: s.now(), parts: make([]partitionSize, s.count)}
	err := s.each(sizesChunk, func() error { return limit.WaitN(ctx, sizesChunk) }, func(key []byte, bytes int) {
		part := &c.parts[s.partition(key)]
		part.keys++
		part.bytes += int64(bytes)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = c
	close(s.counts)
	s.counts = make(chan struct{})
	return nil
}
