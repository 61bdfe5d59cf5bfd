package wire

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// value is any MessagePack value that we write.
type value struct {
	kind  Kind
	b     bool
	i     int64
	u     uint64
	f     float64
	s     string
	bin   []byte
	elems []value // of an array; of a map, keys and values in turn
}

func genValue(depth int) *rapid.Generator[value] {
	return rapid.Custom(func(t *rapid.T) value {
		kinds := []Kind{KindNil, KindBool, KindInt, KindFloat, KindStr, KindBin}
		if depth > 0 {
			kinds = append(kinds, KindArray, KindMap)
		}
		v := value{kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
		switch v.kind {
		case KindBool:
			v.b = rapid.Bool().Draw(t, "b")
		case KindInt:
			if rapid.Bool().Draw(t, "unsigned") {
				v.u = rapid.Uint64().Draw(t, "u")
			} else {
				v.i = rapid.Int64().Draw(t, "i")
			}
		case KindFloat:
			v.f = rapid.Float64().Draw(t, "f")
		case KindStr:
			v.s = rapid.StringN(0, 300, 70_000).Draw(t, "s")
		case KindBin:
			v.bin = bytes.Repeat([]byte{7}, rapid.SampledFrom([]int{0, 1, 31, 32, 255, 256, 65535, 65536}).Draw(t, "n"))
		case KindArray:
			v.elems = rapid.SliceOfN(genValue(depth-1), 0, 20).Draw(t, "elems")
		case KindMap:
			v.elems = rapid.SliceOfN(genValue(depth-1), 0, 20).Draw(t, "pairs")
			v.elems = v.elems[:len(v.elems)/2*2]
		}
		return v
	})
}

func (v *value) write(w *Writer) {
	switch v.kind {
	case KindNil:
		w.Nil()
	case KindBool:
		w.Bool(v.b)
	case KindInt:
		if v.u != 0 {
			w.Uint(v.u)
		} else {
			w.Int(v.i)
		}
	case KindFloat:
		w.Float(v.f)
	case KindStr:
		w.Str(v.s)
	case KindBin:
		w.Bin(v.bin)
	case KindArray:
		w.ArrayLen(len(v.elems))
	case KindMap:
		w.MapLen(len(v.elems) / 2)
	}
	for i := range v.elems {
		v.elems[i].write(w)
	}
}

// library writes the value as the library does.
func (v *value) library(e *msgpack.Encoder) {
	switch v.kind {
	case KindNil:
		e.EncodeNil()
	case KindBool:
		e.EncodeBool(v.b)
	case KindInt:
		if v.u != 0 {
			e.EncodeUint(v.u)
		} else {
			e.EncodeInt(v.i)
		}
	case KindFloat:
		e.EncodeFloat64(v.f)
	case KindStr:
		e.EncodeString(v.s)
	case KindBin:
		e.EncodeBytes(v.bin)
	case KindArray:
		e.EncodeArrayLen(len(v.elems))
	case KindMap:
		e.EncodeMapLen(len(v.elems) / 2)
	}
	for i := range v.elems {
		v.elems[i].library(e)
	}
}

// read reads the value back and says what is different.
func (v *value) read(r *Reader) error {
	if k := r.Kind(); k != v.kind {
		return fmt.Errorf("kind %v, want %v", k, v.kind)
	}
	ok := true
	switch v.kind {
	case KindNil:
		ok = r.TryNil()
	case KindBool:
		ok = r.Bool() == v.b
	case KindInt:
		if v.u != 0 {
			ok = r.Uint64() == v.u
		} else {
			ok = r.Int64() == v.i
		}
	case KindFloat:
		ok = math.Float64bits(r.Float()) == math.Float64bits(v.f)
	case KindStr:
		ok = r.Str() == v.s
	case KindBin:
		ok = bytes.Equal(r.Bytes(), v.bin)
	case KindArray:
		ok = r.ArrayLen(1000) == len(v.elems)
	case KindMap:
		ok = r.MapLen(1000) == len(v.elems)/2
	}
	if !ok || r.Err() != nil {
		return fmt.Errorf("%+v reads back as something else: %v", v, r.Err())
	}
	for i := range v.elems {
		if err := v.elems[i].read(r); err != nil {
			return err
		}
	}
	return nil
}

func TestWhatIsWrittenIsWhatTheLibraryWritesAndReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genValue(3).Draw(t, "value")
		var w Writer
		v.write(&w)
		var theirs bytes.Buffer
		e := msgpack.NewEncoder(&theirs)
		v.library(e)
		if !bytes.Equal(w.Bytes(), theirs.Bytes()) {
			t.Fatalf("ours % x, the library's % x", w.Bytes(), theirs.Bytes())
		}
		r := NewReader(w.Bytes())
		if err := v.read(&r); err != nil {
			t.Fatal(err)
		}
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
		r = NewReader(w.Bytes())
		r.Skip()
		if err := r.Done(); err != nil {
			t.Fatalf("skipped: %v", err)
		}
		for cut := range w.Len() {
			if cut > 200 {
				break
			}
			r := NewReader(w.Bytes()[:cut])
			r.Skip()
			if r.Err() == nil {
				t.Fatalf("%d of %d bytes are taken for the whole", cut, w.Len())
			}
		}
	})
}

func TestIntegersOutOfTheirRangeAreRefused(t *testing.T) {
	encode := func(f func(w *Writer)) *Reader {
		var w Writer
		f(&w)
		r := NewReader(w.Bytes())
		return &r
	}
	for name, tc := range map[string]struct {
		r    *Reader
		read func(r *Reader)
	}{
		"negative as unsigned":     {encode(func(w *Writer) { w.Int(-1) }), func(r *Reader) { r.Uint64() }},
		"very negative as such":    {encode(func(w *Writer) { w.Int(math.MinInt64) }), func(r *Reader) { r.Uint64() }},
		"over the limit":           {encode(func(w *Writer) { w.Uint(256) }), func(r *Reader) { r.Uint(255) }},
		"64 bits as signed":        {encode(func(w *Writer) { w.Uint(1 << 63) }), func(r *Reader) { r.Int64() }},
		"below the range":          {encode(func(w *Writer) { w.Int(-6) }), func(r *Reader) { r.Int(-5, 5) }},
		"above the range":          {encode(func(w *Writer) { w.Int(6) }), func(r *Reader) { r.Int(-5, 5) }},
		"a float as an integer":    {encode(func(w *Writer) { w.Float(1) }), func(r *Reader) { r.Int64() }},
		"an int as a boolean":      {encode(func(w *Writer) { w.Int(1) }), func(r *Reader) { r.Bool() }},
		"nil as bytes":             {encode(func(w *Writer) { w.Nil() }), func(r *Reader) { r.Bytes() }},
		"bytes as a string":        {encode(func(w *Writer) { w.Bin(nil) }), func(r *Reader) { r.Str() }},
		"too many elements":        {encode(func(w *Writer) { w.ArrayLen(6); w.Raw(make([]byte, 6)) }), func(r *Reader) { r.ArrayLen(5) }},
		"more elements than bytes": {encode(func(w *Writer) { w.ArrayLen(6); w.Raw(make([]byte, 5)) }), func(r *Reader) { r.ArrayLen(100) }},
		"more pairs than bytes":    {encode(func(w *Writer) { w.MapLen(3); w.Raw(make([]byte, 5)) }), func(r *Reader) { r.MapLen(100) }},
		"nothing":                  {encode(func(*Writer) {}), func(r *Reader) { r.Int64() }},
	} {
		tc.read(tc.r)
		if tc.r.Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	r := encode(func(w *Writer) { w.Int(1); w.Int(2) })
	r.Int64()
	if r.Done() == nil {
		t.Error("trailing bytes are no error")
	}
}

func TestBytesAliasTheMessageAndCannotGrowIntoIt(t *testing.T) {
	var w Writer
	w.Bin([]byte("abc"))
	w.Bin([]byte("def"))
	msg := w.Bytes()
	r := NewReader(msg)
	first := r.Bytes()
	if &first[0] != &msg[2] {
		t.Fatal("copied")
	}
	_ = append(first, "xyz"...)
	if string(r.Bytes()) != "def" {
		t.Fatal("appending to one value changes the next")
	}
}

func TestTheFirstErrorIsKeptAndNothingIsReadAfterIt(t *testing.T) {
	var w Writer
	w.Str("text")
	w.Int(5)
	r := NewReader(w.Bytes())
	r.Int64()
	first := r.Err()
	if r.Int64() != 0 || r.Str() != "" || r.Bytes() != nil || r.ArrayLen(9) != 0 || r.TryNil() || r.Bool() || r.Float() != 0 {
		t.Fatal("something was read after an error")
	}
	r.Skip()
	if r.Err() != first || r.Done() != first {
		t.Fatal("the first error is lost")
	}
}

func FuzzReader(f *testing.F) {
	var w Writer
	w.ArrayLen(4)
	w.MapLen(1)
	w.Str("a")
	w.Float(1)
	w.Bin([]byte("x"))
	w.Int(-100_000)
	w.Uint(math.MaxUint64)
	f.Add(w.Bytes(), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{codeBin32, 0xff, 0xff, 0xff, 0xff}, []byte{5})
	f.Add(bytes.Repeat([]byte{codeArray16, 0, 1}, 1000), []byte{9})
	f.Fuzz(func(t *testing.T, msg, calls []byte) {
		r := NewReader(msg)
		for _, c := range calls {
			before, failed := r.Offset(), r.Err() != nil
			switch c % 11 {
			case 0:
				r.TryNil()
			case 1:
				r.Bool()
			case 2:
				r.Int64()
			case 3:
				r.Uint64()
			case 4:
				r.Float()
			case 5:
				r.Bytes()
			case 6:
				_ = r.Str()
			case 7:
				if n := r.ArrayLen(100); n > r.Remaining() || n > 100 {
					t.Fatalf("array of %d with %d bytes left", n, r.Remaining())
				}
			case 8:
				if n := r.MapLen(100); 2*n > r.Remaining() || n > 100 {
					t.Fatalf("map of %d with %d bytes left", n, r.Remaining())
				}
			case 9:
				r.Skip()
			case 10:
				r.Int(-3, 200)
			}
			if failed && r.Offset() != before {
				t.Fatal("read on after an error")
			}
		}
		if r.Offset() > len(msg) {
			t.Fatal("read past the end")
		}
	})
}
