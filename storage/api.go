package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

// SegmentID numbers a segment of the log; a greater one was created later.
type SegmentID uint64

// SyncPolicy says when a write is made durable.
type SyncPolicy uint8

const (
	// SyncAlways syncs every group of writes before it is acknowledged.
	SyncAlways SyncPolicy = iota
	// SyncInterval acknowledges a write once the operating system has it, and syncs every Options.SyncInterval.
	SyncInterval
	// SyncNever leaves syncing to the operating system, but for segment roll and Close.
	SyncNever
)

// Compression is how a merge compresses blocks. Each block says its own; one that gains nothing is stored as it is.
type Compression uint8

// The ways of compression. S2 and LZ4 are fast, zstd and gzip small.
const (
	CompressionNone = Compression(run.CodecNone)
	CompressionS2   = Compression(run.CodecS2)
	CompressionLZ4  = Compression(run.CodecLZ4)
	CompressionGzip = Compression(run.CodecGzip)
	CompressionZstd = Compression(run.CodecZstd)
)

func (c Compression) String() string { return run.Codec(c).String() }

// ParseCompression returns the compression of a name: none, s2, lz4, gzip or zstd.
func ParseCompression(name string) (Compression, error) {
	c, err := run.ParseCodec(name)
	return Compression(c), err
}

// Options are the settings of an engine. The zero value of every field is its default.
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS vfs.FS
	// Logger takes what recovery and background work have to say; nil discards it.
	Logger *slog.Logger
	// Sync is the sync policy; the default is SyncAlways.
	Sync SyncPolicy
	// SyncInterval is the time between syncs under the policy SyncInterval. Zero is 100 ms.
	SyncInterval time.Duration
	// SegmentBytesMax is the size at which the active segment is sealed. Zero is 256 MiB.
	SegmentBytesMax int64
	// KeyBytesMax and ValueBytesMax bound what a record may hold. Zero is 4 KiB and 16 MiB.
	KeyBytesMax   int
	ValueBytesMax int
	// BatchBytesMax bounds one atomic frame. Zero is 64 MiB.
	BatchBytesMax int
	// QueueBytesMax and QueueLenMax bound what waits for the writer; Submit blocks past either. Zero is 64 MiB and
	// 16,384.
	QueueBytesMax int64
	QueueLenMax   int
	// MapBytesMax bounds the bytes of files that are mapped into memory, but for the active segment, whose mapping may go over it, which is the fastest way to read them while they fit
	// into it; beyond it they are read by calls, which a page cache that is too small serves better. Zero is half of the
	// memory that the process may use (by the machine, its control group, GOMEMLIMIT). Negative maps nothing.
	MapBytesMax int64
	// OpenFilesMax bounds how many sealed segments and runs are open at once: what is read least is closed, and opened again when it is
	// read. The bound is passed by those that are being read at one moment where it is less, and does not count the active segment,
	// what background work writes, and as many again that were merged while a scan, a Verify, a Snapshot or a merge reads them. A file that is mapped is
	// read without being open. Zero is 1,024, or half of what the process may have open if that is less; negative is no bound.
	OpenFilesMax int
	// CacheBytes bounds the cache of blocks that are read by calls or are compressed. Zero is 32 MiB, or a sixteenth
	// of the memory if that is less; negative is no cache.
	CacheBytes int64
	// IndexBytesMax is what the keys that were not merged yet may take of the memory. A merge that makes room is begun at half of it
	// and is not held back past it, and past twice as much writes wait for the merge. A store that is opened with more gets rid of it at
	// the usual pace, and nothing waits before it has grown by as much again; each merge takes a bit of that room away. Zero is a sixteenth of the memory that the process may use.
	IndexBytesMax int64
	// Compression is how merges compress blocks; what was written before can be read under any setting. The default is none.
	Compression Compression
	// BlockBytes is the size of a merged block before compression. Zero is 4 KiB, or 16 KiB with compression.
	BlockBytes int
	// DeadRatioMax is the part of the sealed segments that may be dead before they are merged. Zero is 0.5.
	DeadRatioMax float64
	// SpaceAmpMax bounds the size of the merged part of the store as a multiple of what is live in it: where it may be larger, all
	// of it is merged. DeadRatioMax does the same for the log. Zero is 2.
	SpaceAmpMax float64
	// MergeBytesPerSecond bounds what merges in the background write, those of segments and those of runs each. Zero is 64 MiB, negative is no bound.
	// They write four times as much while there is next to nothing else to do, and as much as they can where writes outrun them. Of a store that is
	// larger than MapBytesMax a merge of segments writes a quarter of it while there are reads and next to no writes.
	MergeBytesPerSecond int64
	// IdleMergeAfter is how long nothing must have been written before what is in the log is merged, if it is 16 MiB or more: scans
	// are in order then, and the next Open has nothing to load. Zero is 1 s.
	IdleMergeAfter time.Duration
	// MergeDisabled has nothing merged in the background: what is dead stays until Merge is called.
	MergeDisabled bool
	// ScrubInterval is the time from the end of a scrub, which verifies all that is stored in the background, to the beginning of
	// the next one; it is kept across restarts. Nothing is scrubbed in the first minute after Open. Zero is 7 days, negative is no
	// scrubs.
	ScrubInterval time.Duration
	// ScrubBytesPerSecond bounds what a scrub reads. Zero is 4 MiB, negative is no bound.
	ScrubBytesPerSecond int64
	// ReserveBytes are left free on the disk: with less, writes are refused with ErrDiskFull, and a merge that needs no more
	// may make room. Zero is SegmentBytesMax, negative is none.
	ReserveBytes int64
	// ExpiresAt, unless nil, reads off a record's meta when the record expires, in nanoseconds since the epoch; zero is never. What
	// has expired is absent for every reader, and gone with the next merge of its file. It must be fast, always say the same,
	// and bear being called from many goroutines.
	ExpiresAt func(meta []byte) int64
	// Now is the clock for ExpiresAt and ScrubInterval. Nil is time.Now.
	Now func() time.Time
	// Filter, unless nil, is asked by merges for each record; true drops it. It must be fast, must not keep its arguments, and must
	// bear being called from several goroutines.
	// Where there is an Observer, that is told.
	Filter func(key, meta []byte) bool
	// Droppable, unless nil, says of about how many records Filter would say so now: where that is so of most of what is stored, merges are due
	// for it, though nothing more is written. It must be fast, must not call the engine, and must bear being called from several
	// goroutines.
	Droppable func() int64
	// Bucket, unless nil, is a number of a key, which many keys have, and by which ScanBuckets finds them: merges list what they write
	// by it, in some three bytes a record. BucketScheme tells the function and its parameters from all others, and is zero only if
	// Bucket is nil: what was listed by another one is not used. Bucket must be fast, always say the same, not keep its argument, and
	// bear being called from many goroutines.
	Bucket       func(key []byte) uint32
	BucketScheme uint64
	// KnownSeq is the number of a record that is known to have become durable in the directory, such as Stats.LastSeq after a
	// Close. Open then takes no damage up to there for a torn tail, and refuses a log that ends before it with a
	// *MissingError. Zero is none.
	KnownSeq uint64
	// Damaged, unless nil, is told of damage that is found while the engine is open, once for each place. It must not block or call the
	// engine.
	Damaged func(Damage)
	// Observer is told of every committed change, in log order, before the writes are acknowledged, by one goroutine at a time. It
	// must not block, keep what it is handed, or write. Nil observes nothing.
	Observer func([]Change)

	// showFrom is how many single changes a group must have to be shown before the index has absorbed them, for tests of it. Zero is
	// showFromDefault.
	showFrom int
	// freezeFrom is how many changes a mutation must have for readers not to wait for it, for tests of it. Zero is freezeFromDefault.
	freezeFrom int
	// mergeWalkEntries is how many entries of the index a merge looks at at a time, for tests of what goes on in between. Zero is
	// mergeWalkEntriesDefault.
	mergeWalkEntries int
	// yield is what work in the background calls to let others run, for tests. Nil is yield.Now,
	// where the processors are not busy.
	yield func()
}

// MetaBytesMax is the greatest length of a record's meta.
const MetaBytesMax = 255

// Change is one committed change of a key. A nil OldMeta or NewMeta means that the key was, or is now, absent.
type Change struct {
	Key, OldMeta, NewMeta []byte
	// OldUnknown says that what was there before cannot be read; OldMeta is nil then.
	OldUnknown bool
}

// Record is one stored key. Its slices alias buffers of the reader: see the method that hands it out.
type Record struct {
	Key, Meta, Value []byte
	// Seq is the log sequence number of the write.
	Seq uint64
	// Bytes is the size of Key, Meta and the stored value, which may not be in Value. With Range.KeysOnly, of a record that was not
	// merged yet, it may be up to 5 too many: to know more would take a read.
	Bytes int
}

func newRecord(key, meta, value []byte, seq uint64) Record {
	return Record{Key: key, Meta: meta, Value: value, Seq: seq, Bytes: len(key) + len(meta) + len(value)}
}

// State says what the engine knows of a key.
type State uint8

const (
	// Absent keys were never written, or deleted.
	Absent State = iota
	// Present keys have a record.
	Present
	// Unknown keys may have had a record, or a newer one, in a part of the log that can no longer be read.
	Unknown
)

// Current is what a Mutation decides upon.
type Current struct {
	State State
	Meta  []byte
	// Value is set only if HasValue is: a decision that needs it returns ErrNeedValues once.
	Value    []byte
	HasValue bool
}

// Mutation is one atomic read-decide-write on one or more keys, as Submit takes it. The engine calls Decide at least
// once (unless it turns read-only before), Decided at most once and Done exactly once, in this order. Decide and Decided run
// one at a time, under the writer's lock, on the goroutine that submits or on one of the engine: they must be short, must never
// block and must not call the engine. Done runs on either, too, perhaps before Submit returns: it must not block, nor take
// a lock that is held over Submit.
type Mutation interface {
	// Keys are the keys to decide upon, all different. Neither the slice nor the keys may change until Done.
	Keys() [][]byte
	// Decide looks at the current state of each key (cur[i] is that of Keys()[i]: what is published, overlaid with
	// what is decided but not yet published) and adds what is to be written to w, which copies it. It may be called
	// again, with w empty and newer states. Decisions run in log order. ErrNeedValues asks for the values of all keys
	// that are Present; any other error ends the mutation with that error and no effect. To add nothing is not an
	// error: Done then comes when all that the decision was based on is durable under the sync policy.
	Decide(cur []Current, w *Writes) error
	// Decided is called when the last decision stands, in log order, before it is written or synced.
	Decided()
	// Done is called with nil when the writes are durable under the sync policy and visible to readers.
	Done(err error)
}

// Errors. The effect on the store is in parentheses; every *IOError of a write has an unknown effect until the engine
// is opened again.
var (
	// ErrNotFound: the key is absent.
	ErrNotFound = errors.New("storage: key not found")
	// ErrClosed: the engine was closed (none).
	ErrClosed = errors.New("storage: engine is closed")
	// ErrReadOnly: an earlier write or sync failed; Engine.Err says why (none).
	ErrReadOnly = errors.New("storage: engine is read-only")
	// ErrDiskFull: less than Options.ReserveBytes are free (none). Writes are taken again once there is more.
	ErrDiskFull = errors.New("storage: disk is full")
	// ErrTooLarge: a key, meta, value or batch is over its limit (none).
	ErrTooLarge = errors.New("storage: too large")
	// ErrNoBuckets: there is no Options.Bucket (none).
	ErrNoBuckets = errors.New("storage: no buckets are set up")
	// ErrNeedValues is what Mutation.Decide returns to be called again with the values of all present keys.
	ErrNeedValues = errors.New("storage: decision needs the stored values")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("storage: data directory is in use")
	// ErrFormat: the directory is not ours, or was written in a format that this version does not read.
	ErrFormat = errors.New("storage: unsupported format")
)

// IOError is a failed operation on a file.
type IOError struct {
	Op, Path string
	Err      error
}

func (e *IOError) Error() string { return fmt.Sprintf("storage: %s %s: %v", e.Op, e.Path, e.Err) }
func (e *IOError) Unwrap() error { return e.Err }

// MissingError refuses a log that ends before Options.KnownSeq: its last segment, or the end of it, is gone. Nothing in the
// directory says so, for a log may end anywhere. The directory is left as it was: with what is missing put back, it opens.
type MissingError struct {
	// LastSeq is the number of the last record that is there, in Segment or one before it; both are zero if there is none.
	LastSeq, KnownSeq uint64
	Segment           SegmentID
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("storage: the log ends with record %d in segment %d, but record %d was durable: its last segment, or the end of it, is missing",
		e.LastSeq, e.Segment, e.KnownSeq)
}

// CorruptError is a stored record, or a part of the log, that fails its checksum or cannot be parsed: what it held is
// unknown.
type CorruptError struct {
	Segment SegmentID
	// File is the name of the run that is damaged, which stands for Segment and those before it; empty if it is the segment.
	File   string
	Offset int64
	Reason string
	// Ranged says that what was lost is known by its range only: every key from FirstKey on and before EndKey (nil: no bound)
	// that has no newer record is Unknown.
	Ranged           bool
	FirstKey, EndKey []byte
}

func (e *CorruptError) Error() string {
	if e.File != "" {
		return fmt.Sprintf("storage: run %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
	}
	return fmt.Sprintf("storage: segment %d is corrupt at offset %d: %s", e.Segment, e.Offset, e.Reason)
}
