package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringcask/ringcask/internal/peer"
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
// had to stop by itself: a listener failed, or a peer refused it as a copy of a member. It may be called once.
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
	lower.Go(stopping(stopFaces, "gossip port", func() error { return n.liveness.Run(below) }))
	lower.Go(func() error { n.tellCondition(below, n.liveness.SetCondition); return nil })
	lower.Go(stopping(stopFaces, "trees", func() error { return n.keeper.Run(below) }))
	lower.Go(stopping(stopFaces, "exchange", func() error { return n.exchanger.Run(below) }))
	lower.Go(stopping(stopFaces, "hints", func() error { return n.handoff.store.Run(below) }))
	lower.Go(func() error { n.handoff.run(below); return nil })
	lower.Go(func() error { n.healer.run(below); return nil })
	lower.Go(func() error { n.wantTrees(below); return nil })
	lower.Go(func() error { n.sizes.run(below, n.log); return nil })
	lower.Go(func() error { n.watchClock(below); return nil })
	lower.Go(func() error { n.obeyRefusal(below, stopFaces); return nil })
	lower.Go(stopping(stopFaces, "begin anew", func() error { return n.beginAnew(below) }))
	upper.Go(stopping(stopFaces, "http port", func() error { return n.http.Serve(faces, n.ports.http) }))
	upper.Go(stopping(stopFaces, "rpc port", func() error { return n.rpc.Serve(faces, n.ports.rpc) }))
	upper.Go(stopping(stopFaces, "start", func() error { return n.awaitContact(faces) }))

	http, rpc, peer := n.Addrs()
	n.log.Info("listening", "http", http, "rpc", rpc, "peer", peer, "gossip", n.cfg.GossipAddr, "dir", n.cfg.Dir,
		"members", len(n.cfg.Members), "replicas", n.cfg.Replicas, "sync", n.cfg.Sync, "table", n.table.Fingerprint())
	<-faces.Done()
	n.enter(phaseDraining)
	n.log.Info("draining", "reason", context.Cause(faces))

	err := upper.Wait()
	stopBelow()
	err = errors.Join(err, lower.Wait(), n.close(), ownReason(ctx, faces))
	if err == nil {
		n.log.Info("stopped")
	}
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
	hints := n.handoff.close()
	if err := n.replica.Close(ctx); err != nil {
		return errors.Join(hints, err)
	}
	return errors.Join(hints, n.saveTrees())
}

// refuse is told, at most once, that a peer knows this node's data directory to be a copy of one in use. From then on no
// dot is issued, not even while the node drains.
func (n *Node) refuse(by *peer.HandshakeError) {
	err := fmt.Errorf("%w: a peer refused it: %w", errRefused, by)
	n.verdict.Store(&err)
	close(n.refused)
}

// obeyRefusal stops the node once it is refused.
func (n *Node) obeyRefusal(ctx context.Context, stop context.CancelCauseFunc) {
	select {
	case <-n.refused:
		err := *n.verdict.Load()
		n.log.Error("stopping", "error", err)
		if err := n.replica.Disown(); err != nil {
			n.log.Error("cannot disown the data directory", "dir", n.cfg.Dir, "error", err)
		}
		stop(err)
	case <-ctx.Done():
	}
}

// awaitContact makes the node ready once it has met all of its peers and compared its clock with theirs, or waited long
// enough. A node whose data directory is new waits for all of them: once they have let it in and none has known another
// directory of it, nobody misses anything in this one.
func (n *Node) awaitContact(ctx context.Context) error {
	tick := time.NewTicker(contactInterval)
	defer tick.Stop()
	grace := time.After(contactGrace)
	for met, late := false, false; !met && !(late && !n.replica.Fresh()); {
		select {
		case <-tick.C:
			met = len(n.unmet()) == 0
		case <-grace:
			late = true
			n.log.Warn("not all peers are met", "missing", n.unmet(), "waits_for_them", n.replica.Fresh())
		case <-ctx.Done():
			return nil
		}
		if met {
			if err := n.replica.FillFresh(); err != nil {
				return err
			}
		}
	}
	n.offset.Store(int64(n.peers.ClockOffset()))
	n.enter(phaseServing)
	return nil
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

// mayCoordinate is the node's own condition for issuing dots. Before its peers have let it in, its data directory may be a
// copy of one that runs, with the same actor; and a clock far off must not issue timestamps. Others coordinate meanwhile.
func (n *Node) mayCoordinate() error {
	if err := n.verdict.Load(); err != nil {
		return *err
	}
	if n.phase.Load() == phaseStarting {
		return errStarting
	}
	if n.behind.Load() {
		return errOutdated
	}
	if offset := time.Duration(n.offset.Load()); offset.Abs() > n.cfg.ClockOffsetMax {
		return fmt.Errorf("this node's clock is %v off the median of its peers', more than %v", offset, n.cfg.ClockOffsetMax)
	}
	return nil
}
