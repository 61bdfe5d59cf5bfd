package causal

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestStoredFormatIsTheOneThatWasReleased(t *testing.T) {
	for name, o := range specimens() {
		golden(t, "meta-"+name+".hex", AppendMeta(nil, o))
		golden(t, "value-"+name+".hex", StoredValue(o, nil))
	}
}

func TestLoneSiblingOfTheOnlyWriterTakes15BytesOfMetaAndNoneOfValue(t *testing.T) {
	if meta := AppendMeta(nil, lone); len(meta) != 15 {
		t.Errorf("meta takes %d bytes", len(meta))
	}
	if value := StoredValue(lone, nil); &value[0] != &lone.Siblings[0].Value[0] || len(value) != len("value") {
		t.Error("the value is not the bare value itself")
	}
}

func checkStored(t interface {
	Helper()
	Fatalf(string, ...any)
}, o Object) {
	t.Helper()
	meta := AppendMeta([]byte("before"), o)[len("before"):]
	if len(meta) > MetaBytesMax || len(meta) != metaLen(o) && metaLen(o) <= MetaBytesMax {
		t.Fatalf("meta of %v takes %d bytes, announced %d", o, len(meta), metaLen(o))
	}
	value := StoredValue(o, nil)
	used := Object{Vector: make(Vector, 3, 9), Siblings: make([]Sibling, 2)}
	complete, err := DecodeMeta(&used, meta)
	if err != nil || complete != (metaLen(o) <= MetaBytesMax) || complete && !used.Equal(o.Heads()) {
		t.Fatalf("%v came back as %v, complete %v, %v", o.Heads(), used, complete, err)
	}
	if err := DecodeStored(&used, meta, value); err != nil || !used.Equal(o) {
		t.Fatalf("%v came back as %v, %v", o, used, err)
	}
}

func TestStoredObjectComesBack(t *testing.T) {
	for _, o := range specimens() {
		checkStored(t, o)
	}
	rapid.Check(t, func(t *rapid.T) { checkStored(t, genObject(t)) })
}

func TestHeadsThatDoNotFitMoveIntoTheValue(t *testing.T) {
	for n := Actor(1); n <= 30; n++ {
		o := Object{}
		for a := Actor(1); a <= n; a++ {
			o.Vector = append(o.Vector, Entry{a, 2})
			o.Siblings = append(o.Siblings, Sibling{Dot: Dot{a, 1 + Timestamp(a%2)}, Value: []byte{byte(a)}})
		}
		checkStored(t, o)
	}
	a, b := crowd(), crowd()
	b.Siblings[3].Tombstone, b.Siblings[3].Value = true, nil
	if bytes.Equal(AppendMeta(nil, a), AppendMeta(nil, b)) {
		t.Error("the meta of different heads is the same")
	}
}

// outdatedMeta is what earlier versions wrote of an object whose vector is elsewhere.
func outdatedMeta(o Object) []byte { return appendDigest([]byte{metaFormat | metaElsewhere}, o) }

func TestLoneSiblingStoredByAnEarlierVersionIsRead(t *testing.T) {
	o := followed()
	old := outdatedMeta(o)
	golden(t, "meta-followed-1.hex", old)
	var got Object
	if err := DecodeStored(&got, old, StoredValue(o, nil)); err != nil || !got.Equal(o) {
		t.Errorf("got %v, %v", got, err)
	}
	if !o.Outdated(old) || o.Outdated(AppendMeta(nil, o)) || o.Outdated(nil) || crowd().Outdated(AppendMeta(nil, crowd())) {
		t.Error("not only the old form of a lone sibling counts as outdated")
	}
}

func TestStoredDecoderRefuses(t *testing.T) {
	m := func(o Object) []byte { return AppendMeta(nil, o) }
	patch := func(data []byte, at int, b byte) []byte {
		data = bytes.Clone(data)
		data[at] = b
		return data
	}
	twoOfOne := []byte{metaFormat | metaSeveral, 1}
	twoOfOne = appendHead(twoOfOne, &lone.Siblings[0])
	implied := appendDot(m(lone), lone.Siblings[0].Dot)
	unsorted := appendDot(appendDot(m(lone), Dot{0xc3, 1}), Dot{0xb2, 1})
	for name, c := range map[string]struct{ meta, value []byte }{
		"no meta":                            {nil, nil},
		"another format":                     {patch(m(lone), 0, 2<<5), nil},
		"flags of two forms":                 {patch(m(lone), 0, metaFormat|metaSeveral|flagTombstone), nil},
		"one sibling as several":             {twoOfOne, []byte{0}},
		"more siblings than bytes":           {patch(m(family), 1, 9), StoredValue(family, nil)},
		"half an entry":                      {append(m(lone), 1, 2, 3), nil},
		"an implied entry":                   {implied, nil},
		"unsorted entries":                   {unsorted, nil},
		"a zero dot":                         {append([]byte{metaFormat}, make([]byte, entryBytes)...), nil},
		"a tombstone with a value":           {m(grave), []byte{1}},
		"values too short":                   {m(family), StoredValue(family, nil)[:8]},
		"values too long":                    {m(family), append(StoredValue(family, nil), 0)},
		"a value for one of the tombstones":  {m(family), []byte{3, 1, 0, 0, 'o', 'n', 'e', 'x'}},
		"heads elsewhere, but another's":     {m(crowd()), AppendObject(nil, family)},
		"heads elsewhere, but nowhere":       {m(crowd()), nil},
		"a digest too short":                 {m(crowd())[:8], StoredValue(crowd(), nil)},
		"a small object elsewhere":           {outdatedMeta(lone), AppendObject(nil, lone)},
		"a small vector elsewhere":           {patch(m(lone), 0, metaFormat|metaVectorElsewhere), AppendObject(nil, lone)},
		"a vector elsewhere, but another's":  {patch(m(followed()), 9, 77), AppendObject(nil, followed())},
		"other flags elsewhere":              {patch(m(followed()), 0, metaFormat|metaVectorElsewhere|flagExpires|flagTombstone), AppendObject(nil, followed())},
		"an entry before a vector elsewhere": {appendDot(m(followed()), Dot{1, 1}), AppendObject(nil, followed())},
		"a meta too long":                    {append(m(lone), make([]byte, 18*entryBytes)...), nil},
	} {
		var o Object
		if err := DecodeStored(&o, c.meta, c.value); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, %v", name, o, err)
		}
	}
}

func FuzzDecodeStored(f *testing.F) {
	for _, o := range specimens() {
		f.Add(AppendMeta(nil, o), StoredValue(o, nil))
	}
	f.Add(outdatedMeta(followed()), StoredValue(followed(), nil))
	f.Add([]byte{metaFormat | metaSeveral, 255}, []byte{})
	f.Add(appendHead([]byte{metaFormat | metaCompact}, &lone.Siblings[0])[1:], lone.Siblings[0].Value)
	f.Fuzz(func(t *testing.T, meta, value []byte) {
		var o Object
		if DecodeStored(&o, meta, value) != nil {
			return
		}
		mustBeValid(t, o)
		again := AppendMeta(nil, o)
		if o.Outdated(meta) {
			again = outdatedMeta(o)
		}
		if meta[0]&metaCompact != 0 {
			MarkCompact(again)
		}
		if !bytes.Equal(again, meta) {
			t.Fatalf("meta %x was accepted, but is written %x", meta, again)
		}
		if again := StoredValue(o, nil); !bytes.Equal(again, value) {
			t.Fatalf("value %x was accepted, but is written %x", value, again)
		}
	})
}
