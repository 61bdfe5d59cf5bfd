package wire

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestTheScannerFindsTheEndHoweverTheStreamIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(genValue(3), 1, 5).Draw(t, "values")
		var w Writer
		var ends []int
		for i := range values {
			values[i].write(&w)
			ends = append(ends, w.Len())
		}
		s := NewScanner(ScanLimits{})
		at := 0
		for at < w.Len() {
			piece := min(rapid.IntRange(1, 40).Draw(t, "piece"), w.Len()-at)
			if len(ends) > 0 && ends[0]-at > 1000 {
				piece = min(1000, w.Len()-at)
			}
			b := w.Bytes()[at : at+piece]
			n, done, err := s.Scan(b)
			if err != nil {
				t.Fatal(err)
			}
			if !done && n != len(b) {
				t.Fatalf("%d of %d bytes consumed", n, len(b))
			}
			if at += n; done {
				if at != ends[0] {
					t.Fatalf("a value ends at %d, want %d", at, ends[0])
				}
				ends = ends[1:]
			} else if at < ends[0] && s.Lacking() > ends[0]-at {
				t.Fatalf("%d bytes are lacking, the scanner says %d", ends[0]-at, s.Lacking())
			}
		}
		if len(ends) != 0 {
			t.Fatalf("%d values were not found", len(ends))
		}
	})
}

func TestTheScannerRefusesALengthAsSoonAsItsHeaderIsThere(t *testing.T) {
	limits := ScanLimits{BytesMax: 1000, DepthMax: 3, ElementsMax: 100}
	for name, tc := range map[string]struct {
		b    []byte
		want string // the limit; empty for none
	}{
		"bytes at the limit":    {[]byte{codeBin16, 0x03, 0xe5}, ""},
		"bytes over the limit":  {[]byte{codeBin16, 0x03, 0xe6}, "bytes"},
		"bytes of several":      {append([]byte{0x92, codeBin16, 0x02, 0x00}, append(make([]byte, 512), codeBin16, 0x02, 0x00)...), "bytes"},
		"huge":                  {[]byte{codeStr32, 0xff, 0xff, 0xff, 0xff}, "bytes"},
		"huge extension":        {[]byte{codeExt32, 0xff, 0xff, 0xff, 0xff}, "bytes"},
		"depth at the limit":    {[]byte{0x91, 0x91, 0x91}, ""},
		"depth over the limit":  {[]byte{0x91, 0x91, 0x91, 0x91}, "depth"},
		"empty at the depth":    {[]byte{0x91, 0x91, 0x91, 0x90}, "depth"},
		"elements at the limit": {[]byte{codeArray16, 0, 99}, ""},
		"elements over it":      {[]byte{codeArray16, 0, 100}, "elements"},
		"pairs over it":         {[]byte{codeMap16, 0, 50}, "elements"},
		"a huge map":            {[]byte{codeMap32, 0xff, 0xff, 0xff, 0xff}, "elements"},
		"elements in all":       {append([]byte{codeArray16, 0, 60}, bytes.Repeat([]byte{0x91, 1}, 60)...), "elements"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []int{1, len(tc.b)} {
				s := NewScanner(limits)
				var err error
				for at := 0; at < len(tc.b) && err == nil; at += step {
					_, _, err = s.Scan(tc.b[at:min(at+step, len(tc.b))])
				}
				var limit *LimitError
				if tc.want == "" && err != nil || tc.want != "" && (!errors.As(err, &limit) || limit.What != tc.want) {
					t.Fatalf("in steps of %d: %v, want %q", step, err, tc.want)
				}
			}
		})
	}
}

func TestAByteAtATimeCostsNoMoreThanAllAtOnce(t *testing.T) {
	// A stream of many open containers and one long string: quadratic work would take minutes.
	var w Writer
	w.ArrayLen(100_001)
	for range 100_000 {
		w.ArrayLen(1)
		w.Int(1000)
	}
	w.Bin(make([]byte, 4<<20))
	s := NewScanner(ScanLimits{})
	for i, c := range w.Bytes() {
		_, done, err := s.Scan([]byte{c})
		if err != nil || done != (i == w.Len()-1) {
			t.Fatalf("byte %d of %d: %v, %v", i, w.Len(), done, err)
		}
	}
}

func FuzzScanner(f *testing.F) {
	var w Writer
	w.Request(7, MethodPut)
	(&PutRequest{Key: []byte("k"), Value: make([]byte, 300), Options: Options{W: LevelAll}}).Encode(&w)
	f.Add(w.Bytes(), uint8(1))
	f.Add([]byte{codeArray32, 0xff, 0xff, 0xff, 0xff}, uint8(2))
	f.Add(bytes.Repeat([]byte{0x91}, 100), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		limits := ScanLimits{BytesMax: 10_000, DepthMax: 8, ElementsMax: 1000}
		whole, pieces := NewScanner(limits), NewScanner(limits)
		n, done, err := whole.Scan(b)
		at, doneInPieces, errInPieces := 0, false, error(nil)
		for at < len(b) && !doneInPieces && errInPieces == nil {
			var m int
			m, doneInPieces, errInPieces = pieces.Scan(b[at:min(at+int(step)+1, len(b))])
			at += m
		}
		if done != doneInPieces || (err == nil) != (errInPieces == nil) || (err == nil && n != at) {
			t.Fatalf("whole: %d %v %v; in pieces: %d %v %v", n, done, err, at, doneInPieces, errInPieces)
		}
		if done {
			r := NewReader(b[:n])
			r.Skip()
			if err := r.Done(); err != nil {
				t.Fatalf("the scanner finds a value where the reader finds %v", err)
			}
		}
	})
}
