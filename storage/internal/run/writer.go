package run

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ringcask/ringcask/storage/vfs"
)

const (
	blockBytesDefault           = 4 << 10
	blockBytesDefaultCompressed = 16 << 10
	// BlockBytesLeast and BlockBytesMost bound WriterOptions.BlockBytes.
	BlockBytesLeast = 128
	BlockBytesMost  = 256 << 10

	// outBytes is how much is written at a time.
	outBytes = 512 << 10
	// hashesChunk is how many hashes are allocated at a time.
	hashesChunk = 64 << 10
)

// WriterOptions are choices of how to write a run. The zero value is good.
type WriterOptions struct {
	// Codec compresses blocks; one that would not shrink by a sixteenth is stored as it is. Default: none.
	Codec Codec
	// BlockBytes is the size that blocks do not exceed before compression, but for a larger record, which has one alone. From
	// BlockBytesLeast to BlockBytesMost; zero is 4 KiB, or 16 KiB with a codec.
	BlockBytes int
	// FilterBitsPerKey is the size of the filter, at most 64. Zero is 10, for about 1 % false positives; negative is no filter.
	FilterBitsPerKey int
	// RecordsMax is how many records there will be at most, for which the filter is made at once and in the end cut down to what
	// there were. Zero is not known: then each record takes 8 bytes of memory until Finish.
	RecordsMax uint64
	// Buckets has the run list its records by bucket, for which the writer takes up to 12 MiB more. Nil is no list.
	Buckets *Buckets
	// bucketPartPairs is the constant of this name, smaller in tests.
	bucketPartPairs int
}

func (o WriterOptions) withDefaults() WriterOptions {
	if o.BlockBytes == 0 {
		o.BlockBytes = blockBytesDefault
		if o.Codec != CodecNone {
			o.BlockBytes = blockBytesDefaultCompressed
		}
	}
	if o.FilterBitsPerKey == 0 {
		o.FilterBitsPerKey = filterBitsDefault
	}
	if o.bucketPartPairs == 0 {
		o.bucketPartPairs = bucketPartPairs
	}
	return o
}

func (o WriterOptions) validate() error {
	switch {
	case o.BlockBytes < BlockBytesLeast || o.BlockBytes > BlockBytesMost:
		return fmt.Errorf("BlockBytes %d is not in [%d, %d]", o.BlockBytes, BlockBytesLeast, BlockBytesMost)
	case o.FilterBitsPerKey > filterBitsMax:
		return fmt.Errorf("FilterBitsPerKey %d is above %d", o.FilterBitsPerKey, filterBitsMax)
	}
	return nil
}

// Writer writes a run. One goroutine may use it at a time.
//
// It holds the block under way, half a MiB of output, for each record eight bytes until Finish, and the sparse index.
type Writer struct {
	f       vfs.File
	o       WriterOptions
	info    Info
	sum     sum
	z       *compressor
	block   blockBuilder
	index   indexBuilder
	hashes  [][]uint64
	filter  *filter // of RecordsMax
	buckets *bucketWriter
	last    []byte
	dir     []byte
	out     []byte
	written int64
	// err is why the file is useless.
	err error
}

var errFinished = errors.New("run is finished")

// NewWriter begins a run in f, which must be empty and stays the caller's. Of info it takes Engine, First, Last,
// FirstSeq, NextSeq and LostSeq. An error says what of the arguments is wrong.
func NewWriter(f vfs.File, info Info, o WriterOptions) (*Writer, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("run writer: %w", err)
	}
	if info.First > info.Last || info.FirstSeq > info.NextSeq {
		return nil, fmt.Errorf("run writer: segments [%d, %d], sequence numbers [%d, %d)",
			info.First, info.Last, info.FirstSeq, info.NextSeq)
	}
	z, err := newCompressor(o.Codec)
	if err != nil {
		return nil, fmt.Errorf("run writer: %w", err)
	}
	w := &Writer{f: f, o: o, z: z, out: make([]byte, 0, outBytes)}
	if o.RecordsMax > 0 && o.FilterBitsPerKey > 0 {
		w.filter = newFoldableFilter(o.RecordsMax, o.FilterBitsPerKey)
	}
	w.info = Info{
		Engine: info.Engine, First: info.First, Last: info.Last,
		FirstSeq: info.FirstSeq, NextSeq: info.NextSeq, LostSeq: info.LostSeq,
	}
	w.sum = newSum(&w.info)
	if o.Buckets != nil {
		w.buckets = &bucketWriter{o: o.Buckets, partPairs: o.bucketPartPairs}
	}
	w.out = append(w.out, encodeHeader(&w.info, w.version())...)
	return w, nil
}

func (w *Writer) version() uint16 {
	if w.buckets != nil {
		return formatBuckets
	}
	return formatBlocks
}

// Add appends a record and copies it. Its key must be above that of the record before. Errors: ErrRecord and ErrFull,
// wrapped, with no effect; any other is one of writing the file, which is then useless, as every later call says.
func (w *Writer) Add(rec *Record) error {
	if w.err != nil {
		return w.err
	}
	if err := rec.check(&w.info); err != nil {
		return err
	}
	if w.info.Records > 0 && bytes.Compare(w.last, rec.Key) >= 0 {
		return fmt.Errorf("%w: key %.64q after %.64q", ErrRecord, rec.Key, w.last)
	}
	if len(w.index.seps)+len(rec.Key) > indexBytesMax || len(w.index.ends) == math.MaxUint32 {
		return ErrFull
	}
	b := &w.block
	grown := blockHeadBytes + rawBytes(len(b.slots)+1, len(b.records)+rec.size(w.info.FirstSeq))
	if len(b.slots) > 0 && grown > w.o.BlockBytes {
		if err := w.endBlock(); err != nil {
			return err
		}
	}
	w.append(rec)
	if w.buckets != nil {
		if err := w.buckets.add(rec.Key, w.info.Blocks); err != nil {
			w.err = fmt.Errorf("write run: %w", err)
		}
	}
	return w.err
}

// append adds the record to the block under way, and to all that counts it.
func (w *Writer) append(rec *Record) {
	b := &w.block
	if len(b.slots) == 0 {
		sep := rec.Key
		if w.info.Records > 0 {
			sep = sep[:separatorBytes(w.last, rec.Key)]
		}
		w.index.begin(sep)
	}
	start := len(b.records)
	b.records = rec.append(b.records, w.info.FirstSeq)
	encoded := b.records[start:]
	binary.LittleEndian.PutUint32(encoded, w.sum.ofRecord(w.offset(), len(b.slots), encoded[4:]))
	hash := Hash(rec.Key)
	b.slots = append(b.slots, uint32(start))
	b.fingerprints = append(b.fingerprints, fingerprintOf(hash))
	w.keepHash(hash)
	w.last = append(w.last[:0], rec.Key...)
	w.info.Records++
	switch rec.Flags {
	case FlagTombstone:
		w.info.Tombstones++
	case FlagUnreadable:
		w.info.Unreadables++
	default:
		w.info.LiveBytes += uint64(len(rec.Key) + len(rec.Meta) + len(rec.Value))
	}
}

// keepHash keeps a hash for the filter, whose size is not known before the end.
func (w *Writer) keepHash(hash uint64) {
	switch {
	case w.o.FilterBitsPerKey < 0:
		return
	case w.filter != nil:
		w.filter.add(hash)
		return
	}
	n := len(w.hashes)
	if n == 0 || len(w.hashes[n-1]) == hashesChunk {
		w.hashes = append(w.hashes, make([]uint64, 0, hashesChunk))
		n++
	}
	w.hashes[n-1] = append(w.hashes[n-1], hash)
}

// Size is how many bytes the run has so far, without the index and the filter, with what is not yet written.
func (w *Writer) Size() int64 {
	n := w.offset()
	if len(w.block.slots) > 0 {
		n += int64(blockHeadBytes + w.block.rawBytes())
	}
	return n
}

// offset is where the block under way will stand.
func (w *Writer) offset() int64 { return w.written + int64(len(w.out)) }

// endBlock puts the block under way out and leaves an empty one.
func (w *Writer) endBlock() error {
	b := &w.block
	codec, rawBytes := CodecNone, b.rawBytes()
	w.dir = b.appendDirectory(w.dir[:0])
	parts := [2][]byte{w.dir, b.records}
	if w.o.Codec != CodecNone && rawBytes <= compressBytesMax {
		w.dir = append(w.dir, b.records...)
		parts = [2][]byte{w.dir}
		if z, ok := w.z.compress(w.dir); ok {
			codec, parts = w.o.Codec, [2][]byte{z}
		}
	}
	var head [blockHeadBytes]byte
	stored := len(parts[0]) + len(parts[1])
	head[4] = byte(codec)
	binary.LittleEndian.PutUint32(head[5:], uint32(stored))
	binary.LittleEndian.PutUint32(head[9:], uint32(rawBytes))
	binary.LittleEndian.PutUint32(head[:], w.sum.of(w.offset(), head[4:], parts[0], parts[1]))
	w.index.end(blockHeadBytes + stored)
	w.info.Blocks++
	err := errors.Join(w.emit(head[:]), w.emit(parts[0]), w.emit(parts[1]))
	if cap(w.dir) > outBytes {
		w.dir = nil
	}
	b.reset()
	return err
}

// emit appends to the file.
func (w *Writer) emit(b []byte) error {
	if len(w.out)+len(b) > cap(w.out) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(b) < cap(w.out) {
		w.out = append(w.out, b...)
		return nil
	}
	return w.writeAt(b)
}

func (w *Writer) flush() error {
	if err := w.writeAt(w.out); err != nil {
		return err
	}
	w.out = w.out[:0]
	return nil
}

func (w *Writer) writeAt(b []byte) error {
	if w.err != nil {
		return w.err
	}
	if _, err := w.f.WriteAt(b, w.written); err != nil {
		w.err = fmt.Errorf("write run: %w", err)
		return w.err
	}
	w.written += int64(len(b))
	return nil
}

// Finish writes what is still missing and returns what the run holds and its size in bytes. The run is complete but not
// durable: Sync, Close and Rename are the caller's. Nothing can be added afterwards. An error is one of writing the file.
func (w *Writer) Finish() (Info, int64, error) {
	if w.err != nil {
		return Info{}, 0, w.err
	}
	if len(w.block.slots) > 0 {
		if err := w.endBlock(); err != nil {
			return Info{}, 0, err
		}
	}
	t := trailer{version: w.version(), indexAt: w.offset()}
	section := w.index.encode()
	t.indexBytes, t.indexChecksum = int64(len(section)), w.sum.of(t.indexAt, section)
	if err := w.emit(section); err != nil {
		return Info{}, 0, err
	}
	filter := w.finishFilter()
	var err error
	if t.filterChecksum, err = filter.encode(w.sum, t.filterAt(), w.emit); err != nil {
		return Info{}, 0, err
	}
	t.probes, t.filterBytes = filter.probes, int64(len(filter.words)*8)
	w.info.FilterBits = uint64(t.filterBytes) * 8
	if w.buckets != nil {
		if err := w.buckets.finish(w.sum, w.offset(), w.emit); err != nil {
			return Info{}, 0, err
		}
	}
	t.info, t.fileBytes = w.info, w.offset()+trailerBytes
	if err := errors.Join(w.emit(t.encode(w.sum)), w.flush()); err != nil {
		return Info{}, 0, err
	}
	w.err, w.hashes, w.filter, w.buckets, w.out = errFinished, nil, nil, nil, nil
	return w.info, t.fileBytes, nil
}

func (w *Writer) finishFilter() *filter {
	if w.filter != nil && w.info.Records > 0 {
		w.filter.fold(w.info.Records, w.o.FilterBitsPerKey)
		return w.filter
	}
	filter := newFilter(w.info.Records, w.o.FilterBitsPerKey)
	for _, chunk := range w.hashes {
		for _, hash := range chunk {
			filter.add(hash)
		}
	}
	return filter
}
