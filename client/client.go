package client

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Client talks to a cluster. See the package comment.
type Client struct {
	opts Options
	// life ends with the client; its goroutines go by it.
	life     context.Context
	end      context.CancelCauseFunc
	routing  atomic.Pointer[routing]
	clock    atomic.Uint64
	turn     atomic.Uint32
	stale    atomic.Bool // the topology may have changed
	pendings sync.Pool   // of *pending

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
	// reading is closed when the last reading of the topology, begun at readAt, has ended.
	reading chan struct{}
	readAt  time.Time
}

// New returns a client. It talks to nobody before the first call. Errors: what is wrong with the options.
func New(opts Options) (*Client, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	c := &Client{opts: opts}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.pendings.New = func() any { return newPending() }
	c.clock.Store(opts.Clock)
	c.routing.Store(seedRouting(c))
	return c, nil
}

// Close ends all calls under way, closes the connections and waits until nothing of the client runs. It always returns nil and can be
// called more than once.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end(ErrClosed)
	c.running.Wait()
	return nil
}

// Clock is the greatest hybrid clock of all answers: what Options.Clock of another client may begin with.
func (c *Client) Clock() uint64 { return c.clock.Load() }

// observe advances the clock.
func (c *Client) observe(t uint64) {
	for {
		last := c.clock.Load()
		if t <= last || c.clock.CompareAndSwap(last, t) {
			return
		}
	}
}

// spawn runs f on a goroutine that Close waits for; false if the client is closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spawnLocked(f)
}

func (c *Client) spawnLocked(f func()) bool {
	if c.closed {
		return false
	}
	c.running.Go(f)
	return true
}

// sleep waits for d; its error is that of ctx, or ErrClosed.
func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.life.Done():
		return ErrClosed
	}
}

// jitter is d, give or take a quarter.
func (c *Client) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + c.opts.Random()/2))
}
