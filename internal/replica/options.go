package replica

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
)

// Options are the settings of a replica.
type Options struct {
	// Node is this node; it must be a member of Table. Required.
	Node ring.NodeID
	// Table is who holds what. Its settings and members must be those that the data directory was made with. Required.
	Table *ring.Table
	// SiblingsMax is the number of siblings that a write may leave under a key; joins may leave more. Zero is 64.
	SiblingsMax int
	// ValueBytesMax is the size of the greatest value that a client may write. Zero is 16 MiB. A write may leave siblings of twice
	// that size together under a key; joins may leave more.
	ValueBytesMax int
	// ReadBytesMax bounds the values that one Read answers with, but for the last: further keys are omitted. Zero is 32 MiB.
	ReadBytesMax int
	// QueueLenMax and QueueBytesMax bound the writes under way, and again the stores: past either the caller gets
	// coordinator.ErrOverloaded. Zero is 65,536 and 256 MiB. What is under way holds its memory anyhow: its caller owns it.
	QueueLenMax   int
	QueueBytesMax int64
	// Storage are the engine's settings, its file system and its sync policy among them. ValueBytesMax and BatchBytesMax
	// are set here, so that every join fits; KnownSeq from the identity; QueueLenMax and QueueBytesMax, so that the engine's queue is never full and
	// nobody waits for room in it.
	Storage storage.Options
	// NewCluster says that nobody has stored anything yet: a data directory that is made has lost nothing, and all of its partitions are
	// filled.
	NewCluster bool
	// Now is the physical clock that timestamps are taken from; nil is time.Now. Deadlines always are by time.Now.
	Now func() time.Time
	// Clock are the settings of the hybrid logical clock; Now, Ceiling and Persist are set here.
	Clock causal.ClockOptions
	// Random is where actors and boot ids are drawn from; nil is crypto/rand.Reader.
	Random io.Reader
	// Logger is told what opening and closing found; nil discards it.
	Logger *slog.Logger
}

// siblingsValuesMax is how many times the greatest value the siblings that a write leaves under a key may hold together.
const siblingsValuesMax = 2

func (o Options) withDefaults() Options {
	if o.SiblingsMax == 0 {
		o.SiblingsMax = 64
	}
	if o.ValueBytesMax == 0 {
		o.ValueBytesMax = 16 << 20
	}
	if o.ReadBytesMax == 0 {
		o.ReadBytesMax = 32 << 20
	}
	if o.QueueLenMax == 0 {
		o.QueueLenMax = 1 << 16
	}
	if o.QueueBytesMax == 0 {
		o.QueueBytesMax = 256 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Storage.FS == nil {
		o.Storage.FS = vfs.OS{}
	}
	if o.Storage.Logger == nil {
		o.Storage.Logger = o.Logger
	}
	return o
}

// Validate says what is wrong with the options; nil if nothing is.
func (o Options) Validate() error {
	switch {
	case o.Table == nil:
		return errors.New("replica: no partition table")
	case !o.Table.Has(o.Node):
		return fmt.Errorf("replica: node %q is not a member of the partition table", o.Node)
	case o.QueueLenMax < 1 || o.QueueLenMax > queueLenLimit || o.QueueBytesMax < 1 || o.QueueBytesMax > queueBytesLimit:
		return fmt.Errorf("replica: options QueueLenMax and QueueBytesMax are %d and %d, must be from 1 to %d and %d",
			o.QueueLenMax, o.QueueBytesMax, queueLenLimit, queueBytesLimit)
	case o.ReadBytesMax < 1:
		return fmt.Errorf("replica: option ReadBytesMax is %d, must be at least 1", o.ReadBytesMax)
	case o.SiblingsMax < 1:
		return fmt.Errorf("replica: option SiblingsMax is %d, must be at least 1", o.SiblingsMax)
	case o.ValueBytesMax < 1 || o.joinBytesMax() > joinBytesLimit:
		return fmt.Errorf("replica: option ValueBytesMax is %d, must be from 1 to %d",
			o.ValueBytesMax, joinBytesLimit/(siblingsValuesMax*max(o.Table.N(), 2)))
	}
	return nil
}

// headsBytesMax is room for the dots and vectors of an object where they do not fit into its meta, and for a record's frame.
const headsBytesMax = 1 << 20

// joinBytesLimit is what a join may take at most: with its heads it fits into one frame of the engine.
const joinBytesLimit = 1<<30 - 4*headsBytesMax

// joinBytesMax is room for the join of what each of the N replicas may have been left with by writes.
func (o Options) joinBytesMax() int { return siblingsValuesMax * o.ValueBytesMax * max(o.Table.N(), 2) }

func (o Options) engine() storage.Options {
	s := o.Storage
	s.ValueBytesMax = o.joinBytesMax() + headsBytesMax
	s.BatchBytesMax = max(s.BatchBytesMax, 64<<20, s.ValueBytesMax+headsBytesMax)
	s.QueueLenMax, s.QueueBytesMax = engineQueueLenMax, engineQueueBytesMax
	return s
}

// The engine's queue is as long as the engine allows, and the budgets of writes and stores together stay below it,
// even where each has let in one mutation that is over its bound.
const (
	engineQueueLenMax   = 1 << 24
	engineQueueBytesMax = 1 << 40
	queueLenLimit       = engineQueueLenMax/2 - 1
	queueBytesLimit     = engineQueueBytesMax / 4
)
