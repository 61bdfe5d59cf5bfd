package storage

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

// What the formats can express; Options cannot go past them.
const (
	keyBytesLimit     = 1<<16 - 1
	valueBytesLimit   = 1 << 30
	batchBytesLimit   = 1 << 30
	segmentBytesLimit = 2 << 30
	segmentBytesLeast = 4 << 10
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.SyncInterval = orDefault(o.SyncInterval, 100*time.Millisecond)
	o.SegmentBytesMax = orDefault(o.SegmentBytesMax, 256<<20)
	o.KeyBytesMax = orDefault(o.KeyBytesMax, 4<<10)
	o.ValueBytesMax = orDefault(o.ValueBytesMax, 16<<20)
	recordMax := recordBytesMax(o.KeyBytesMax, MetaBytesMax, o.ValueBytesMax)
	o.BatchBytesMax = orDefault(o.BatchBytesMax, max(64<<20, recordMax))
	o.QueueBytesMax = orDefault(o.QueueBytesMax, 64<<20)
	o.QueueLenMax = orDefault(o.QueueLenMax, 16384)
	o.MapBytesMax = orDefault(o.MapBytesMax, memoryBytes()/2)
	o.OpenFilesMax = orDefault(o.OpenFilesMax, max(min(1024, descriptorsMax()/2), 1))
	o.CacheBytes = orDefault(o.CacheBytes, min(32<<20, memoryBytes()/16))
	o.IndexBytesMax = orDefault(o.IndexBytesMax, memoryBytes()/16)
	o.DeadRatioMax = orDefault(o.DeadRatioMax, 0.5)
	o.SpaceAmpMax = orDefault(o.SpaceAmpMax, 2)
	o.IdleMergeAfter = orDefault(o.IdleMergeAfter, time.Second)
	o.MergeBytesPerSecond = orDefault(o.MergeBytesPerSecond, 64<<20)
	o.ScrubInterval = orDefault(o.ScrubInterval, 7*24*time.Hour)
	o.ScrubBytesPerSecond = orDefault(o.ScrubBytesPerSecond, 4<<20)
	o.ReserveBytes = orDefault(o.ReserveBytes, o.SegmentBytesMax)
	o.showFrom = orDefault(o.showFrom, showFromDefault)
	o.freezeFrom = orDefault(o.freezeFrom, freezeFromDefault)
	o.mergeWalkEntries = orDefault(o.mergeWalkEntries, mergeWalkEntriesDefault)
	if o.Now == nil {
		o.Now = time.Now
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

// Validate says which setting is out of bounds, if any. Open calls it after filling in the defaults.
func (o Options) Validate() error {
	o = o.withDefaults()
	recordMax := int64(recordBytesMax(o.KeyBytesMax, MetaBytesMax, o.ValueBytesMax))
	for _, c := range []struct {
		name               string
		value, least, most int64
	}{
		{"Sync", int64(o.Sync), 0, int64(SyncNever)},
		{"SyncInterval", int64(o.SyncInterval), 1, int64(time.Hour)},
		{"SegmentBytesMax", o.SegmentBytesMax, segmentBytesLeast, segmentBytesLimit},
		{"KeyBytesMax", int64(o.KeyBytesMax), 1, keyBytesLimit},
		{"ValueBytesMax", int64(o.ValueBytesMax), 1, valueBytesLimit},
		{"BatchBytesMax", int64(o.BatchBytesMax), recordMax, batchBytesLimit},
		{"Compression", int64(o.Compression), 0, int64(CompressionZstd)},
		{"BlockBytes", int64(orDefault(o.BlockBytes, run.BlockBytesLeast)), run.BlockBytesLeast, run.BlockBytesMost},
		{"IndexBytesMax", o.IndexBytesMax, 1, 1 << 50},
		{"DeadRatioMax", int64(o.DeadRatioMax * 100), 1, 100},
		{"SpaceAmpMax", int64(o.SpaceAmpMax * 100), 101, 1e6},
		{"IdleMergeAfter", int64(o.IdleMergeAfter), int64(time.Millisecond), int64(1000 * time.Hour)},
		{"QueueBytesMax", o.QueueBytesMax, 1, 1 << 40},
		{"QueueLenMax", int64(o.QueueLenMax), 1, 1 << 24},
	} {
		if c.value < c.least || c.value > c.most {
			return fmt.Errorf("storage: option %s is %d, must be from %d to %d", c.name, c.value, c.least, c.most)
		}
	}
	if (o.Bucket == nil) != (o.BucketScheme == 0) {
		return fmt.Errorf("storage: options Bucket and BucketScheme (%d) go together", o.BucketScheme)
	}
	return nil
}
