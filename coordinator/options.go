package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/ring"
)

// Topology is what the coordinator needs to know of a partition table. It is immutable: a request uses one from its
// beginning to its end. *ring.Table is one.
type Topology interface {
	// Partition is the partition of a key.
	Partition(key []byte) ring.PartitionID
	// Replicas are the N nodes that hold a partition, primary first. Shared: not to be changed.
	Replicas(p ring.PartitionID) []ring.NodeID
	// PartitionCount is the number of partitions.
	PartitionCount() int
	// N is the number of replicas of each partition.
	N() int
	// Preference is the replicas of a partition, and after them the nodes that stand in for them, in their order.
	Preference(p ring.PartitionID) []ring.NodeID
}

// Options are the settings of a Coordinator. Fields without a default are required.
type Options struct {
	// Self is this node; Local its own replica.
	Self  ring.NodeID
	Local Local
	// Peers is another node, or nil for this one and for nodes that are not known. It must not block.
	Peers func(ring.NodeID) Peer
	// Table is the present partition table. It must not block.
	Table func() Topology
	// Hints keeps what other replicas have missed of the writes that this node coordinates; nil keeps nothing.
	Hints Hints
	// Now is the wall clock that expiry is judged by; nil is time.Now. Deadlines always are by time.Now.
	Now func() time.Time
	// Logger takes what background repair has to say; nil discards it.
	Logger *slog.Logger
	// Metrics counts what happened; nil makes one of its own.
	Metrics *Metrics

	// R and W are what LevelDefault means; LevelDefault itself is LevelQuorum.
	R, W Level
	// Ordered makes every put ordered that has no context, unless its request says otherwise.
	Ordered bool
	// Sloppy lets fallback nodes stand in for replicas that cannot be reached, unless the request says otherwise: see
	// WriteRequest.Sloppy.
	Sloppy bool
	// Timeout is for requests that bring no deadline. Zero is 2 s. TimeoutMax bounds every deadline. Zero is 60 s.
	Timeout, TimeoutMax time.Duration
	// HedgeDelay is the longest that a read waits for the replicas it asked before it asks one more. Zero is 25 ms;
	// negative is never. HedgeDelayMin is the shortest; between the two the delay is twice what the slowest of those asked
	// takes in 99 of 100 cases. Zero is 5 ms, or HedgeDelay if that is less. With both equal the delay is fixed.
	HedgeDelay, HedgeDelayMin time.Duration

	// KeyBytesMax and ValueBytesMax bound a key and a value. Zero is 4 KiB and 16 MiB.
	KeyBytesMax, ValueBytesMax int
	// ContextEntriesMax bounds the entries of a write's causal context. Zero is 1,024.
	ContextEntriesMax int
	// BatchOpsMax and BatchBytesMax bound the keys of a write and their bytes with the values. Zero is 10,000 and 32
	// MiB.
	BatchOpsMax, BatchBytesMax int
	// ReadKeysMax bounds the keys of a read. Zero is 10,000. ReadBytesMax bounds the values of its results, but for the
	// last. Zero is 32 MiB.
	ReadKeysMax, ReadBytesMax int

	// RangeItemsMax and RangeBytesMax bound a page of a range, and are its size where the request says nothing. Zero
	// is 1,000 and 4 MiB. One item is always allowed to pass the bytes.
	RangeItemsMax, RangeBytesMax int
	// RangePassedMax bounds the keys that show nothing, above all tombstones, which one page passes over. Zero is
	// 10,000.
	RangePassedMax int
	// RangeRoundsMax bounds how often one page goes back to the replicas for more. Zero is 32.
	RangeRoundsMax int
	// ScanItemsMax, ScanBytesMax and ScanRecordsMax bound a page asked of one replica: its items, their bytes, and the
	// records that the replica looks at. Zero is 1,000, 1 MiB and 20,000. A range buffers at most one page of each
	// replica in its plan, and ScanBufferBytesMax (zero: 16 MiB) in all, but for one item each.
	ScanItemsMax, ScanBytesMax, ScanRecordsMax, ScanBufferBytesMax int

	// RepairQueueMax bounds the keys that wait for background repair; further ones are dropped and counted. Zero is
	// 4,096.
	RepairQueueMax int
	// RepairWorkers repair them. Zero is 2.
	RepairWorkers int
	// RepairTimeout bounds one background repair. Zero is 2 s.
	RepairTimeout time.Duration
}

// Metrics counts, from the start of the process.
type Metrics struct {
	// Forwards are write requests sent to a replica to coordinate; ForwardRetries those of them that were sent after
	// another replica had refused without effect.
	Forwards, ForwardRetries atomic.Int64
	// EarlyRefusals are keys refused because too few replicas were reachable, before anything was written.
	EarlyRefusals atomic.Int64
	// QuorumFailures are keys, and ranges, for which too few replicas answered.
	QuorumFailures atomic.Int64
	// VoidedAcks were given by a replica that had another actor when the write was to be acknowledged.
	VoidedAcks atomic.Int64
	// StandIns are keys sent to a fallback node because a replica could not be had.
	StandIns atomic.Int64
	// Hedges are spare replicas asked because others were slow.
	Hedges atomic.Int64
	// Repairs are keys stored on stale replicas before a read returned.
	Repairs atomic.Int64
	// BackgroundRepairs are keys repaired by Run, RepairsDropped those that found its queue full, RepairsFailed those
	// that it could not repair.
	BackgroundRepairs, RepairsDropped, RepairsFailed atomic.Int64
	// RangeReplans are replicas replaced in the middle of a range.
	RangeReplans atomic.Int64
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = new(Metrics)
	}
	orDefault(&o.R, LevelQuorum)
	orDefault(&o.W, LevelQuorum)
	orDefault(&o.Timeout, 2*time.Second)
	orDefault(&o.TimeoutMax, 60*time.Second)
	orDefault(&o.HedgeDelay, 25*time.Millisecond)
	orDefault(&o.HedgeDelayMin, max(0, min(5*time.Millisecond, o.HedgeDelay)))
	orDefault(&o.KeyBytesMax, 4<<10)
	orDefault(&o.ValueBytesMax, 16<<20)
	orDefault(&o.ContextEntriesMax, 1024)
	orDefault(&o.BatchOpsMax, 10_000)
	orDefault(&o.BatchBytesMax, 32<<20)
	orDefault(&o.ReadKeysMax, 10_000)
	orDefault(&o.ReadBytesMax, 32<<20)
	orDefault(&o.RangeItemsMax, 1000)
	orDefault(&o.RangeBytesMax, 4<<20)
	orDefault(&o.RangePassedMax, 10_000)
	orDefault(&o.RangeRoundsMax, 32)
	orDefault(&o.ScanItemsMax, 1000)
	orDefault(&o.ScanBytesMax, 1<<20)
	orDefault(&o.ScanRecordsMax, 20_000)
	orDefault(&o.ScanBufferBytesMax, 16<<20)
	orDefault(&o.RepairQueueMax, 4096)
	orDefault(&o.RepairWorkers, 2)
	orDefault(&o.RepairTimeout, 2*time.Second)
	return o
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate says what is wrong with the options, all at once.
func (o *Options) validate() error {
	var errs []error
	if o.Self == "" || o.Local == nil || o.Peers == nil || o.Table == nil {
		errs = append(errs, errors.New("coordinator: self, local replica, peers and table are required"))
	}
	if o.R < LevelAll || o.W < LevelAll {
		errs = append(errs, fmt.Errorf("coordinator: unknown level r=%d or w=%d", o.R, o.W))
	}
	if o.HedgeDelayMin < 0 || o.HedgeDelay >= 0 && o.HedgeDelayMin > o.HedgeDelay {
		errs = append(errs, errors.New("coordinator: the shortest hedge delay must be positive and at most the longest"))
	}
	if o.Timeout < 0 || o.TimeoutMax < o.Timeout || o.RepairTimeout < 0 {
		errs = append(errs, errors.New("coordinator: timeouts must be positive and the default at most the greatest"))
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"KeyBytesMax", o.KeyBytesMax}, {"ValueBytesMax", o.ValueBytesMax}, {"ContextEntriesMax", o.ContextEntriesMax},
		{"BatchOpsMax", o.BatchOpsMax}, {"BatchBytesMax", o.BatchBytesMax}, {"ReadKeysMax", o.ReadKeysMax},
		{"ReadBytesMax", o.ReadBytesMax},
		{"RangeItemsMax", o.RangeItemsMax}, {"RangeBytesMax", o.RangeBytesMax}, {"RangePassedMax", o.RangePassedMax},
		{"RangeRoundsMax", o.RangeRoundsMax}, {"ScanItemsMax", o.ScanItemsMax}, {"ScanBytesMax", o.ScanBytesMax},
		{"ScanRecordsMax", o.ScanRecordsMax}, {"ScanBufferBytesMax", o.ScanBufferBytesMax},
		{"RepairQueueMax", o.RepairQueueMax}, {"RepairWorkers", o.RepairWorkers},
	} {
		if limit.value < 1 {
			errs = append(errs, fmt.Errorf("coordinator: %s must be at least 1, is %d", limit.name, limit.value))
		}
	}
	return errors.Join(errs...)
}
