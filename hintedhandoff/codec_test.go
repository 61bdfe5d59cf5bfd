package hintedhandoff

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// goldenRecord is a record of the engine, by what it is.
type goldenRecord struct {
	name             string
	key, meta, value []byte
}

func goldenHint(name string, h head, o causal.Object) goldenRecord {
	var s scratch
	meta, value := s.encode(&h, o)
	return goldenRecord{name, appendHintKey(nil, "n1", []byte("key")), meta, value}
}

// goldenRecords has one of each form.
func goldenRecords() []goldenRecord {
	h := head{noted: noon.UnixMilli(), revision: 7}
	counted := h
	counted.counted = true
	tombstone := causal.Dot{Actor: 3, Time: 9}
	return []goldenRecord{
		goldenHint("one sibling", h, written(1, 2, "value")),
		goldenHint("counted tombstone", counted, causal.Object{
			Vector:   causal.Vector{{Actor: 2, Time: 5}, tombstone},
			Siblings: []causal.Sibling{{Dot: tombstone, Tombstone: true}},
		}),
		goldenHint("two siblings", h, causal.Join(written(1, 2, "one"), written(2, 3, "two"))),
		goldenHint("sixteen siblings, the heads fit no more", h, crowd(16)),
		goldenHint("twenty siblings", h, crowd(20)),
		{"need", appendNeedKey(nil, Pair{"n1", 300}), appendNeedMeta(nil, noon), nil},
	}
}

func crowd(n causal.Actor) (o causal.Object) {
	for a := range n {
		o = causal.Join(o, written(a+1, 10, fmt.Sprint("v", a)))
	}
	return o
}

func TestGoldenRecords(t *testing.T) {
	var text strings.Builder
	for _, r := range goldenRecords() {
		fmt.Fprintf(&text, "%s\n  key   %s\n  meta  %s\n  value %s\n", r.name,
			hex.EncodeToString(r.key), hex.EncodeToString(r.meta), hex.EncodeToString(r.value))
	}
	path := filepath.Join("testdata", "records.golden")
	if *update {
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("the format has changed\n%s", text.String())
	}
}

func TestRecordsOfALaterFormatAreRefused(t *testing.T) {
	for _, r := range goldenRecords() {
		r.meta[0]++
		_, _, hintErr := parseMeta(r.meta)
		_, needErr := parseNeedMeta(r.meta)
		if r.key[0] == kindHint && !errors.Is(hintErr, storage.ErrFormat) || r.key[0] == kindNeed && !errors.Is(needErr, storage.ErrFormat) {
			t.Errorf("%s: %v, %v", r.name, hintErr, needErr)
		}
	}
}

func TestDecodersRefuseWhatTheEncodersDoNotWrite(t *testing.T) {
	good := goldenRecords()
	fits := good[0]
	whole := causal.AppendObject(nil, written(1, 2, "value"))
	short := append([]byte(nil), fits.meta[:headBytes]...)
	h, _, _ := parseMeta(fits.meta)
	h.valueBytes = uint32(len(whole))
	putHead(short, h)
	for name, r := range map[string]goldenRecord{
		"cut meta":               {meta: fits.meta[:headBytes-1], value: fits.value},
		"unknown flags":          {meta: append([]byte{1, 0x80}, fits.meta[2:]...), value: fits.value},
		"longer value":           {meta: fits.meta, value: append(fits.value, 0)},
		"heads that would fit":   {meta: short, value: whole},
		"a time below the epoch": {meta: append([]byte{1, 0, 0xff}, fits.meta[3:]...), value: fits.value},
	} {
		var o causal.Object
		if _, err := decodeHint(&o, r.meta, r.value); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, key := range []string{"", "H", "H\x05n1", "H\x02n1", "X\x02n1k", "H\x00k", "H\x02n k", "N\x02n1abc"} {
		if _, _, _, err := parseKey([]byte(key)); !errors.Is(err, errMalformed) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func FuzzHint(f *testing.F) {
	for _, r := range goldenRecords() {
		f.Add(r.meta, r.value)
	}
	f.Fuzz(func(t *testing.T, meta, value []byte) {
		var o causal.Object
		h, err := decodeHint(&o, meta, value)
		if err != nil {
			return
		}
		var s scratch
		again, stored := s.encode(&h, o)
		if !bytes.Equal(again, meta) || !bytes.Equal(stored, value) {
			t.Errorf("%x %x is read as %+v %+v, which is written %x %x", meta, value, h, o, again, stored)
		}
		var heads causal.Object
		if early, complete, err := decodeHeads(&heads, meta); err != nil || early != h || complete && !heads.SameHeads(o) {
			t.Errorf("without the value: %+v %+v, %v", early, heads, err)
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, r := range goldenRecords() {
		f.Add(r.key)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, target, rest, err := parseKey(b)
		if err != nil {
			return
		}
		again := appendHintKey(nil, target, rest)
		if kind == kindNeed {
			again = appendNeedKey(nil, needOf(target, rest))
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x is read as %s %x, which is written %x", b, target, rest, again)
		}
	})
}

func FuzzNeedMeta(f *testing.F) {
	f.Add(appendNeedMeta(nil, noon))
	f.Fuzz(func(t *testing.T, meta []byte) {
		if since, err := parseNeedMeta(meta); err == nil && !bytes.Equal(appendNeedMeta(nil, since), meta) {
			t.Errorf("%x is read as %v", meta, since)
		}
	})
}

func TestPrefixesOfTargetsDoNotMix(t *testing.T) {
	for _, pair := range [][2]ring.NodeID{{"n", "n1"}, {"n1", "n10"}, {"a", "b"}} {
		prefix := appendHintKey(nil, pair[0], nil)
		other := appendHintKey(nil, pair[1], []byte("key"))
		if bytes.Compare(other, prefix) >= 0 && bytes.Compare(other, prefixEnd(prefix)) < 0 {
			t.Errorf("a hint for %s is in the range of %s", pair[1], pair[0])
		}
	}
}
