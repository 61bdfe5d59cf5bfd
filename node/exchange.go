package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ringcask/ringcask/antientropy"
	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/internal/replica"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// bucketScheme says how the engine's buckets are made of keys: as antientropy.PlaceScheme says.
const bucketScheme = antientropy.PlaceScheme

// growTrees has the engine that is about to be opened keep trees current, find keys by leaf, drop what is settled, and tell of damage.
func (n *Node) growTrees(o *storage.Options) (err error) {
	n.forest, err = antientropy.NewForest(antientropy.ForestOptions{Partitions: n.cfg.Partitions})
	if err != nil {
		return err
	}
	n.healer = newHealer(n)
	o.Observer = n.forest.Observe
	o.Bucket, o.BucketScheme = n.bucket, bucketScheme<<32|uint64(n.cfg.Partitions)
	o.Filter = func(key, meta []byte) bool {
		p, _ := n.forest.LeafOf(key)
		return n.forest.Settled(p, meta) || planted.On(planted.ForgetTombstone) && showsNothing(meta)
	}
	o.Droppable = n.forest.SettledKeys
	o.Damaged = n.healer.damaged
	return nil
}

// showsNothing says whether an object consists of tombstones, and of what expires.
func showsNothing(meta []byte) bool {
	g, err := causal.GlanceAt(meta)
	return err == nil && g.Mortal()
}

func (n *Node) bucket(key []byte) uint32 {
	p, leaf := n.forest.LeafOf(key)
	return uint32(p)*antientropy.LeafCount + uint32(leaf)
}

func (n *Node) treesPath() string { return filepath.Join(n.cfg.Dir, "trees") }

// openExchange loads the trees of a clean shutdown, and makes what exchanges them with the other replicas.
func (n *Node) openExchange() error {
	mark := antientropy.LogMark{LastSeq: n.replica.LastSeq(), ID: n.replica.LastBootID()}
	if len(n.replica.Recovery().Damage) > 0 || len(n.replica.Unfilled()) > 0 {
		mark = antientropy.LogMark{} // the trees would say what was there before it was lost
	}
	loaded, err := n.forest.Load(n.opt.FS, n.treesPath(), mark)
	switch {
	case errors.Is(err, antientropy.ErrTreesIgnored):
		n.log.Info("trees are built anew", "reason", err)
	case err != nil:
		return err
	default:
		n.log.Debug("trees loaded", "partitions", loaded)
	}
	if n.replica.UnknownAll() && n.table.N() > 1 {
		n.healer.beginUnknown(n.replica.Damage())
	}
	n.keeper = antientropy.NewKeeper(n.forest, n.replica, n.log)
	members := make([]ring.NodeID, len(n.cfg.Members))
	for i, m := range n.cfg.Members {
		members[i] = ring.NodeID(m.ID)
	}
	w, err := parseLevel(n.cfg.W, n.cfg.Replicas)
	if err != nil {
		return err
	}
	n.exchanger, err = antientropy.New(exchangeReplica{n.replica, n}, n.keeper, antientropy.Options{
		Self: ring.NodeID(n.cfg.ID), Members: members, Table: n.table, Partition: n.table.Partition,
		Peer: func(id ring.NodeID) antientropy.Peer {
			if p := n.peers.Exchanges(id); p != nil {
				return p
			}
			return nil
		},
		WritesMin: w.Of(n.cfg.Replicas), Actors: n.actors, Seen: n.keeper.Seen,
		HasHints: func(p ring.PartitionID) bool { return n.handoff.store.HasHints(p) }, Unreadable: n.healer.add,
		Begin: func(peer ring.NodeID, ps []ring.PartitionID) func([]ring.PartitionID) {
			return n.handoff.beginExchange(peer, ps)
		},
		Now: n.now, Logger: n.log,
		Period: n.cfg.ExchangePeriod, BytesPerSecond: n.cfg.ExchangeBytesPerSecond,
	})
	return err
}

// saveTrees keeps the trees for the next run, after the engine was closed.
func (n *Node) saveTrees() error {
	return n.forest.Save(n.opt.FS, n.treesPath(), antientropy.LogMark{LastSeq: n.replica.LastSeq(), ID: n.replica.BootID()})
}

// wantTrees has trees built that are not there: at first all of them, and those that damage has spoiled. And it has partitions
// exchanged until they are filled.
func (n *Node) wantTrees(ctx context.Context) {
	tick := time.NewTicker(treesInterval)
	defer tick.Stop()
	for {
		for _, p := range n.table.Partitions(ring.NodeID(n.cfg.ID)) {
			n.wantTree(p)
		}
		n.healer.addPoisoned(n.held())
		n.hurryRefill()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// wantTree has a partition's tree be built if none stands, or if what was written over what could not be read has spoiled it.
func (n *Node) wantTree(p ring.PartitionID) {
	if s := n.forest.Stats(p); !s.Stands || s.SpoiledLeaves > 0 {
		n.exchanger.WantTree(p)
	}
}

// treesInterval is how often the node looks for trees that have to be built anew.
const treesInterval = 5 * time.Second

// actors are the present actors of all members; false if one cannot be reached: it may have another by now than when it was met.
func (n *Node) actors() (map[causal.Actor]bool, bool) {
	actors := map[causal.Actor]bool{n.replica.Actor(): true}
	for _, m := range n.cfg.Members {
		if m.ID == n.cfg.ID {
			continue
		}
		p := n.peers.Peer(ring.NodeID(m.ID))
		if p == nil || !p.Reachable() || p.Actor() == 0 {
			return nil, false
		}
		actors[p.Actor()] = true
	}
	return actors, true
}

// exchangeReplica is the node's replica as exchanges need it.
type exchangeReplica struct {
	*replica.Replica
	n *Node
}

// Fill implements antientropy.Replica. The healer may have waited for it.
func (r exchangeReplica) Fill(ps ...ring.PartitionID) error {
	err := r.Replica.Fill(ps...)
	r.n.healer.poke()
	return err
}

// Keys implements antientropy.Replica.
func (r exchangeReplica) Keys(ctx context.Context, leaves []antientropy.Leaf, fn func(antientropy.Leaf, []byte, uint64, bool)) error {
	buckets := make([]uint32, len(leaves))
	for i, l := range leaves {
		buckets[i] = uint32(l.Partition)*antientropy.LeafCount + uint32(l.Number)
	}
	return r.ScanBuckets(ctx, buckets, func(key, meta []byte, err error) {
		p, number := r.n.forest.LeafOf(key)
		leaf := antientropy.Leaf{Partition: p, Number: uint16(number)}
		hash := uint64(0)
		if err == nil {
			hash, err = antientropy.KeyHash(key, meta)
		}
		if err != nil {
			fn(leaf, key, 0, true)
		} else if !r.n.forest.Settled(p, meta) {
			fn(leaf, key, hash, false)
		}
	})
}

// Held implements antientropy.Replica.
func (r exchangeReplica) Held(keys [][]byte, bytesMax int) (items []antientropy.Item, known []bool) {
	held, known, err := r.Replica.Held(keys, bytesMax)
	if err != nil {
		r.n.log.Warn("cannot read for an exchange", "error", err)
		return nil, nil
	}
	for i := range held {
		items = append(items, antientropy.Item(held[i]))
	}
	return items, known
}

// Store implements antientropy.Replica. Several may be under way: it waits for its own.
func (r exchangeReplica) Store(ctx context.Context, items []antientropy.Item) error {
	if len(items) == 0 {
		return nil
	}
	deadline, _ := ctx.Deadline()
	stored := make(chan error, 1)
	r.StoreExchanged(deadline, coordinatorItems(items), func(_ coordinator.StoreAck, err error) { stored <- err })
	err := <-stored
	if errors.Is(err, coordinator.ErrUnknownKey) {
		return fmt.Errorf("%w: %w", antientropy.ErrUnreadable, err)
	}
	return err
}

func coordinatorItems(items []antientropy.Item) []coordinator.Item {
	out := make([]coordinator.Item, len(items))
	for i := range items {
		out[i] = coordinator.Item(items[i])
	}
	return out
}
