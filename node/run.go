package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// The phases of a node's life.
const (
	phaseStarting int32 = iota
	phaseServing
	phaseDraining
)

const (
	// contactGrace is how long a starting node waits for all of its peers before it says that it is ready without them.
	contactGrace = 3 * time.Second
	// contactInterval is how often it looks.
	contactInterval = 10 * time.Millisecond
	// clockInterval is how often the node's clock is compared with those of its peers.
	clockInterval = time.Second
	// closeTimeout bounds the last sync and the closing of the data directory.
	closeTimeout = 20 * time.Second
)

// Run serves until ctx is done, then drains: it stops taking requests, finishes those under way within Config.DrainTimeout, closes the
// links to the peers, and closes the data directory with the mark of a clean shutdown. It returns nil after a drain, and an error when the node
// had to stop by itself: a listener failed, or a peer refused it as a copy or an older state of a member. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	faces, stopFaces := context.WithCancelCause(ctx)
	defer stopFaces(nil)
	below, stopBelow := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBelow()

	var lower, upper errgroup.Group
	lower.Go(stopping(stopFaces, "clock", func() error { return n.replica.Run(below) }))
	lower.Go(stopping(stopFaces, "repair", func() error { return n.coordinator.Run(below) }))
	lower.Go(stopping(stopFaces, "peer links", func() error { return n.peers.Run(below) }))
	lower.Go(stopping(stopFaces, "peer port", func() error { return n.peers.Serve(below, n.ports.peer) }))
	lower.Go(func() error { n.watchClock(below); return nil })
	lower.Go(func() error { n.obeyRefusal(below, stopFaces); return nil })
	upper.Go(stopping(stopFaces, "http port", func() error { return n.http.Serve(faces, n.ports.http) }))
	upper.Go(stopping(stopFaces, "rpc port", func() error { return n.rpc.Serve(faces, n.ports.rpc) }))
	upper.Go(func() error { n.awaitContact(faces); return nil })

	http, rpc, peer := n.Addrs()
	n.log.Info("listening", "http", http, "rpc", rpc, "peer", peer, "dir", n.cfg.Dir,
		"members", len(n.cfg.Members), "replicas", n.cfg.Replicas, "sync", n.cfg.Sync, "table", n.table.Fingerprint())
	<-faces.Done()
	n.phase.Store(phaseDraining)
	n.log.Info("draining", "reason", context.Cause(faces))

	err := upper.Wait()
	stopBelow()
	err = errors.Join(err, lower.Wait(), n.close(), ownReason(ctx, faces))
	n.log.Info("stopped", "error", err)
	return err
}

// stopping ends the whole node when one of its parts fails.
func stopping(stop context.CancelCauseFunc, part string, run func() error) func() error {
	return func() error {
		err := run()
		if err != nil {
			err = fmt.Errorf("node: %s: %w", part, err)
			stop(err)
		}
		return err
	}
}

// errRefused wraps the verdict of a peer that this node must not run.
var errRefused = errors.New("node: this node must not run")

// ownReason is why the node stopped, where nobody asked it to and no part of it failed.
func ownReason(ctx, faces context.Context) error {
	if cause := context.Cause(faces); ctx.Err() == nil && errors.Is(cause, errRefused) {
		return cause
	}
	return nil
}

func (n *Node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return n.replica.Close(ctx)
}

// obeyRefusal stops the node when a peer knows that its data directory is a copy or an old state.
func (n *Node) obeyRefusal(ctx context.Context, stop context.CancelCauseFunc) {
	select {
	case err := <-n.refused:
		n.log.Error("stopping", "error", err)
		stop(fmt.Errorf("%w: %w", errRefused, err))
	case <-ctx.Done():
	}
}

// awaitContact makes the node ready once it has met all of its peers, or waited long enough.
func (n *Node) awaitContact(ctx context.Context) {
	tick := time.NewTicker(contactInterval)
	defer tick.Stop()
	grace := time.After(contactGrace)
	for met := false; !met; {
		select {
		case <-tick.C:
			met = true
			for _, p := range n.peers.Status() {
				met = met && p.Reachable
			}
		case <-grace:
			n.log.Warn("ready without having met all peers")
			met = true
		case <-ctx.Done():
			return
		}
	}
	n.phase.CompareAndSwap(phaseStarting, phaseServing)
}

// watchClock measures the offset of this node's clock from its peers', and warns of it.
func (n *Node) watchClock(ctx context.Context) {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	warned := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		offset := n.peers.ClockOffset()
		n.offset.Store(int64(offset))
		off := offset.Abs() > n.cfg.ClockOffsetWarn
		if off && !warned {
			n.log.Warn("this node's clock is off", "offset_from_median", offset, "stops_coordinating_past", n.cfg.ClockOffsetMax)
		}
		warned = off
	}
}

// clockInBounds is the node's own condition for coordinating: see causal on why a clock far off must not issue timestamps.
func (n *Node) clockInBounds() error {
	if offset := time.Duration(n.offset.Load()); offset.Abs() > n.cfg.ClockOffsetMax {
		return fmt.Errorf("this node's clock is %v off the median of its peers', more than %v", offset, n.cfg.ClockOffsetMax)
	}
	return nil
}
