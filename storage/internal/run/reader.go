package run

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/vfs"
)

// Cache keeps the raw content of blocks, by the reader's FileID and the block's offset. What goes in is never changed
// again, and what comes out must not be. It may forget at will. It must be safe for concurrent use where the readers
// are used so.
type Cache interface {
	Get(file, offset uint64) ([]byte, bool)
	Put(file, offset uint64, block []byte)
}

// cachedBytesMax is the largest block that is put into a cache.
const cachedBytesMax = BlockBytesMost

// ReaderOptions are choices of how to read a run. The zero value reads with ReadAt, without a cache.
type ReaderOptions struct {
	// Mapped is the whole file, mapped for reading, or nil to use ReadAt. It must stay mapped while the reader, or a record
	// that it gave out, is in use.
	Mapped []byte
	// Cache is for blocks that are read or decompressed; nil is none. Blocks that are mapped and not compressed need none.
	Cache Cache
	// FileID tells the file from all others in the Cache.
	FileID uint64
}

// Reader reads a run. It has the sparse index and the filter in memory. Any number of goroutines may use it at once. It
// does not own the file and needs no closing.
type Reader struct {
	f       vfs.File
	path    string
	mapped  []byte
	cache   Cache
	fileID  uint64
	sum     sum
	trailer trailer
	index   *index
	filter  filter
	// buckets is nil where there is no bucket section, or one that is damaged: then bucketDamage says so.
	buckets      *bucketIndex
	bucketDamage *DamageError
	// condemned has the blocks that were found to be damaged, and why; anyCondemned says that there are some.
	condemned    sync.Map
	anyCondemned atomic.Bool
}

// Buffer is room that Get and iterators reuse. The zero value is ready; it keeps the size of the largest block that
// it was used for. One goroutine may use it at a time.
type Buffer struct{ stored, raw []byte }

// Open reads the header, the trailer, the index, the filter and the bucket section's directory of the run in f, which has the path for its errors. The
// file must not change, and must stay open while the reader is in use.
//
// Errors: one that wraps ErrFormat if the file is a run of another version or engine; *DamageError, which is an ErrDamaged, if something of what Open
// reads is not as it was written, the bucket section aside; those of reading. What has nothing of a run is a damaged one: who opens it knows by its
// name and place that it was written as a run.
func Open(f vfs.File, path string, engine [16]byte, o ReaderOptions) (*Reader, error) {
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", path, err)
	}
	if o.Mapped != nil && int64(len(o.Mapped)) != size {
		return nil, fmt.Errorf("open run %s: %d bytes are mapped of %d", path, len(o.Mapped), size)
	}
	r := &Reader{f: f, path: path, mapped: o.Mapped, cache: o.Cache, fileID: o.FileID}
	if err := r.readEnds(engine, size); err != nil {
		return nil, err
	}
	t := &r.trailer
	section, err := r.bytesAt(t.indexAt, t.indexBytes)
	if err != nil {
		return nil, err
	}
	if r.sum.of(t.indexAt, section) != t.indexChecksum {
		return nil, r.damageWhole(t.indexAt, t.indexBytes, "checksum of the index")
	}
	var reason string
	if r.index, reason = decodeIndex(section, t.info.Blocks, t.indexAt); reason != "" {
		return nil, r.damageWhole(t.indexAt, t.indexBytes, reason)
	}
	if err := r.readFilter(); err != nil {
		return nil, err
	}
	if err := r.readBuckets(); err != nil {
		return nil, err
	}
	return r, nil
}

// readEnds reads the header and the trailer.
func (r *Reader) readEnds(engine [16]byte, size int64) error {
	if size < headerBytes+trailerBytes {
		return r.damageWhole(0, size, "shorter than a header and a trailer")
	}
	head, err := r.bytesAt(0, headerBytes)
	if err != nil {
		return err
	}
	tail, err := r.bytesAt(size-trailerBytes, trailerBytes)
	if err != nil {
		return err
	}
	ok, err := decodeHeader(head, engine, &r.trailer.info)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", r.path, err)
	case !ok:
		return r.damageWhole(0, headerBytes, "checksum of the header")
	}
	r.sum = newSum(&r.trailer.info)
	if reason := r.trailer.decode(tail, r.sum, size); reason != "" {
		return r.damageWhole(size-trailerBytes, trailerBytes, reason)
	}
	return nil
}

func (r *Reader) readFilter() error {
	t := &r.trailer
	words := make([]uint64, 0, t.filterBytes/8)
	crc := uint32(r.sum)
	for done := int64(0); done < t.filterBytes; {
		chunk, err := r.bytesAt(t.filterAt()+done, min(t.filterBytes-done, filterChunkBytes))
		if err != nil {
			return err
		}
		crc = crc32.Update(crc, castagnoli, chunk)
		words = appendWords(words, chunk)
		done += int64(len(chunk))
	}
	if crc+place(t.filterAt()) != t.filterChecksum {
		return r.damageWhole(t.filterAt(), t.filterBytes, "checksum of the filter")
	}
	r.filter = filter{words: words, lines: uint64(len(words) / filterLineWords), probes: t.probes}
	return nil
}

// bytesAt returns bytes of the mapping, or reads them. They have to be there.
func (r *Reader) bytesAt(off, n int64) ([]byte, error) {
	if r.mapped != nil {
		return r.mapped[off : off+n], nil
	}
	b := make([]byte, n)
	return b, r.readAt(b, off)
}

// errCut says that the file is shorter than it was.
var errCut = errors.New("file has become shorter")

func (r *Reader) readAt(b []byte, off int64) error {
	n, err := vfs.Read(r.f, b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = errCut
	}
	return fmt.Errorf("read run %s at %d: %w", r.path, off, err)
}

func (r *Reader) damageWhole(off, length int64, reason string) *DamageError {
	return &DamageError{Path: r.path, Offset: off, Length: length, Reason: reason}
}

// damageAside is damage to the bucket section.
func (r *Reader) damageAside(off, length int64, reason string) *DamageError {
	return &DamageError{Path: r.path, Offset: off, Length: length, Aside: true, Reason: reason}
}

// damageBlock is the damage of block i, of which nothing is shown from now on.
func (r *Reader) damageBlock(i int, reason string) *DamageError {
	r.condemned.Store(i, reason)
	r.anyCondemned.Store(true)
	off, length := r.index.extent(i)
	return &DamageError{
		Path: r.path, Offset: off, Length: length, Reason: reason,
		FirstKey: r.index.separator(i), EndKey: r.index.separator(i + 1),
	}
}

// Info says what the run stands for and holds.
func (r *Reader) Info() Info { return r.trailer.info }

// Size is the length of the file in bytes.
func (r *Reader) Size() int64 { return r.trailer.fileBytes }

// MemoryBytes is what the reader keeps in memory: the index, the filter and the bucket section's directory.
func (r *Reader) MemoryBytes() int64 {
	n := r.index.memoryBytes() + int64(len(r.filter.words)*8)
	if r.buckets != nil {
		n += r.buckets.memoryBytes()
	}
	return n
}

// MayContain says whether the run may hold the key of this hash. False is certain.
func (r *Reader) MayContain(hash uint64) bool { return r.filter.mayContain(hash) }

// Get looks a key up; hash is Hash(key), and MayContain need not be asked before. The record's slices alias the
// mapping, a block of the cache or buf, and in the last case are good until buf is used again. ok=false without an error
// says that the run has no record of the key, which is sure: every byte that says so was checked.
//
// Errors: *DamageError if the block where the key would be is damaged, unless nobody has found that before and the record stands whole in
// it; those of reading, wrapped.
func (r *Reader) Get(key []byte, hash uint64, buf *Buffer) (rec Record, ok bool, err error) {
	if !r.filter.mayContain(hash) {
		return rec, false, nil
	}
	i := r.index.find(key)
	if i < 0 {
		return rec, false, nil
	}
	if r.anyCondemned.Load() {
		if reason, ok := r.condemned.Load(i); ok {
			return rec, false, r.damageBlock(i, reason.(string))
		}
	}
	raw, checked, err := r.load(i, buf, false)
	if err != nil {
		return rec, false, err
	}
	b := block{firstSeq: r.trailer.info.FirstSeq}
	b.at, _ = r.index.extent(i)
	if !b.view(raw) {
		return rec, false, r.damageBlock(i, "directory of the block")
	}
	switch b.lookup(r.sum, key, fingerprintOf(hash), &rec) {
	case found:
		return rec, true, nil
	case damaged:
		return Record{}, false, r.damageBlock(i, "checksum of a record")
	}
	// Not to be there is said by the block as a whole: a damaged key or fingerprint must not say it.
	if !checked && !r.blockIntact(i) {
		return Record{}, false, r.damageBlock(i, "checksum of the block")
	}
	return Record{}, false, nil
}

// blockIntact checks a mapped block.
func (r *Reader) blockIntact(i int) bool {
	off, length := r.index.extent(i)
	stored := r.mapped[off : off+length]
	return leUint32(stored) == r.sum.of(off, stored[4:])
}

// load returns the raw content of block i. It is checked, unless check is false and the block is mapped and not
// compressed: then checked says so.
func (r *Reader) load(i int, buf *Buffer, check bool) (raw []byte, checked bool, err error) {
	off, length := r.index.extent(i)
	if r.mapped != nil {
		stored := r.mapped[off : off+length]
		head := decodeBlockHead(stored)
		if head.codec == CodecNone && !check {
			if !head.fits(length) {
				return nil, false, r.damageBlock(i, "head of the block")
			}
			return stored[blockHeadBytes:], false, nil
		}
		if head.codec == CodecNone || r.cache == nil {
			raw, err = r.unpack(i, stored, &buf.raw)
			return raw, true, err
		}
	}
	if r.cache == nil {
		stored, err := r.storedAt(off, length, buf)
		if err == nil {
			raw, err = r.unpack(i, stored, &buf.raw)
		}
		return raw, true, err
	}
	if raw, ok := r.cache.Get(r.fileID, uint64(off)); ok {
		return raw, true, nil
	}
	raw, err = r.loadForCache(i, off, length, buf)
	return raw, true, err
}

// loadForCache reads block i and puts it into the cache, unless it is too large: then it is in buf.
func (r *Reader) loadForCache(i int, off, length int64, buf *Buffer) (raw []byte, err error) {
	stored, err := r.storedAt(off, length, buf)
	if err != nil {
		return nil, err
	}
	head := decodeBlockHead(stored)
	if head.raw > cachedBytesMax {
		return r.unpack(i, stored, &buf.raw)
	}
	var own []byte
	if raw, err = r.unpack(i, stored, &own); err != nil {
		return nil, err
	}
	if head.codec == CodecNone {
		raw = slices.Clone(raw)
	}
	r.cache.Put(r.fileID, uint64(off), raw)
	return raw, nil
}

// storedAt returns a stored block, of the mapping or read into buf.
func (r *Reader) storedAt(off, length int64, buf *Buffer) ([]byte, error) {
	if r.mapped != nil {
		return r.mapped[off : off+length], nil
	}
	buf.stored = grow(buf.stored, int(length))
	return buf.stored, r.readAt(buf.stored, off)
}

// unpack checks a stored block and returns its raw content: a part of stored, or decompressed into room.
func (r *Reader) unpack(i int, stored []byte, room *[]byte) ([]byte, error) {
	off, length := r.index.extent(i)
	if leUint32(stored) != r.sum.of(off, stored[4:]) {
		return nil, r.damageBlock(i, "checksum of the block")
	}
	head := decodeBlockHead(stored)
	if !head.fits(length) {
		return nil, r.damageBlock(i, "head of the block")
	}
	if head.codec == CodecNone {
		return stored[blockHeadBytes:], nil
	}
	*room = grow(*room, int(head.raw))
	if err := decompress(head.codec, *room, stored[blockHeadBytes:]); err != nil {
		return nil, r.damageBlock(i, err.Error())
	}
	return *room, nil
}
