package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringcask/ringcask/internal/peer"
	"github.com/ringcask/ringcask/internal/replica"
	"github.com/ringcask/ringcask/ring"
)

// copyGrace is how long a node that a peer finds outdated waits before it begins anew: another peer may see the living original of
// which its data directory is a copy, and then it must not run at all.
const copyGrace = time.Second

var errOutdated = errors.New("a peer has met this node with a later state of its disk, or with another disk: beginning anew")

// outdate is told that a peer remembers a run that the data directory does not know. From then on no dot is issued until the node has
// begun anew.
func (n *Node) outdate(by *peer.HandshakeError) {
	n.behind.Store(true)
	select {
	case n.outdated <- replica.Run(by.Last):
	default: // one at a time: the peer will say it again
	}
}

// beginAnew has the replica forget what it is each time that the node is found outdated, until ctx is done or the node must stop.
func (n *Node) beginAnew(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case lost := <-n.outdated:
			if goesOn, err := n.giveUp(ctx, lost); err != nil || !goesOn {
				return err
			}
			n.behind.Store(false)
			n.hurryRefill()
		}
	}
}

// giveUp begins anew because of a run that was lost, unless it is known already. It says whether the node goes on.
func (n *Node) giveUp(ctx context.Context, lost replica.Run) (goesOn bool, err error) {
	if _, earlier := n.replica.Runs(); slices.Contains(earlier, lost) {
		return true, nil
	}
	if n.table.N() > 1 { // outdated or a copy, it answers nothing from now on
		if err := n.replica.Refill(n.table.Partitions(ring.NodeID(n.cfg.ID))...); err != nil {
			return false, err
		}
	}
	if !n.awaitOriginal(ctx) {
		return false, nil
	}
	err = n.replica.BeginAnew(lost)
	n.peers.TellActor()
	return true, err
}

// awaitOriginal gives the peers time to refuse this node as a copy. It says whether the node goes on.
func (n *Node) awaitOriginal(ctx context.Context) bool {
	over := time.NewTimer(copyGrace)
	defer over.Stop()
	select {
	case <-over.C:
		return true
	case <-n.refused:
		return false
	case <-ctx.Done():
		return false
	}
}

// hurryRefill has what is not filled exchanged soon with all that hold it.
func (n *Node) hurryRefill() {
	unfilled := n.replica.Unfilled()
	if len(unfilled) == 0 {
		return
	}
	for _, m := range n.cfg.Members {
		n.exchanger.Hurry(ring.NodeID(m.ID), unfilled...)
	}
}

// unmet are the members that have not let this node in, or whose clocks are not measured.
func (n *Node) unmet() (ids []string) {
	for _, p := range n.peers.Status() {
		if !p.Reachable || !p.Measured {
			ids = append(ids, string(p.ID))
		}
	}
	return ids
}

// starting is what the node waits for before it is ready.
func (n *Node) starting() error {
	if ids := n.unmet(); len(ids) > 0 && n.replica.Fresh() {
		return fmt.Errorf("waiting for %s: a new data directory is taken for that of a new cluster once all members say so",
			strings.Join(ids, ", "))
	}
	return errStarting
}
