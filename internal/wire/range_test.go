package wire

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestASpanHoldsExactlyTheKeysOfTheRange(t *testing.T) {
	key := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xfe, 0xff}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		q := RangeRequest{Start: key.Draw(t, "start"), End: key.Draw(t, "end"), Prefix: key.Draw(t, "prefix"), Reverse: rapid.Bool().Draw(t, "reverse")}
		resume := key.Draw(t, "resume")
		hasCursor := rapid.Bool().Draw(t, "has cursor")
		if hasCursor {
			q.Cursor = q.NextCursor(resume)
		}
		start, end, some, err := q.Span()
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			k := key.Draw(t, "key")
			want := bytes.Compare(k, q.Start) >= 0 && (len(q.End) == 0 || bytes.Compare(k, q.End) <= 0) && bytes.HasPrefix(k, q.Prefix)
			if hasCursor {
				want = want && (q.Reverse == (bytes.Compare(k, resume) < 0))
			}
			got := some && bytes.Compare(k, start) >= 0 && (len(end) == 0 || bytes.Compare(k, end) < 0)
			if got != want {
				t.Fatalf("%q in %+v (%q to %q, %v): %v, want %v", k, q, start, end, some, got, want)
			}
		}
	})
}

func TestACursorBelongsToItsRange(t *testing.T) {
	q := RangeRequest{Start: []byte("a"), End: []byte("z"), Prefix: []byte("p")}
	cursor := q.NextCursor([]byte("pq"))
	for name, other := range map[string]RangeRequest{
		"another start":     {Start: []byte("b"), End: q.End, Prefix: q.Prefix, Cursor: cursor},
		"another end":       {Start: q.Start, End: []byte("y"), Prefix: q.Prefix, Cursor: cursor},
		"another prefix":    {Start: q.Start, End: q.End, Cursor: cursor},
		"another direction": {Start: q.Start, End: q.End, Prefix: q.Prefix, Reverse: true, Cursor: cursor},
		"cut":               {Start: q.Start, End: q.End, Prefix: q.Prefix, Cursor: cursor[:len(cursor)-1]},
		"shifted bounds":    {Start: []byte("az"), Prefix: q.Prefix, Cursor: cursor},
	} {
		if _, _, _, err := other.Span(); err != ErrCursor {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range cursor {
		bad := bytes.Clone(cursor)
		bad[i] ^= 0x40
		q.Cursor = bad
		if _, _, _, err := q.Span(); err != ErrCursor {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
}
