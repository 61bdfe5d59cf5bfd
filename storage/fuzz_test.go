package storage

import (
	"bytes"
	"testing"

	"github.com/ringcask/ringcask/storage/internal/handles"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

var fuzzSum = newFrameSum(goldenID, 1)

// fuzzFrames is a batch and a mark, and a record.
func fuzzFrames() []byte {
	b := (segmentHeader{id: 1, engine: goldenID, firstSeq: 1}).encode()
	at := placement{off: int64(len(b)), synced: segmentHeaderBytes, seq: 1}
	b, _ = fuzzSum.appendRecord(b, at, false, []byte("key"), []byte("meta"), []byte("value"))
	start := len(b)
	b = appendBatchHead(b, int64(start), segmentHeaderBytes, 2, 2)
	b, _ = fuzzSum.appendRecord(b, placement{off: int64(len(b)), seq: 2, member: true}, false, []byte("key"), nil, nil)
	b, _ = fuzzSum.appendRecord(b, placement{off: int64(len(b)), seq: 3, member: true}, true, []byte("key"), nil, nil)
	fuzzSum.seal(b, start, int64(start))
	return fuzzSum.appendMark(b, int64(len(b)), int64(len(b)), 4)
}

// FuzzFrame feeds the frame decoder with any bytes, whole and cut short.
func FuzzFrame(f *testing.F) {
	all := fuzzFrames()
	for _, n := range []int{segmentHeaderBytes, segmentHeaderBytes + 30, len(all) - 11} {
		f.Add(all[n:], int64(n))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, kindBatch, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}, int64(100))
	f.Fuzz(func(t *testing.T, b []byte, off int64) {
		off = max(off, segmentHeaderBytes)
		fr, reason := parseFrame(b, off)
		if reason != "" {
			return
		}
		if fr.synced > off || fr.synced < 0 || fr.length < frameBytesMin || fr.count > fr.length {
			t.Errorf("impossible frame %+v", fr)
		}
		if len(fr.key)+len(fr.meta)+len(fr.value)+len(fr.members) > len(b) {
			t.Errorf("more than there is: %+v", fr)
		}
		if fr.length <= len(b) && fr.kind == kindBatch {
			n := 0
			ok := fr.eachMember(off, func(m *frame, at int) {
				n++
				if at+m.length > fr.length {
					t.Errorf("member reaches past its batch: %+v", m)
				}
			})
			if ok && n != fr.count {
				t.Errorf("%d members of %d", n, fr.count)
			}
		}
	})
}

// FuzzSegment has recovery read any bytes as a segment, as the youngest and as an older one. What it then says must
// be consistent, and a segment cut by it must read the same again without a torn tail.
func FuzzSegment(f *testing.F) {
	all := fuzzFrames()
	f.Add(all)
	f.Add(all[:len(all)-3])
	f.Add(append(bytes.Clone(all), make([]byte, 600)...))
	f.Add(append(bytes.Clone(all[:80]), all[70:]...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		fs := vfstest.New()
		if err := fs.SetContent("/s", data); err != nil {
			t.Fatal(err)
		}
		file, err := fs.Open("/s")
		if err != nil {
			t.Fatal(err)
		}
		scan := newLogScan(file, "/s", fuzzSum, int64(len(data)))
		r, err := replaySegment(scan, goldenID, 1)
		if err != nil {
			return // a header of another engine or version
		}
		if r.nextSeq < r.firstSeq || r.end < segmentHeaderBytes || int64(len(r.keys.items)) > r.records {
			t.Errorf("%+v", r)
		}
		r.cut(scan, 0)
		if !r.started {
			return
		}
		again, err := replaySegment(newLogScan(file, "/s", fuzzSum, min(r.end, int64(len(data)))), goldenID, 1)
		if err != nil {
			t.Fatal(err)
		}
		if again.records != r.records || again.nextSeq != r.nextSeq || again.end != r.end || len(again.regions) != len(r.regions) {
			t.Errorf("read again after the cut: %+v, was %+v", again, r)
		}
	})
}

// FuzzHintFile reads any bytes as a hint file.
func FuzzHintFile(f *testing.F) {
	seg := newSegment("/", goldenID, 1, 1)
	fs := vfstest.New()
	if err := fs.SetContent(seg.path, fuzzFrames()); err != nil {
		f.Fatal(err)
	}
	file, err := fs.Open(seg.path)
	if err != nil {
		f.Fatal(err)
	}
	r, err := replaySegment(newLogScan(file, seg.path, seg.sum, int64(len(fuzzFrames()))), goldenID, 1)
	if err != nil {
		f.Fatal(err)
	}
	r.keys.sort(1)
	if _, err := writeHintFile(fs, "/", seg, r); err != nil {
		f.Fatal(err)
	}
	good, err := fs.Content(seg.hintFilePath())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	f.Add(good, true)
	f.Add(good[:len(good)-1], true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, data []byte, reseal bool) {
		if reseal && len(data) > hintFileHeaderBytes+8 {
			// Past the checksums: the entries themselves.
			data = bytes.Clone(data)
			block := data[hintFileHeaderBytes:]
			sealHintBlock(block, seg.sum, 0)
			h := hintFileHeader{blocks: 1, segment: 1, dataEnd: 1 << 20, firstSeq: 1, nextSeq: 1000, entries: uint64(len(block))}
			copy(data, h.encode(seg.sum))
		}
		fs := vfstest.New()
		if err := fs.SetContent(seg.hintFilePath(), data); err != nil {
			t.Fatal(err)
		}
		r, err := openHintFile(handles.NewPool(fs, 1), seg)
		if err != nil {
			return
		}
		defer r.close()
		if len(data) > 8 {
			readFrom(t, fs, seg, data[len(data)-8:])
		}
		var last []byte
		for n := 0; ; n++ {
			l, ok, err := r.entry()
			if err != nil || !ok {
				return
			}
			if n > 0 && bytes.Compare(last, l.key) >= 0 {
				t.Fatalf("%q after %q", l.key, last)
			}
			if int64(l.Offset)+int64(l.Length) > r.header.dataEnd || l.Seq < r.header.firstSeq || l.Seq >= r.header.nextSeq {
				t.Fatalf("impossible entry %+v", l)
			}
			last = append(last[:0], l.key...)
		}
	})
}

// readFrom reads a hint file from a key on, as one of several loaders does.
func readFrom(t *testing.T, fs *vfstest.FS, seg *segment, start []byte) {
	r, err := openHintFile(handles.NewPool(fs, 1), seg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if r.check() != nil {
		return
	}
	r.sample(nil)
	var at hashedEntry
	for s := r.from(start); ; {
		if ok, err := s.next(&at); err != nil || !ok {
			return
		}
	}
}

// FuzzFormatFile reads any bytes as the FORMAT file.
func FuzzFormatFile(f *testing.F) {
	f.Add(encodeFormat(goldenID, formatLog))
	f.Add([]byte("ringcask storage\nversion 18446744073709551616\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if id, version, err := decodeFormat(data); err == nil && !bytes.Equal(encodeFormat(id, version), data) {
			t.Errorf("%q passes for %q", data, encodeFormat(id, version))
		}
	})
}
