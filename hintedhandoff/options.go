package hintedhandoff

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Item is a key and what a target is to join for it. The object's vector is full.
type Item struct {
	Key    []byte
	Object causal.Object
}

// Pair is a partition of a target.
type Pair struct {
	Target    ring.NodeID
	Partition ring.PartitionID
}

// Options are the settings of a Store. The zero value of every field that is not required is its default.
type Options struct {
	// Partition is the partition of a key, always the same. Required.
	Partition func(key []byte) ring.PartitionID
	// Send has target join items, whose keys are all different, and calls done once: with nil when that is durable there. An error says nothing of what was done; one that wraps ErrUndeliverable,
	// that sending again is in vain. It
	// must not block and may call done before it returns; done does not block. The items belong to it until done was called. What is not answered
	// a second after its deadline counts as failed. Required.
	Send func(deadline time.Time, target ring.NodeID, items []Item, done func(error))
	// Up says whether a target can most likely be reached. It must not block. Nil says that all can.
	Up func(target ring.NodeID) bool
	// Repair is told of each partition that has come to need repair, or does so again after Needs was asked. It must not block, and not call the Store; Open
	// may call it already.
	Repair func(target ring.NodeID, partition ring.PartitionID)
	// Shared are the partitions that this node shares with others: what needs repair where damage took hints and does not say which.
	// Nil is none: then such damage is only logged.
	Shared func() []Pair

	// BytesMax bounds what hints hold, with their keys and heads. Zero is 1 GiB.
	BytesMax int64
	// AgeMax is how old an uncounted hint may get. Zero is 3 h.
	AgeMax time.Duration
	// AddItemsMax and AddBytesMax bound the hints that are being added; past either an Add fails with ErrOverloaded, unless it is the only
	// one. Zero is 65,536 and 64 MiB.
	AddItemsMax int
	AddBytesMax int64
	// KeyBytesMax and ObjectBytesMax bound one hint's key and its encoded object: at least what a replica may be sent. Zero is 4 KiB and
	// 128 MiB.
	KeyBytesMax, ObjectBytesMax int

	// PollInterval is how often it is looked whether a target is back. Zero is 500 ms.
	PollInterval time.Duration
	// BatchItemsMax and BatchBytesMax bound what is sent at once; one hint may always pass the bytes. Zero is 256 and 1 MiB.
	BatchItemsMax, BatchBytesMax int
	// BatchesInFlightMax bounds the batches that are under way to one target. Zero is 4.
	BatchesInFlightMax int
	// BytesPerSecond bounds what is sent to all targets together. Zero is 16 MiB, negative is no bound.
	BytesPerSecond int64
	// SendTimeout is the time from sending a batch to its deadline. Zero is 5 s.
	SendTimeout time.Duration
	// BackoffMin is the pause after a failed batch, which doubles with each further one up to BackoffMax. Zero is 20 ms and 2 s.
	BackoffMin, BackoffMax time.Duration
	// PoisonMin is how long a hint is left out that its target has refused alone, which doubles each time up to PoisonMax. Zero is 5 s
	// and 5 min.
	PoisonMin, PoisonMax time.Duration
	// PoisonedMax bounds the hints of one target that are left out; a target that refuses more is let be for BackoffMax. Zero is 1,024.
	PoisonedMax int

	// Storage are the engine's settings, its file system and its sync policy among them. KeyBytesMax, ValueBytesMax, BatchBytesMax and the queue's
	// bounds are set here. Others have defaults of their own: SegmentBytesMax 64 MiB, IndexBytesMax 32 MiB, CacheBytes 4 MiB, MapBytesMax 64 MiB, and
	// ReserveBytes 512 MiB, so that on a disk that gets full hints give way before the replica's writes do.
	Storage storage.Options
	// Now is the clock that ages are judged by; nil is time.Now. Everything else goes by package time.
	Now func() time.Time
	// Logger is told of what was lost and what keeps failing; nil discards it.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.BytesMax = orDefault(o.BytesMax, 1<<30)
	o.AgeMax = orDefault(o.AgeMax, 3*time.Hour)
	o.AddItemsMax = orDefault(o.AddItemsMax, 1<<16)
	o.AddBytesMax = orDefault(o.AddBytesMax, 64<<20)
	o.KeyBytesMax = orDefault(o.KeyBytesMax, 4<<10)
	o.ObjectBytesMax = orDefault(o.ObjectBytesMax, 128<<20)
	o.PollInterval = orDefault(o.PollInterval, 500*time.Millisecond)
	o.BatchItemsMax = orDefault(o.BatchItemsMax, 256)
	o.BatchBytesMax = orDefault(o.BatchBytesMax, 1<<20)
	o.BatchesInFlightMax = orDefault(o.BatchesInFlightMax, 4)
	o.BytesPerSecond = orDefault(o.BytesPerSecond, 16<<20)
	o.SendTimeout = orDefault(o.SendTimeout, 5*time.Second)
	o.BackoffMin = orDefault(o.BackoffMin, 20*time.Millisecond)
	o.BackoffMax = orDefault(o.BackoffMax, 2*time.Second)
	o.PoisonMin = orDefault(o.PoisonMin, 5*time.Second)
	o.PoisonMax = orDefault(o.PoisonMax, 5*time.Minute)
	o.PoisonedMax = orDefault(o.PoisonedMax, 1024)
	o.Storage.SegmentBytesMax = orDefault(o.Storage.SegmentBytesMax, 64<<20)
	o.Storage.IndexBytesMax = orDefault(o.Storage.IndexBytesMax, 32<<20)
	o.Storage.CacheBytes = orDefault(o.Storage.CacheBytes, 4<<20)
	o.Storage.MapBytesMax = orDefault(o.Storage.MapBytesMax, 64<<20)
	o.Storage.ReserveBytes = orDefault(o.Storage.ReserveBytes, 512<<20)
	if o.Up == nil {
		o.Up = func(ring.NodeID) bool { return true }
	}
	if o.Repair == nil {
		o.Repair = func(ring.NodeID, ring.PartitionID) {}
	}
	if o.Shared == nil {
		o.Shared = func() []Pair { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Storage.Logger == nil {
		o.Storage.Logger = o.Logger
	}
	return o
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Validate says which setting is missing or out of bounds, if any. Open calls it after filling in the defaults.
func (o Options) Validate() error {
	if o.Partition == nil || o.Send == nil {
		return errors.New("hintedhandoff: options Partition and Send are required")
	}
	o = o.withDefaults()
	for _, c := range []struct {
		name               string
		value, least, most int64
	}{
		{"BytesMax", o.BytesMax, 1, 1 << 50},
		{"AgeMax", int64(o.AgeMax), int64(time.Second), int64(10000 * time.Hour)},
		{"AddItemsMax", int64(o.AddItemsMax), 1, engineQueueLenMax / 4},
		{"AddBytesMax", o.AddBytesMax, 1, engineQueueBytesMax / 4},
		{"KeyBytesMax", int64(o.KeyBytesMax), 1, keyBytesLimit},
		{"ObjectBytesMax", int64(o.ObjectBytesMax), 1, objectBytesLimit},
		{"PollInterval", int64(o.PollInterval), int64(time.Millisecond), int64(time.Hour)},
		{"BatchItemsMax", int64(o.BatchItemsMax), 1, 1 << 16},
		{"BatchBytesMax", int64(o.BatchBytesMax), 1, objectBytesLimit},
		{"BatchesInFlightMax", int64(o.BatchesInFlightMax), 1, 1 << 10},
		{"SendTimeout", int64(o.SendTimeout), int64(time.Millisecond), int64(time.Hour)},
		{"BackoffMin", int64(o.BackoffMin), 1, int64(o.BackoffMax)},
		{"BackoffMax", int64(o.BackoffMax), 1, int64(time.Hour)},
		{"PoisonMin", int64(o.PoisonMin), 1, int64(o.PoisonMax)},
		{"PoisonMax", int64(o.PoisonMax), 1, int64(1000 * time.Hour)},
		{"PoisonedMax", int64(o.PoisonedMax), 1, 1 << 20},
	} {
		if c.value < c.least || c.value > c.most {
			return fmt.Errorf("hintedhandoff: option %s is %d, must be from %d to %d", c.name, c.value, c.least, c.most)
		}
	}
	return o.engine().Validate()
}

// The engine's queue is as long as the engine allows, and what is being added and removed stays below it: nobody waits for room in it.
const (
	engineQueueLenMax   = 1 << 24
	engineQueueBytesMax = 1 << 40
	// frameBytesMax is room for a record's frame, and for the records of needs beside it.
	frameBytesMax = 1 << 20
	// keyBytesLimit and objectBytesLimit keep a hint within what the engine's formats can express.
	keyBytesLimit    = 1<<16 - 1 - hintKeyBytesMax
	objectBytesLimit = 1<<30 - 2*frameBytesMax
)

// engine is the engine's part of options that have their defaults.
func (o Options) engine() storage.Options {
	s := o.Storage
	s.KeyBytesMax = o.KeyBytesMax + hintKeyBytesMax
	s.ValueBytesMax = o.ObjectBytesMax
	s.BatchBytesMax = max(64<<20, o.ObjectBytesMax+frameBytesMax)
	s.QueueLenMax, s.QueueBytesMax = engineQueueLenMax, engineQueueBytesMax
	return s
}
