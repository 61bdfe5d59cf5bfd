package chaos

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
)

// undo ends a fault, and has everything go on as before.
type undo func() error

// strike has a fault happen and returns what ends it. id tells it apart from all others of the run.
func (r *run) strike(ctx context.Context, id string, f fault.Fault) (undo, error) {
	c := r.cluster
	var p *process
	if len(f.Nodes) > 0 {
		p = c.nodes[f.Nodes[0]]
	}
	switch f.Kind {
	case fault.Kill:
		p.kill()
		return r.startAgain(p), nil
	case fault.Restart:
		return r.startAgain(p), p.stop()
	case fault.Pause:
		p.signal(syscall.SIGSTOP, false)
		return func() error { p.signal(syscall.SIGCONT, false); return nil }, nil
	case fault.Wipe:
		p.kill()
		return r.startAgain(p), os.RemoveAll(p.dir)
	case fault.Flip:
		return r.flip(p, f)
	case fault.Skew:
		return r.skew(p, f.Delay)
	case fault.Latency:
		return c.impose(id, around(len(c.nodes), f.Nodes[0]), f.Nodes, condition{delay: f.Delay}), nil
	case fault.Bandwidth:
		return c.impose(id, around(len(c.nodes), f.Nodes[0]), f.Nodes, condition{bytesPerSecond: f.BytesPerSecond}), nil
	case fault.Loss:
		return c.impose(id, everywhere(len(c.nodes)), nil, condition{loss: f.Share}), nil
	case fault.Duplicate:
		return c.impose(id, everywhere(len(c.nodes)), nil, condition{duplicate: f.Share}), nil
	case fault.Reorder:
		return c.impose(id, everywhere(len(c.nodes)), nil, condition{reorder: f.Share}), nil
	case fault.Reset:
		return c.resetNowAndThen(ctx, f.Nodes[0]), nil
	case fault.DiskFull, fault.DiskError, fault.DiskSlow:
		return r.spoilDisk(ctx, p, f)
	}
	return c.impose(id, f.Cuts(len(c.nodes)), nil, condition{cut: true}), nil
}

func (c *cluster) impose(id string, ways [][2]int, clientsOf []int, on condition) undo {
	lift := c.network.impose(id, ways, clientsOf, on)
	return func() error { lift(); return nil }
}

// startAgain starts a node that was stopped and waits until it serves.
func (r *run) startAgain(p *process) undo {
	return func() error { return r.startNode(p) }
}

func (r *run) startNode(p *process, args ...string) error {
	if err := p.start(args...); err != nil {
		return err
	}
	return r.cluster.awaitReady(r.after, r.ReadyWithin, p)
}

// flip stops a node and flips bytes of what it has stored.
func (r *run) flip(p *process, f fault.Fault) (undo, error) {
	if err := p.stop(); err != nil {
		return r.startAgain(p), err
	}
	return r.startAgain(p), flipBytes(p.engine(), f.Count, r.Plan.Seed^uint64(f.At))
}

// skew starts a node anew with a clock that is wrong, and undoes that in the same way.
func (r *run) skew(p *process, offset time.Duration) (undo, error) {
	if err := p.stop(); err != nil {
		return r.startAgain(p), err
	}
	right := func() error {
		if err := p.stop(); err != nil {
			return err
		}
		return r.startNode(p)
	}
	return right, r.startNode(p, "--test-clock-offset="+offset.String())
}

// resetInterval is the time between two resets of a node's connections.
const resetInterval = 700 * time.Millisecond

// resetNowAndThen resets a node's connections at once and again and again.
func (c *cluster) resetNowAndThen(ctx context.Context, node int) undo {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(resetInterval)
		defer tick.Stop()
		for {
			c.network.reset(node)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() error {
		cancel()
		<-ended
		return nil
	}
}
