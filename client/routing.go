package client

import (
	"context"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// routing is the nodes that can be talked to. It is immutable.
type routing struct {
	// topology is nil until it was read, and for a direct client.
	topology *wire.Topology
	// members has the node of each member of the topology; nil for one whose address is not known.
	members []*node
	// all are the distinct nodes: the members, then the given addresses that are no members.
	all []*node
	// read is when the topology was read.
	read time.Time
}

// choose picks a node for an attempt: one that is not in tried; a replica of the key before another; one that answers
// before one that is out. Among the replicas a write goes to the first in the table, so that one node issues a key's dots while
// nothing fails; a read to the one with the fewest requests under way. nil if all have been tried.
func (r *routing) choose(key []byte, write bool, tried []*node, turn uint32) *node {
	replicas := r.replicas(key)
	for _, out := range []bool{false, true} {
		var best *node
		for _, i := range replicas {
			n := r.members[i]
			if n == nil || n.out.Load() != out || contains(tried, n) {
				continue
			}
			if best == nil || (!write && n.inFlight.Load() < best.inFlight.Load()) {
				best = n
			}
		}
		if best != nil {
			return best
		}
		if n := r.chooseAny(out, tried, turn); n != nil {
			return n
		}
	}
	return nil
}

// chooseAny takes the nodes in turn: those of a direct client in their order.
func (r *routing) chooseAny(out bool, tried []*node, turn uint32) *node {
	for i := range r.all {
		at := i
		if r.topology != nil {
			at = (i + int(turn%uint32(len(r.all)))) % len(r.all)
		}
		if n := r.all[at]; n.out.Load() == out && !contains(tried, n) {
			return n
		}
	}
	return nil
}

// replicas are the members that hold the key's partition; none if the key is nil or the topology is not known.
func (r *routing) replicas(key []byte) []int {
	if r.topology == nil || key == nil {
		return nil
	}
	return r.topology.Table[ring.PartitionOf(key, r.topology.Partitions)]
}

func contains(nodes []*node, n *node) bool {
	for _, m := range nodes {
		if m == n {
			return true
		}
	}
	return false
}

// seedRouting is the routing before any topology was read.
func seedRouting(c *Client) *routing {
	r := &routing{}
	for _, addr := range c.opts.Addrs {
		if n := c.node(r.all, addr); !contains(r.all, n) {
			r.all = append(r.all, n)
		}
	}
	return r
}

// with is the routing by a new topology; nodes that both have keep their connections.
func (r *routing) with(c *Client, t *wire.Topology, now time.Time) *routing {
	next := &routing{topology: t, members: make([]*node, len(t.Members)), read: now}
	for i := range t.Members {
		addr := t.Members[i].RPC
		if addr == "" {
			continue
		}
		n := c.node(r.all, addr)
		next.members[i] = n
		if !contains(next.all, n) {
			next.all = append(next.all, n)
		}
	}
	for _, addr := range c.opts.Addrs {
		if n := c.node(append(next.all, r.all...), addr); !contains(next.all, n) {
			next.all = append(next.all, n)
		}
	}
	return next
}

// node is the node with the address among known, or a new one.
func (c *Client) node(known []*node, addr string) *node {
	for _, n := range known {
		if n.addr == addr {
			return n
		}
	}
	return newNode(c, addr)
}

// route is the present routing. The first call reads the topology; later ones have it read again in the background when it is
// due. Without a topology the given addresses serve.
func (c *Client) route(ctx context.Context) *routing {
	r := c.routing.Load()
	if c.opts.Direct {
		return r
	}
	if r.topology != nil {
		if c.stale.Load() || time.Since(r.read) > c.opts.TopologyInterval {
			c.readTopology()
		}
		return r
	}
	select {
	case <-c.readTopology():
	case <-ctx.Done():
	}
	return c.routing.Load()
}

// topologyStale has the topology read again by the next call, but not sooner than it may be.
func (c *Client) topologyStale() { c.stale.Store(true) }

// readTopology starts reading the topology unless it is being read, or was just now. The channel is closed when that has ended.
func (c *Client) readTopology() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading != nil && (!isClosed(c.reading) || time.Since(c.readAt) < topologyPauseMin) {
		return c.reading
	}
	c.stale.Store(false)
	done := make(chan struct{})
	if !c.spawnLocked(func() {
		defer close(done)
		c.updateRouting()
	}) {
		close(done)
		return done
	}
	c.reading, c.readAt = done, time.Now()
	return done
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// updateRouting asks one node after the other for the topology and routes by it.
func (c *Client) updateRouting() {
	old := c.routing.Load()
	for _, out := range []bool{false, true} {
		for _, n := range old.all {
			if n.out.Load() != out {
				continue
			}
			t, err := c.askTopology(n)
			if err != nil {
				continue // the next node may answer; if none does, we go on as before and ask again later
			}
			// Connections to nodes that are no members any more are left to what is under way on them, and to the node to close.
			c.routing.Store(old.with(c, t, time.Now()))
			return
		}
	}
}

func (c *Client) askTopology(n *node) (*wire.Topology, error) {
	q := wire.PlainRequest{Options: wire.Options{Clock: c.Clock()}}
	e, err := n.call(c.life, c.opts.DialTimeout, wire.MethodTopology, q.Encode, nil)
	if err != nil {
		n.failed()
		return nil, err
	}
	if f, _ := e.Failure(); f != nil {
		return nil, f
	}
	t := new(wire.Topology)
	if err := t.Decode(&e.Body); err != nil {
		return nil, err
	}
	return t, nil
}

// needs says whether the node is one that requests may go to.
func (c *Client) needs(n *node) bool { return contains(c.routing.Load().all, n) }
