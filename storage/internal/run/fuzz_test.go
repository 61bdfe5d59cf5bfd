package run

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
)

// reseal makes the checksums of a file right again as far as its lengths allow, so that fuzzing gets past them.
func reseal(b []byte) {
	if len(b) < headerBytes+trailerBytes {
		return
	}
	copy(b, headerMagic)
	binary.LittleEndian.PutUint16(b[8:], FormatVersion)
	copy(b[40:], testEngine[:])
	binary.LittleEndian.PutUint32(b[60:], sumOf(b[:60]))
	var info Info
	if ok, err := decodeHeader(b, testEngine, &info); !ok || err != nil {
		return
	}
	s, end := newSum(&info), int64(len(b)-trailerBytes)
	tail := b[end:]
	copy(tail, trailerMagic)
	// The fuzzer moves bytes about: the sections end where the trailer begins again.
	binary.LittleEndian.PutUint64(tail[88:], uint64(len(b)))
	binary.LittleEndian.PutUint64(tail[64:], uint64(end)-leUint64(tail[72:])-leUint64(tail[80:]))
	seal := func() { binary.LittleEndian.PutUint32(tail[108:], s.of(end, tail[:108])) }
	seal()
	t := trailer{info: info}
	if t.decode(tail, s, int64(len(b))) != "" {
		return
	}
	section := b[t.indexAt:t.filterAt()]
	binary.LittleEndian.PutUint32(tail[96:], s.of(t.indexAt, section))
	binary.LittleEndian.PutUint32(tail[100:], s.of(t.filterAt(), b[t.filterAt():end]))
	seal()
	x, reason := decodeIndex(section, t.info.Blocks, t.indexAt)
	if reason != "" {
		return
	}
	for i := range x.blocks() {
		off, length := x.extent(i)
		block := b[off : off+length]
		binary.LittleEndian.PutUint32(block[5:], uint32(length-blockHeadBytes))
		binary.LittleEndian.PutUint32(block, s.of(off, block[4:]))
	}
}

// FuzzRun opens any bytes as a run, with their checksums made right or not, and reads all of it in every way.
func FuzzRun(f *testing.F) {
	for _, c := range allCodecs {
		b, _ := small(f, c)
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Add(forge(CodecZstd, 100, []byte("x")), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed {
			b = bytes.Clone(b)
			reseal(b)
		}
		for _, o := range []ReaderOptions{{}, {Mapped: b}, {Mapped: b, Cache: newMapCache()}} {
			r, err := Open(&memFile{b: b}, testPath, testEngine, o)
			if err != nil {
				return
			}
			var buf Buffer
			for _, ahead := range []bool{false, true} {
				it := r.Iter(IterOptions{ReadAhead: ahead})
				for n := 0; it.Next() && n < 10000; n++ {
					key := bytes.Clone(it.Record().Key)
					if rec, ok, err := r.Get(key, Hash(key), &buf); err == nil && ok && !bytes.Equal(rec.Key, key) {
						t.Errorf("asked for %q, got %q", key, rec.Key)
					}
				}
				for n := 0; it.Prev() && n < 10000; n++ {
				}
				bounded := r.Iter(IterOptions{Start: []byte("b"), End: []byte("c"), ReadAhead: ahead})
				bounded.Seek([]byte("bucket/000070"))
				bounded.SeekBefore([]byte("bucket/000070"))
			}
			if _, err := r.Verify(context.Background(), nil); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzBlock reads a run of one block whose checksum is right and whose content is anything.
func FuzzBlock(f *testing.F) {
	for _, c := range allCodecs {
		file, _ := small(f, c)
		r := mustOpen(f, file, ReaderOptions{})
		off, length := r.index.extent(0)
		head := decodeBlockHead(file[off:])
		f.Add(byte(head.codec), head.raw, file[off+blockHeadBytes:off+length])
	}
	f.Add(byte(CodecNone), uint32(0), make([]byte, narrowBytesMax+1))
	f.Fuzz(func(t *testing.T, codec byte, raw uint32, payload []byte) {
		if Codec(codec) == CodecNone {
			raw = uint32(len(payload))
		}
		if len(payload) == 0 || raw > 1<<20 {
			return
		}
		b := forge(Codec(codec), raw, payload)
		for _, o := range []ReaderOptions{{}, {Mapped: b}} {
			r := mustOpen(t, b, o)
			it := r.Iter(IterOptions{})
			for it.Next() {
			}
			for it.Prev() {
			}
			for _, key := range []string{"a", "apple", "bucket/000007"} {
				it.Seek([]byte(key))
				it.SeekBefore([]byte(key))
				if rec, ok, _ := r.Get([]byte(key), Hash([]byte(key)), &Buffer{}); ok && string(rec.Key) != key {
					t.Errorf("asked for %q, got %q", key, rec.Key)
				}
			}
			if _, err := r.Verify(context.Background(), nil); err != nil || it.Err() != nil {
				t.Error(err, it.Err())
			}
		}
	})
}
