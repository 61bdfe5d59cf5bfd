package causal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares bytes with testdata/name, which holds them in hexadecimal, white space ignored.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the format has changed\ngot  %x\nwant %x", name, got, want)
	}
}

// The objects whose bytes are kept under testdata. They must stay readable for ever.
var (
	lone     = Object{Vector{{0xa1, 0x10000}}, []Sibling{{Dot: Dot{0xa1, 0x10000}, Value: []byte("value")}}}
	grave    = Object{Vector{{0xa1, 0x10000}, {0xb2, 0x20001}}, []Sibling{{Dot: Dot{0xb2, 0x20001}, Tombstone: true}}}
	expiring = Object{
		Vector{{0xa1, 0x30000}, {0xb2, 0x20001}},
		[]Sibling{{Dot: Dot{0xa1, 0x30000}, ExpiresAt: 1_700_000_000_000, Value: []byte{0}}},
	}
	family = Object{
		Vector{{0xa1, 0x30000}, {0xb2, 0x20001}, {0xc3, 0x40000}},
		[]Sibling{
			{Dot: Dot{0xa1, 0x10000}, Value: []byte("one")},
			{Dot: Dot{0xb2, 0x20001}, Tombstone: true},
			{Dot: Dot{0xc3, 0x30000}, ExpiresAt: 99, Value: []byte{}},
			{Dot: Dot{0xc3, 0x40000}, Value: []byte("four")},
		},
	}
)

// crowd has heads that do not fit into a meta.
func crowd() Object {
	var o Object
	for a := Actor(1); a <= 20; a++ {
		d := Dot{a << 8, Timestamp(a) << 16}
		o.Vector = append(o.Vector, d)
		o.Siblings = append(o.Siblings, Sibling{Dot: d, Value: []byte{byte(a)}})
	}
	return o
}

// followed is one sibling after the events of many others.
func followed() Object {
	o := Object{Siblings: expiring.Siblings, Vector: expiring.Vector}
	for a := Actor(1); a <= 20; a++ {
		o.Vector = o.Vector.With(Dot{a << 40, 1})
	}
	return o
}

func specimens() map[string]Object {
	return map[string]Object{
		"lone": lone, "tombstone": grave, "expiring": expiring, "several": family, "crowd": crowd(), "followed": followed(), "empty": {},
	}
}

func TestObjectFormatIsTheOneThatWasReleased(t *testing.T) {
	for name, o := range specimens() {
		mustBeValid(t, o)
		golden(t, "object-"+name+".hex", AppendObject(nil, o))
	}
}

func TestContextFormatIsTheOneThatWasReleased(t *testing.T) {
	golden(t, "context-empty.hex", AppendVector(nil, nil))
	golden(t, "context-three.hex", AppendVector(nil, family.Vector))
}

func TestObjectComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := genObject(t)
		data := AppendObject([]byte("before"), o)
		if len(data)-len("before") != ObjectLen(o) {
			t.Fatalf("%d bytes, announced %d", len(data), ObjectLen(o))
		}
		got, err := DecodeObject(data[len("before"):])
		if err != nil || !got.Equal(o) {
			t.Fatalf("%v came back as %v, %v", o, got, err)
		}
	})
}

func TestObjectsOfOneArenaComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		objects := rapid.SliceOfN(rapid.Custom(genObject), 0, 8).Draw(t, "objects")
		arena := NewArena(rapid.IntRange(0, 10).Draw(t, "expected"))
		var back []Object
		for _, o := range objects {
			got, err := arena.DecodeObject(AppendObject(nil, o))
			if err != nil {
				t.Fatal(err)
			}
			back = append(back, got)
		}
		for _, o := range back { // what is put behind one must not be in another
			_, _ = append(o.Vector, Dot{9, 9}), append(o.Siblings, Sibling{Dot: Dot{9, 9}})
		}
		if !slices.EqualFunc(back, objects, Object.Equal) {
			t.Fatalf("%v came back as %v", objects, back)
		}
	})
}

func TestContextComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genVector(t)
		got, err := DecodeVector(AppendVector(nil, v))
		if err != nil || !got.Equal(v) {
			t.Fatalf("%v came back as %v, %v", v, got, err)
		}
	})
}

func TestContextWithAnyByteChangedOrCutIsRefused(t *testing.T) {
	data := AppendVector(nil, family.Vector)
	for i := range data {
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			if _, err := DecodeVector(bad); !errors.Is(err, ErrMalformed) {
				t.Fatalf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
		if _, err := DecodeVector(data[:i]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestContextWithTooManyEntriesIsRefused(t *testing.T) {
	var v Vector
	for a := Actor(1); a <= ContextEntriesMax; a++ {
		v = append(v, Entry{a, 1})
	}
	if got, err := DecodeVector(AppendVector(nil, v)); err != nil || !got.Equal(v) {
		t.Fatal(err)
	}
	v = append(v, Entry{ContextEntriesMax + 1, 1})
	if _, err := DecodeVector(AppendVector(nil, v)); !errors.Is(err, ErrMalformed) {
		t.Fatalf("got %v", err)
	}
}

func TestObjectDecoderRefuses(t *testing.T) {
	good := AppendObject(nil, family)
	swap := func(o Object) Object {
		o = o.Clone()
		o.Siblings[0], o.Siblings[1] = o.Siblings[1], o.Siblings[0]
		return o
	}
	for name, data := range map[string][]byte{
		"nothing":                 {},
		"another format":          append([]byte{2}, good[1:]...),
		"bytes left over":         append(bytes.Clone(good), 0),
		"unsorted siblings":       AppendObject(nil, swap(family)),
		"a duplicate entry":       AppendObject(nil, Object{Vector: Vector{{1, 1}, {1, 1}}}),
		"an uncovered sibling":    AppendObject(nil, Object{Siblings: []Sibling{{Dot: Dot{1, 1}}}}),
		"a zero time":             AppendObject(nil, Object{Vector: Vector{{1, 0}}}),
		"an absurd entry count":   {objectFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"an overflowing varint":   {objectFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"a long varint":           {objectFormat, 0x80, 0, 0},
		"an absurd sibling count": {objectFormat, 0, 0xff, 0xff, 0x7f},
	} {
		if o, err := DecodeObject(data); !errors.Is(err, ErrMalformed) || !o.IsZero() {
			t.Errorf("%s: got %v, %v", name, o, err)
		}
	}
	for i := range good {
		if _, err := DecodeObject(good[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	unknown := AppendObject(nil, lone)
	unknown[1+1+entryBytes+1] |= 4
	if _, err := DecodeObject(unknown); !errors.Is(err, ErrMalformed) {
		t.Errorf("an unknown flag: %v", err)
	}
}

func FuzzDecodeObject(f *testing.F) {
	for _, o := range specimens() {
		f.Add(AppendObject(nil, o))
	}
	f.Add([]byte{objectFormat, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := DecodeObject(data)
		if err != nil {
			return
		}
		mustBeValid(t, o)
		if again := AppendObject(nil, o); !bytes.Equal(again, data) || ObjectLen(o) != len(data) {
			t.Fatalf("%x was accepted, but is written %x", data, again)
		}
	})
}

func FuzzDecodeVector(f *testing.F) {
	f.Add(AppendVector(nil, nil))
	f.Add(AppendVector(nil, family.Vector))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := DecodeVector(data)
		if err != nil {
			return
		}
		if again := AppendVector(nil, v); v.Validate() != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x was accepted, but is written %x", data, again)
		}
	})
}
