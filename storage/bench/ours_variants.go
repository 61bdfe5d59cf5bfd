//go:build ours

package main

import (
	"github.com/ringcask/ringcask/storage"
)

// oursVariant is oursEngine with other settings.
type oursVariant struct {
	oursEngine
	set func(*storage.Options)
}

func init() {
	registerVariant("unmerged", func(o *storage.Options) { o.MergeDisabled = true })
	for _, c := range []storage.Compression{storage.CompressionS2, storage.CompressionLZ4, storage.CompressionGzip, storage.CompressionZstd} {
		registerVariant(c.String(), func(o *storage.Options) { o.Compression = c })
	}
	// The three of mergelatency have segments of the same size, so that what they differ in is merges. A merge of everything is
	// always due under "throttled"; under "fullspeed" it is the workload that calls for it.
	const segmentBytes = 1 << 20
	idle := func(o *storage.Options) { o.SegmentBytesMax, o.MergeDisabled = segmentBytes, true }
	registerVariant("idle", idle)
	registerVariant("fullspeed", idle)
	registerVariant("throttled", func(o *storage.Options) {
		o.SegmentBytesMax, o.DeadRatioMax, o.SpaceAmpMax = segmentBytes, 0.01, 1.01
	})
}

func registerVariant(name string, set func(*storage.Options)) {
	Register("ours-"+name, "github.com/ringcask/ringcask", func() Engine { return &oursVariant{set: set} })
}

func (o *oursVariant) Open(dir string, opt Options) (err error) {
	settings := storage.Options{Sync: storage.SyncNever, CacheBytes: opt.CacheBytes}
	if opt.Sync {
		settings.Sync = storage.SyncAlways
	}
	o.set(&settings)
	o.e, err = storage.Open(dir, settings)
	return err
}

// MergeState says whether a merge is under way, and how many were finished.
func (o *oursVariant) MergeState() (running bool, merges int64) {
	m := o.e.Stats().Merge
	return m.Running, m.Merges
}
