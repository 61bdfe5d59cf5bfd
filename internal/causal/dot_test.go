package causal

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

func TestTimestampKeepsMilliseconds(t *testing.T) {
	at := time.Date(2025, 3, 4, 5, 6, 7, 89_999_999, time.UTC)
	ts := TimestampOf(at)
	if want := at.Truncate(time.Millisecond); !ts.Time().Equal(want) || ts.Logical() != 0 || ts.Millis() != at.UnixMilli() {
		t.Fatalf("%v: time %v, logical %d", at, ts.Time(), ts.Logical())
	}
	if got, want := (ts + 7).String(), "2025-03-04T05:06:07.089Z+7"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestTimestampOfTimesThatDoNotFitIsTheNearestThatDoes(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want Timestamp
	}{
		{time.Unix(-1, 0), 0},
		{time.Time{}, 0},
		{time.UnixMilli(1<<48 - 1), (1<<48 - 1) << 16},
		{time.UnixMilli(1 << 48), (1<<48 - 1) << 16},
		{time.UnixMilli(1<<62 - 1), (1<<48 - 1) << 16},
	} {
		if got := TimestampOf(c.at); got != c.want {
			t.Errorf("%v: got %x, want %x", c.at, uint64(got), uint64(c.want))
		}
	}
}

func TestTimestampAdditionDoesNotWrap(t *testing.T) {
	top := ^Timestamp(0)
	if got := (top - 5).add(time.Hour); got != top {
		t.Fatalf("wrapped to %x", uint64(got))
	}
	if got := Timestamp(1 << 16).add(2 * time.Millisecond); got != 3<<16 {
		t.Fatalf("got %x", uint64(got))
	}
	if got := Timestamp(1 << 16).add(-time.Hour); got != 1<<16 {
		t.Fatalf("a negative step moved it to %x", uint64(got))
	}
}

func TestNewActorIs48BitsAndNeverZero(t *testing.T) {
	a, err := NewActor(bytes.NewReader([]byte{0, 0, 0, 0, 0, 0, 0xff, 1, 2, 3, 4, 5}))
	if err != nil || a != 0xff0102030405 || !a.Valid() {
		t.Fatalf("got %v, %v", a, err)
	}
	if got := a.String(); got != "ff0102030405" {
		t.Fatalf("got %s", got)
	}
	if _, err := NewActor(bytes.NewReader([]byte{1, 2})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("a short source gave %v", err)
	}
	if Actor(0).Valid() || Actor(1<<48).Valid() {
		t.Fatal("zero or 49 bits pass for an actor")
	}
}

func TestDotsOrderByActorThenTime(t *testing.T) {
	sorted := []Dot{{1, 1}, {1, 9}, {2, 0}, {2, 1}}
	for i, d := range sorted {
		for j, e := range sorted {
			if got, want := d.Compare(e), min(max(i-j, -1), 1); got != want {
				t.Errorf("%v to %v: got %d, want %d", d, e, got, want)
			}
		}
	}
}
