package run

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
)

// small is a file of a few blocks with every codec's worth of structure in it.
func small(tb testing.TB, c Codec) ([]byte, []Record) {
	tb.Helper()
	all := records(24)
	fs, _, _ := build(tb, WriterOptions{Codec: c, BlockBytes: 300}, all)
	return content(tb, fs), all
}

func TestEveryFlippedByteIsFoundOrHarmless(t *testing.T) {
	masks := []byte{1, 0x80}
	codecs := allCodecs
	if testing.Short() {
		masks, codecs = []byte{0x11}, codecs[:2]
	}
	for _, c := range codecs {
		whole, all := small(t, c)
		b := bytes.Clone(whole)
		for i := range b {
			for _, mask := range masks {
				b[i] ^= mask
				for name, o := range map[string]ReaderOptions{"readat": {}, "mapped": {Mapped: b}} {
					if !checkDamaged(t, b, o, all) {
						t.Fatalf("%v, %s: byte %d with mask %x of %d", c, name, i, mask, len(b))
					}
				}
				b[i] ^= mask
			}
		}
	}
}

// checkDamaged says whether a file with damage gives nothing wrong, and admits it.
func checkDamaged(t *testing.T, b []byte, o ReaderOptions, all []Record) bool {
	t.Helper()
	r, err := Open(&memFile{b: b}, testPath, testEngine, o)
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("open: %v", err)
		}
		return errors.Is(err, ErrDamaged)
	}
	ok := true
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format, args...)
		ok = false
	}
	found, err := r.Verify(context.Background(), nil)
	if err != nil || len(found) != 1 {
		fail("Verify finds %v, %v", found, err)
		return false
	}
	d := found[0]
	lost := func(key []byte) bool {
		return bytes.Compare(d.FirstKey, key) <= 0 && (d.EndKey == nil || bytes.Compare(key, d.EndKey) < 0)
	}
	var buf Buffer
	for i := range all {
		rec, there, err := r.Get(all[i].Key, Hash(all[i].Key), &buf)
		if err == nil && (!there || !same(&rec, &all[i])) || err != nil && (!lost(all[i].Key) || !errors.Is(err, ErrDamaged)) {
			fail("key %q: %v %v", all[i].Key, there, err)
		}
		other := append(bytes.Clone(all[i].Key), 'x')
		if _, there, err := r.Get(other, Hash(other), &buf); there || err != nil && !lost(other) {
			fail("key %q: %v %v", other, there, err)
		}
	}
	for _, ahead := range []bool{false, true} {
		checkDamagedScan(r.Iter(IterOptions{ReadAhead: ahead}), all, lost, fail)
	}
	return ok
}

// checkDamagedScan goes forth and back over one damaged block.
func checkDamagedScan(it *Iterator, all []Record, lost func([]byte) bool, fail func(string, ...any)) {
	damages, i := 0, 0
	for it.Next() {
		if it.Damage() != nil {
			for damages++; i < len(all) && lost(all[i].Key); i++ {
			}
			continue
		}
		if i >= len(all) || !same(it.Record(), &all[i]) {
			fail("forward: record %d is %q", i, it.Record().Key)
			return
		}
		i++
	}
	if i != len(all) || damages != 1 || it.Err() != nil {
		fail("forward: %d records, %d damages, %v", i, damages, it.Err())
	}
	for it.Prev() {
		if it.Damage() != nil {
			for damages++; i > 0 && lost(all[i-1].Key); i-- {
			}
			continue
		}
		if i--; i < 0 || !same(it.Record(), &all[i]) {
			fail("back: record %d is %q", i, it.Record().Key)
			return
		}
	}
	if i != 0 || damages != 2 || it.Err() != nil {
		fail("back: %d records left, %d damages, %v", i, damages, it.Err())
	}
	for j := range all {
		if !it.Seek(all[j].Key) || (it.Damage() != nil) != lost(all[j].Key) || it.Damage() == nil && !same(it.Record(), &all[j]) {
			fail("seek %q: %q, %v", all[j].Key, it.Record().Key, it.Damage())
		}
	}
}

// TestTheDamageChecksCanFail plants a wrong record: the checks above have to see it.
func TestTheDamageChecksCanFail(t *testing.T) {
	b, all := small(t, CodecNone)
	all[20].Value = []byte("not this")
	r := mustOpen(t, b, ReaderOptions{})
	failed := 0
	checkDamagedScan(r.Iter(IterOptions{}), all, func([]byte) bool { return false }, func(string, ...any) { failed++ })
	if failed == 0 {
		t.Error("a wrong record passes")
	}
}

func TestATruncatedFileIsRefused(t *testing.T) {
	b, _ := small(t, CodecNone)
	for n := range b {
		for _, o := range []ReaderOptions{{}, {Mapped: b[:n:n]}} {
			_, err := Open(&memFile{b: b[:n]}, testPath, testEngine, o)
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%d bytes of %d: %v", n, len(b), err)
			}
		}
	}
	longer := append(bytes.Clone(b), 0)
	if _, err := Open(&memFile{b: longer}, testPath, testEngine, ReaderOptions{}); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestAFileThatShrinksIsAnError(t *testing.T) {
	b, all := small(t, CodecNone)
	f := &memFile{b: b}
	r, err := Open(f, testPath, testEngine, ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.b = b[:headerBytes+10]
	if _, _, err := r.Get(all[0].Key, Hash(all[0].Key), &Buffer{}); !errors.Is(err, errCut) {
		t.Error(err)
	}
	for _, ahead := range []bool{false, true} {
		it := r.Iter(IterOptions{ReadAhead: ahead})
		if it.Next() || !errors.Is(it.Err(), errCut) || it.Next() || it.Prev() {
			t.Error(it.Err())
		}
		f.b = b
		if !it.Seek(all[0].Key) || !same(it.Record(), &all[0]) || it.Err() != nil {
			t.Error("a seek does not try again:", it.Err())
		}
		f.b = b[:headerBytes+10]
	}
	if _, err := r.Verify(context.Background(), nil); !errors.Is(err, errCut) {
		t.Error(err)
	}
}

func TestARunOfAnotherVersionOrEngineIsToldFromADamagedOne(t *testing.T) {
	b, _ := small(t, CodecNone)
	reseal := func(change func(b []byte)) []byte {
		c := bytes.Clone(b)
		change(c)
		binary.LittleEndian.PutUint32(c[60:], sumOf(c[:60]))
		return c
	}
	for name, file := range map[string][]byte{
		"newer version": reseal(func(b []byte) { b[8] = FormatVersion + 1 }),
		"other engine":  reseal(func(b []byte) { b[40]++ }),
	} {
		if _, err := Open(&memFile{b: file}, testPath, testEngine, ReaderOptions{}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, file := range map[string][]byte{
		"empty": nil, "zeros": make([]byte, 100), "many zeros": make([]byte, len(b)),
		"text": []byte("hello"), "long text": bytes.Repeat([]byte("hello "), 100),
	} {
		if _, err := Open(&memFile{b: file}, testPath, testEngine, ReaderOptions{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(&memFile{b: b}, testPath, testEngine, ReaderOptions{Mapped: b[1:]}); err == nil {
		t.Error("a mapping of another length passes")
	}
}

// TestABlockPassesOnlyInItsPlace exchanges blocks of equal length, within a run and with another run.
func TestABlockPassesOnlyInItsPlace(t *testing.T) {
	var all []Record
	for i := range byte(30) {
		all = append(all, Record{Key: []byte{i}, Value: make([]byte, 100), Seq: 100})
	}
	fs, _, _ := build(t, WriterOptions{BlockBytes: 130}, all)
	b := content(t, fs)
	r := mustOpen(t, b, ReaderOptions{})
	at, length := r.index.extent(3)
	to, toLength := r.index.extent(4)
	if length != toLength {
		t.Fatal("blocks differ in length")
	}
	moved := bytes.Clone(b)
	copy(moved[to:to+length], b[at:at+length])
	found, err := mustOpen(t, moved, ReaderOptions{}).Verify(context.Background(), nil)
	if err != nil || len(found) != 1 || found[0].Offset != to || !bytes.Equal(found[0].FirstKey, []byte{4}) {
		t.Error(found, err)
	}
	for name, info := range map[string]Info{
		"engine":  {Engine: [16]byte{9}, First: 1, Last: 3, FirstSeq: 100, NextSeq: 1 << 40},
		"segment": {Engine: testEngine, First: 1, Last: 4, FirstSeq: 100, NextSeq: 1 << 40},
		"nextseq": {Engine: testEngine, First: 1, Last: 3, FirstSeq: 100, NextSeq: 1<<40 + 1},
	} {
		if newSum(&info).of(at, b[at+4:at+length]) == leUint32(b[at:]) {
			t.Errorf("the block passes for another %s", name)
		}
	}
}

func TestVerifyStopsWhenToldTo(t *testing.T) {
	b, _ := small(t, CodecZstd)
	r := mustOpen(t, b, ReaderOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	boom := errors.New("boom")
	if _, err := r.Verify(context.Background(), func(int64) error { return boom }); !errors.Is(err, boom) {
		t.Error(err)
	}
	read := int64(0)
	if _, err := r.Verify(context.Background(), func(n int64) error { read += n; return nil }); err != nil || read != r.Size() {
		t.Errorf("%d bytes of %d reported, %v", read, r.Size(), err)
	}
}

func TestVerifyChecksLargeBlocks(t *testing.T) {
	all := []Record{
		{Key: []byte("a"), Seq: 100},
		{Key: []byte("b"), Seq: 101, Value: make([]byte, 3*verifyBlockMax+5)},
		{Key: []byte("c"), Seq: 102},
	}
	fs, _, info := build(t, WriterOptions{}, all)
	b := content(t, fs)
	if info.Blocks != 3 {
		t.Fatalf("%d blocks", info.Blocks)
	}
	for _, at := range []int{0, 3 * verifyBlockMax / 2} {
		b[200+at] ^= 1
		found, err := mustOpen(t, b, ReaderOptions{}).Verify(context.Background(), nil)
		if err != nil || len(found) != 1 || string(found[0].FirstKey) != "b" || string(found[0].EndKey) != "c" {
			t.Error(found, err)
		}
		b[200+at] ^= 1
	}
	if found, err := mustOpen(t, b, ReaderOptions{}).Verify(context.Background(), nil); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
}

// forge makes a run of one block with the given head and payload; all checksums are right.
func forge(codec Codec, raw uint32, payload []byte) []byte {
	info := testInfo
	s := newSum(&info)
	b := encodeHeader(&info, formatBlocks)
	block := append(make([]byte, blockHeadBytes), payload...)
	block[4] = byte(codec)
	binary.LittleEndian.PutUint32(block[5:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(block[9:], raw)
	binary.LittleEndian.PutUint32(block, s.of(headerBytes, block[4:]))
	b = append(b, block...)
	var x indexBuilder
	x.begin([]byte("a"))
	x.end(len(block))
	section := x.encode()
	t := trailer{info: info, version: formatBlocks, indexAt: int64(len(b)), indexBytes: int64(len(section))}
	t.indexChecksum = s.of(t.indexAt, section)
	b = append(b, section...)
	t.filterChecksum = s.of(t.filterAt())
	t.info.Blocks, t.info.Records = 1, 1
	t.fileBytes = int64(len(b)) + trailerBytes
	return append(b, t.encode(s)...)
}

// TestLengthsThatLieCostNoMemory has valid checksums over lengths and compressed bytes that promise gigabytes.
func TestLengthsThatLieCostNoMemory(t *testing.T) {
	z, err := newCompressor(CodecZstd)
	if err != nil {
		t.Fatal(err)
	}
	bomb, _ := z.compress(make([]byte, 16<<20))
	s2Bomb := binary.AppendUvarint(nil, 1<<31)
	var files [][]byte
	for _, c := range allCodecs {
		for _, raw := range []uint32{0, 1, 2, 100, 1 << 31, 1<<32 - 1} {
			for _, p := range [][]byte{bomb, s2Bomb, {0xff, 0xff, 0xff, 0xff}, {1, 0, 0, 0xff, 0xff}} {
				files = append(files, forge(c, raw, p))
			}
		}
	}
	key := []byte("abc")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, b := range files {
		r := mustOpen(t, b, ReaderOptions{})
		if _, ok, err := r.Get(key, Hash(key), &Buffer{}); ok || err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(ok, err)
		}
		it := r.Iter(IterOptions{ReadAhead: true})
		for it.Next() {
		}
		if it.Err() != nil {
			t.Error(it.Err())
		}
		if found, err := r.Verify(context.Background(), nil); err != nil || len(found) == 0 {
			t.Error("passes:", err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(files))*(verifyBlockMax+1<<20) {
		t.Errorf("%d MiB allocated for %d files", n>>20, len(files))
	}
}
