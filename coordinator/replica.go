package coordinator

import (
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// Item is a key and what a replica holds, or is to join, for it. Its vectors are always full.
type Item struct {
	Key    []byte
	Object causal.Object
}

// ReadState says what a replica knows of a key that it was asked for.
type ReadState uint8

const (
	// ReadKnown: the object is what the replica holds; the zero object if it holds nothing.
	ReadKnown ReadState = iota
	// ReadUnknown: the replica has lost what it held, or cannot vouch for it: it counts as no answer for this key.
	ReadUnknown
	// ReadOmitted: the keys before it filled the answer, and the replica did not look at it.
	ReadOmitted
)

// ReadItem is a replica's answer for one key.
type ReadItem struct {
	State  ReadState
	Object causal.Object
}

// ReadWant says how much of the objects a read wants.
type ReadWant uint8

const (
	// WantValues asks for whole objects.
	WantValues ReadWant = iota
	// WantHeads asks for objects whose siblings have no values (Value is nil): the index answers alone, without a disk
	// read.
	WantHeads
)

// StoreAck is a replica's word that it durably holds, or has seen superseded, every item of a Store.
type StoreAck struct {
	// Actor is the replica's actor when it gave its word. The ack is void if the replica has another one before the
	// write is acknowledged.
	Actor causal.Actor
}

// ScanRequest asks one replica for a sorted page of some partitions.
type ScanRequest struct {
	// Start is inclusive, End exclusive; an empty End is no bound. With Reverse keys come from End downwards.
	Start, End []byte
	Reverse    bool
	// Partitions are wanted; nil is every partition that the replica holds.
	Partitions []ring.PartitionID
	// HeadsOnly leaves the values out.
	HeadsOnly bool
	// ItemsMax and BytesMax bound the page, ScannedMax the records looked at; each at least 1. One item is always
	// allowed to pass BytesMax.
	ItemsMax, BytesMax, ScannedMax int
}

// ScanPage is one sorted page. Items whose objects show nothing (tombstones) are in it: they may supersede another
// replica's.
type ScanPage struct {
	Items []Item
	// Unknown are keys in the page's bounds that the replica cannot vouch for.
	Unknown [][]byte
	// More says that the page was cut short: Resume is where the next one starts (Start of a forward scan, End of a
	// reverse one).
	More   bool
	Resume []byte
}

// Replica is one copy of the partitions that a node holds, the local one and a peer's alike. Every call returns at
// once and calls done exactly once, perhaps before it returns, with the answer or an error (context.DeadlineExceeded
// when the deadline passed; *UnreachableError where the request never left). done must not block. Arguments belong to
// the callee until done was called and must not be changed after.
type Replica interface {
	// Store joins items into what the replica holds, as one atomic frame, and answers when that is durable.
	Store(deadline time.Time, items []Item, done func(StoreAck, error))
	// Read returns what the replica holds for each key, in the order of keys. It bounds the values of one answer: past
	// the bound, keys but the first are ReadOmitted.
	Read(deadline time.Time, keys [][]byte, want ReadWant, done func([]ReadItem, error))
	// Scan returns a page of what the replica holds.
	Scan(deadline time.Time, req ScanRequest, done func(*ScanPage, error))
}

// Health says whom to turn to first, and how soon to turn to another one. It never decides whether a request succeeds.
type Health struct {
	// Slow: it answers much later than others do, or has not answered for a moment.
	Slow bool
	// Reluctant: it would refuse to coordinate (draining, read-only, clock out of bounds), or others hold it for dead.
	Reluctant bool
	// Tail is how long a read of few keys usually takes at most, the way there and back; zero if that is not known.
	Tail time.Duration
}

// Peer is another node: a replica that can be asked to coordinate.
type Peer interface {
	Replica
	// Coordinate has the peer coordinate a write, which must be of keys that it is a replica of. It is never forwarded
	// again.
	Coordinate(deadline time.Time, req *WriteRequest, done func([]Outcome, error))
	// Hint has the peer keep items as copies for another node, the target, and answers when they are durable. The peer gives
	// its word for them as for a Store, and drops none of them before the target has it.
	Hint(deadline time.Time, target ring.NodeID, items []Item, done func(StoreAck, error))
	// Reachable is a hint: false when a request would most likely fail.
	Reachable() bool
	// Health is a hint, too: how a peer does that can be reached.
	Health() Health
	// Actor is the peer's actor as last heard of; zero if it was never heard of.
	Actor() causal.Actor
}

// Hints keeps what other replicas have missed, durably, until they have it.
type Hints interface {
	// Hint notes that target has not acknowledged items, whose keys are all different. It must not block, and calls done
	// once, perhaps before it returns: with nil when the hint is durable. Else the target gets the items by other means.
	// Items must not change.
	Hint(target ring.NodeID, items []Item, done func(error))
}

// Decision is one key's part of a write as the local replica is to decide it.
type Decision struct {
	Key       []byte
	Tombstone bool
	Value     []byte
	// ExpiresAt is in milliseconds since the Unix epoch; zero is never.
	ExpiresAt int64
	// Context is what the write has seen besides, when HasContext, else the write has seen all that the local replica
	// holds.
	Context    causal.Vector
	HasContext bool
}

// Decided is the outcome of one Decision.
type Decided struct {
	// Err is nil, ErrTooManySiblings, or ErrUnknownKey where the local replica has lost what it held; its key is then
	// left as it was.
	Err    error
	Dot    causal.Dot
	Object causal.Object
}

// Local is the node's own replica: the only one that issues dots.
type Local interface {
	Replica
	// Write decides every key in log order, issuing a dot for each, as one atomic frame. decided gets the new objects
	// in the order of ds, before they are durable, on a goroutine that must not be blocked; durable is called last and
	// exactly once. Where an error comes before decided was called the effect is none; after it, unknown. The deadline
	// is checked last before the dots are issued.
	Write(deadline time.Time, ds []Decision, decided func([]Decided), durable func(error))
	// Actor is the replica's present actor.
	Actor() causal.Actor
	// Serving is nil, or why this replica must not coordinate now (clock out of bounds, read-only, draining).
	Serving() error
}
