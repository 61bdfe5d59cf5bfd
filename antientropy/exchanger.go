package antientropy

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// Options are the settings of an Exchanger. Fields without a default are required.
type Options struct {
	// Self is this node, Members all nodes of the cluster, this one among them.
	Self    ring.NodeID
	Members []ring.NodeID
	// Table is the partition table, Partition the partition of a key.
	Table     Topology
	Partition func(key []byte) ring.PartitionID
	// Peer is another member, or nil.
	Peer func(ring.NodeID) Peer
	// WritesMin is the least number of replicas that a write is acknowledged by in this cluster (W): a replica that has lost data has it
	// again once it has exchanged with N-W+1 others.
	WritesMin int
	// Actors are the present actors of all members; false if some are not known.
	Actors func() (actors map[causal.Actor]bool, all bool)
	// Seen are the actors that keys of a partition on this node have seen events of, as far as they are known; not all of them have
	// to be there any more.
	Seen func(ring.PartitionID) []causal.Actor
	// HasHints says whether this node has hints for a partition.
	HasHints func(ring.PartitionID) bool
	// Unreadable is told of keys that cannot be read here. Nil is told nothing.
	Unreadable func(keys [][]byte)
	// Begin is told of the partitions that an exchange with a peer is about to begin with; what it returns, those of them that it made equal
	// on both sides, when it has ended. Nil is told nothing.
	Begin func(peer ring.NodeID, ps []ring.PartitionID) (completed func([]ring.PartitionID))
	// Now is the wall clock that expiry is judged by; nil is time.Now.
	Now func() time.Time
	// Logger takes what exchanges have to say; nil discards it.
	Logger *slog.Logger

	// Period is the time in which every partition is exchanged with every other replica of it. Zero is 10 minutes.
	Period time.Duration
	// Hurry is the time between two exchanges with a peer about partitions that are known to need repair. Zero is 1 s.
	Hurry time.Duration
	// BytesPerSecond bounds what exchanges send and receive, without what they answer. Zero is 32 MiB.
	BytesPerSecond int64
	// Timeout bounds one request. Zero is 10 s.
	Timeout time.Duration
	// CompareTries is how often partitions are compared whose trees are not there, or under another stable vector, and CompareWait the
	// time between two of them. Zero is 20 and 250 ms.
	CompareTries int
	CompareWait  time.Duration
	// ExpireMargin is how long what has expired is remembered as what it was: the clocks of nodes differ. Zero is 1 h.
	ExpireMargin time.Duration
}

func (o Options) withDefaults() Options {
	if o.Begin == nil {
		o.Begin = func(ring.NodeID, []ring.PartitionID) func([]ring.PartitionID) { return func([]ring.PartitionID) {} }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&o.Period, 10*time.Minute)
	orDefault(&o.Hurry, time.Second)
	orDefault(&o.BytesPerSecond, 32<<20)
	orDefault(&o.Timeout, 10*time.Second)
	orDefault(&o.CompareTries, 20)
	orDefault(&o.CompareWait, 250*time.Millisecond)
	orDefault(&o.ExpireMargin, time.Hour)
	return o
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) validate() error {
	switch {
	case o.Self == "" || o.Table == nil || o.Partition == nil || o.Peer == nil || o.Actors == nil || o.Seen == nil || o.HasHints == nil:
		return errors.New("antientropy: self, table, partition, peers, actors and hints are required")
	case o.WritesMin < 1 || o.WritesMin > o.Table.N():
		return errors.New("antientropy: WritesMin must be from 1 to the number of replicas")
	case o.Period < 0 || o.Hurry < 0 || o.BytesPerSecond < 0 || o.Timeout < 0 || o.CompareTries < 0 || o.CompareWait < 0 || o.ExpireMargin < 0:
		return errors.New("antientropy: times, rates and counts must be positive")
	}
	return nil
}

// Exchanger compares this node's partitions with the other replicas' and has both hold what either does. It is safe for concurrent
// use.
type Exchanger struct {
	opt     Options
	replica Replica
	trees   Trees
	limit   *rate.Limiter
	count   Counters
	peers   map[ring.NodeID]*peerState // never changes
	paused  atomic.Bool
	// expired are the times, in milliseconds, up to which what expires is deleted in each partition.
	expired []atomic.Int64

	mu sync.Mutex
	// last are the ends of the last complete exchanges, by partition and peer.
	last map[pairing]time.Time
	// moved is when peers have last asked for keys of a partition, to have both sides hold them.
	moved map[pairing]time.Time
	marks map[ring.PartitionID]*credit
	// filledFrom are the peers that each unfilled partition was exchanged with.
	filledFrom map[ring.PartitionID]map[ring.NodeID]bool
	// losses counts the calls of Lost.
	losses map[ring.PartitionID]int
	retire map[ring.PartitionID]map[causal.Actor]retirement
}

// pairing is a partition and another replica of it.
type pairing struct {
	p    ring.PartitionID
	peer ring.NodeID
}

// Counters count since the process began.
type Counters struct {
	// Exchanges were ended, ExchangesFailed of them with an error; Complete counts the partitions in them that are equal on both sides.
	Exchanges, ExchangesFailed, Complete atomic.Int64
	// Requests were sent, with their bytes and those of the answers; Served were answered.
	Requests, BytesSent, BytesReceived, Served atomic.Int64
	// KeysFetched and KeysPushed were moved.
	KeysFetched, KeysPushed atomic.Int64
	// Stable counts announcements of stable events, Retired the actors that were retired, Filled the partitions that were filled.
	Stable, Retired, Filled atomic.Int64
}

// New makes an exchanger; it starts nothing. Errors: what is wrong with the options.
func New(replica Replica, trees Trees, o Options) (*Exchanger, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	x := &Exchanger{
		opt: o, replica: replica, trees: trees,
		limit:      rate.NewLimiter(rate.Limit(o.BytesPerSecond), int(min(o.BytesPerSecond, 4<<20))),
		peers:      make(map[ring.NodeID]*peerState),
		expired:    make([]atomic.Int64, o.Table.PartitionCount()),
		last:       make(map[pairing]time.Time),
		moved:      make(map[pairing]time.Time),
		marks:      make(map[ring.PartitionID]*credit),
		filledFrom: make(map[ring.PartitionID]map[ring.NodeID]bool),
		losses:     make(map[ring.PartitionID]int),
		retire:     make(map[ring.PartitionID]map[causal.Actor]retirement),
	}
	for p := range ring.PartitionID(o.Table.PartitionCount()) {
		if !x.holds(o.Self, p) {
			continue
		}
		for _, id := range o.Table.Replicas(p) {
			if id == o.Self {
				continue
			}
			if x.peers[id] == nil {
				x.peers[id] = newPeerState()
			}
			x.peers[id].shared = append(x.peers[id].shared, p)
		}
	}
	return x, nil
}

// Counters are what was counted.
func (x *Exchanger) Counters() *Counters { return &x.count }

func (x *Exchanger) holds(id ring.NodeID, p ring.PartitionID) bool {
	for _, r := range x.opt.Table.Replicas(p) {
		if r == id {
			return true
		}
	}
	return false
}

func (x *Exchanger) partition(key []byte) ring.PartitionID { return x.opt.Partition(key) }

// wanted is the rule that a partition's tree is to be built under.
func (x *Exchanger) wanted(p ring.PartitionID) Rule {
	return Rule{Stable: x.replica.KnownStable(p), Expired: x.expired[p].Load()}
}

// WantTree has a partition's tree be built.
func (x *Exchanger) WantTree(p ring.PartitionID) { x.trees.Want(p, x.wanted(p)) }

// raiseExpired takes a time up to which what expires is deleted. What this node's clock has not come to is not believed.
func (x *Exchanger) raiseExpired(p ring.PartitionID, to int64) {
	if to > x.opt.Now().UnixMilli() {
		return
	}
	for was := x.expired[p].Load(); to > was && !x.expired[p].CompareAndSwap(was, to); was = x.expired[p].Load() {
	}
}

// expiredStep is how far apart two times are up to which what expires is deleted: trees are built anew for each.
const expiredStep = 10 * time.Minute

// raiseOwnExpired has what expired long ago count as deleted.
func (x *Exchanger) raiseOwnExpired(ps []ring.PartitionID) {
	to := x.opt.Now().Add(-x.opt.ExpireMargin).Truncate(expiredStep).UnixMilli()
	for _, p := range ps {
		x.raiseExpired(p, to)
	}
}

func (x *Exchanger) noteUnreadable(keys [][]byte) {
	if len(keys) > 0 && x.opt.Unreadable != nil {
		x.opt.Unreadable(keys)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
