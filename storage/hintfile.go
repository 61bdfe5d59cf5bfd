package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sort"

	"github.com/ringcask/ringcask/storage/internal/handles"
	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

const (
	hintFileMagic       = "RCHINTF\n"
	hintFileVersion     = 1
	hintFileHeaderBytes = 64
	// hintBlockBytes is when a block is full; hintBlockBytesMax is the most that its last entry can make of it.
	hintBlockBytes    = 64 << 10
	hintBlockBytesMax = hintBlockBytes + keyBytesLimit + MetaBytesMax + 64
)

// hintFileHeader is what a hint file begins with.
type hintFileHeader struct {
	blocks  uint32
	segment SegmentID
	// dataEnd is where the frames of the segment end.
	dataEnd           int64
	firstSeq, nextSeq uint64
	entries           uint64
}

func (h hintFileHeader) encode(sum frameSum) []byte {
	b := make([]byte, hintFileHeaderBytes)
	copy(b, hintFileMagic)
	binary.LittleEndian.PutUint16(b[8:], hintFileVersion)
	binary.LittleEndian.PutUint32(b[12:], h.blocks)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.segment))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.dataEnd))
	binary.LittleEndian.PutUint64(b[32:], h.firstSeq)
	binary.LittleEndian.PutUint64(b[40:], h.nextSeq)
	binary.LittleEndian.PutUint64(b[48:], h.entries)
	binary.LittleEndian.PutUint32(b[60:], crc32.Update(uint32(sum), castagnoli, b[:60]))
	return b
}

var errHintFile = errors.New("hint file is damaged or not of this segment")

// decodeHintFileHeader fails for anything but an intact header of this version, engine and segment: a hint file that
// is not understood is made anew, never guessed at.
func decodeHintFileHeader(b []byte, sum frameSum, id SegmentID) (h hintFileHeader, err error) {
	if len(b) < hintFileHeaderBytes || string(b[:8]) != hintFileMagic ||
		binary.LittleEndian.Uint16(b[8:]) != hintFileVersion ||
		leUint32(b[60:]) != crc32.Update(uint32(sum), castagnoli, b[:60]) {
		return h, errHintFile
	}
	h = hintFileHeader{
		blocks:   leUint32(b[12:]),
		segment:  SegmentID(binary.LittleEndian.Uint64(b[16:])),
		dataEnd:  int64(binary.LittleEndian.Uint64(b[24:])),
		firstSeq: binary.LittleEndian.Uint64(b[32:]),
		nextSeq:  binary.LittleEndian.Uint64(b[40:]),
		entries:  binary.LittleEndian.Uint64(b[48:]),
	}
	if h.segment != id || h.dataEnd < segmentHeaderBytes || h.nextSeq < h.firstSeq {
		return h, errHintFile
	}
	return h, nil
}

// appendHintEntry adds one entry to a block.
func appendHintEntry(b []byte, l *entry, firstSeq uint64) []byte {
	b = append(b, l.Flags&flagTombstone)
	b = binary.AppendUvarint(b, uint64(len(l.key)))
	b = append(b, byte(len(l.meta)))
	b = append(append(b, l.key...), l.meta...)
	b = binary.AppendUvarint(b, l.Seq-firstSeq)
	b = binary.AppendUvarint(b, uint64(l.Offset))
	return binary.AppendUvarint(b, uint64(l.Length))
}

// takeHintEntry reads one entry off a block.
func takeHintEntry(r *fieldReader, h *hintFileHeader) (l entry, err error) {
	l.Segment, l.Flags = uint32(h.segment), r.byte()
	keyLen, metaLen := r.uvarint(), int(r.byte())
	if r.bad || keyLen > keyBytesLimit || r.at+int(keyLen)+metaLen > len(r.b) || l.Flags&^flagTombstone != 0 {
		return l, errHintFile
	}
	l.key, l.meta = r.take(int(keyLen)), r.take(metaLen)
	seq, offset, length := r.uvarint(), r.uvarint(), r.uvarint()
	if r.bad || seq >= h.nextSeq-h.firstSeq || offset < segmentHeaderBytes || length < frameBytesMin ||
		length > frameBytesMax || offset+length > uint64(h.dataEnd) || offset > math.MaxUint32 {
		return l, errHintFile
	}
	l.Seq, l.Offset, l.Length = h.firstSeq+seq, uint32(offset), uint32(length)
	return l, nil
}

// writeHintFile makes the hint file of a segment from its sorted keys, durably, and returns its size.
func writeHintFile(fsys vfs.FS, dir string, seg *segment, r *replay) (size int64, err error) {
	path := seg.hintFilePath()
	temp := path + vfs.TempSuffix
	f, err := fsys.Create(temp)
	if err != nil {
		return 0, &IOError{"create", temp, err}
	}
	size, err = fillHintFile(f, seg, r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		return 0, &IOError{"write", temp, errors.Join(err, fsys.Remove(temp))}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return 0, &IOError{"sync", dir, err}
	}
	return size, nil
}

func fillHintFile(f vfs.File, seg *segment, r *replay) (int64, error) {
	h := hintFileHeader{
		segment: seg.id, dataEnd: r.end, firstSeq: r.firstSeq, nextSeq: r.nextSeq, entries: uint64(len(r.keys.items)),
	}
	at := int64(hintFileHeaderBytes)
	block := make([]byte, 8, hintBlockBytesMax)
	for i := range r.keys.items {
		l := r.keys.item(i)
		block = appendHintEntry(block, &l, h.firstSeq)
		if len(block) < hintBlockBytes && i < len(r.keys.items)-1 {
			continue
		}
		sealHintBlock(block, seg.sum, h.blocks)
		if _, err := f.WriteAt(block, at); err != nil {
			return 0, err
		}
		at += int64(len(block))
		h.blocks++
		block = block[:8]
		if r.rest != nil {
			r.rest()
		}
	}
	_, err := f.WriteAt(h.encode(seg.sum), 0)
	return at, err
}

// sealHintBlock fills in the first 8 bytes of a block: its length and its checksum, which its number is part of.
func sealHintBlock(block []byte, sum frameSum, number uint32) {
	binary.LittleEndian.PutUint32(block, uint32(len(block)))
	binary.LittleEndian.PutUint32(block[4:], crc32.Update(uint32(sum), castagnoli, block[8:])+number)
}

// hintFileReader streams the entries of a hint file. It is a source. Any flaw in the file is errHintFile.
type hintFileReader struct {
	file     *handles.File
	path     string
	sum      frameSum
	header   hintFileHeader
	at, size int64
	number   uint32
	buf      []byte
	block    fieldReader
	entries  uint64
	// last is the key before, in buf or, at the beginning of a block, in lastBuf.
	last, lastBuf []byte
	// starts are the beginnings of the blocks, once they were checked.
	starts []hintBlockStart
	// middle is the middle key if there is one block only.
	middle []byte
	// partial says that it did not begin with the first block: it does not know how many entries come before.
	partial bool
}

// hintBlockStart is where a block begins, and with which key.
type hintBlockStart struct {
	at  int64
	key []byte
}

// from reads the same file, which must stay open for it and have been checked.
func (r *hintFileReader) from(start []byte) source {
	at := sort.Search(len(r.starts), func(i int) bool { return bytes.Compare(r.starts[i].key, start) > 0 }) - 1
	f := &hintFileReader{
		file: r.file, path: r.path, sum: r.sum, header: r.header, at: hintFileHeaderBytes, size: r.size, starts: r.starts,
	}
	if at > 0 {
		f.number, f.at, f.partial = uint32(at), r.starts[at].at, true
	}
	return f
}

func (r *hintFileReader) sample(keys [][]byte) [][]byte {
	if r.middle != nil {
		return append(keys, r.middle)
	}
	for i := range r.starts {
		keys = append(keys, r.starts[i].key)
	}
	return keys
}

func openHintFile(files *handles.Pool, seg *segment) (*hintFileReader, error) {
	path := seg.hintFilePath()
	f, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	r := &hintFileReader{file: f, path: path, sum: seg.sum, at: hintFileHeaderBytes}
	r.size, err = f.Size()
	head := make([]byte, hintFileHeaderBytes)
	if err == nil {
		err = readFull(f, head, 0)
	}
	if err == nil {
		r.header, err = decodeHintFileHeader(head, seg.sum, seg.id)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// lookInside finds the middle key of a file that has one block only, which stands for all of it.
func (r *hintFileReader) lookInside() error {
	if len(r.starts) != 1 {
		return nil
	}
	r.middle = r.starts[0].key
	for range (r.header.entries - 1) / 2 {
		e, err := takeHintEntry(&r.block, &r.header)
		if err != nil {
			return err
		}
		r.middle = e.key
	}
	r.middle = bytes.Clone(r.middle)
	return nil
}

// readFull reads all of b; a file that is too short is errHintFile.
func readFull(f vfs.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errHintFile
	}
	return err
}

func (r *hintFileReader) close() error { return r.file.Close() }

// check reads the file to its end, which checks the blocks. What is in them is checked where it is read. It must come first, and once.
func (r *hintFileReader) check() error {
	for r.number < r.header.blocks {
		at := r.at
		err := r.load()
		var first entry
		if err == nil {
			first, err = takeHintEntry(&r.block, &r.header)
		}
		if n := len(r.starts); err == nil && n > 0 && bytes.Compare(r.starts[n-1].key, first.key) >= 0 {
			err = errHintFile
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.path, err)
		}
		r.starts = append(r.starts, hintBlockStart{at, bytes.Clone(first.key)})
	}
	if err := r.lookInside(); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	if r.at != r.size {
		return fmt.Errorf("%s: %w", r.path, errHintFile)
	}
	r.at, r.number, r.block, r.buf = hintFileHeaderBytes, 0, fieldReader{}, nil // what loads reads for itself
	return nil
}

func (r *hintFileReader) next(at *hashedEntry) (ok bool, err error) {
	if at.entry, ok, err = r.entry(); ok {
		at.hash, at.head = run.Hash(at.key), headOf(at.key)
	}
	return ok, err
}

// entry reads the next entry.
func (r *hintFileReader) entry() (l entry, ok bool, err error) {
	if r.block.at == len(r.block.b) {
		if r.number == r.header.blocks {
			if r.entries != r.header.entries && !r.partial || r.at != r.size {
				return entry{}, false, fmt.Errorf("%s: %w", r.path, errHintFile)
			}
			return entry{}, false, nil
		}
		if err := r.load(); err != nil {
			return entry{}, false, fmt.Errorf("%s: %w", r.path, err)
		}
	}
	l, err = takeHintEntry(&r.block, &r.header)
	if err == nil && r.entries > 0 && bytes.Compare(r.last, l.key) >= 0 {
		err = errHintFile
	}
	if err != nil {
		return entry{}, false, fmt.Errorf("%s: %w", r.path, err)
	}
	r.entries++
	r.last = l.key
	return l, true, nil
}

// load reads the next block.
func (r *hintFileReader) load() error {
	r.lastBuf = append(r.lastBuf[:0], r.last...)
	r.last = r.lastBuf
	var head [8]byte
	if err := readFull(r.file, head[:], r.at); err != nil {
		return err
	}
	n := int64(leUint32(head[:]))
	if n <= 8 || n > hintBlockBytesMax || n > r.size-r.at {
		return errHintFile
	}
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if err := readFull(r.file, r.buf, r.at); err != nil {
		return err
	}
	if leUint32(r.buf[4:]) != crc32.Update(uint32(r.sum), castagnoli, r.buf[8:])+r.number {
		return errHintFile
	}
	r.at += n
	r.number++
	r.block = fieldReader{b: r.buf, at: 8}
	return nil
}
