package peer

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The offset is wrong by at most half of the round trip, however unequal the two ways are.
func TestOffsetIsWithinHalfTheRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, name))
		}
		there, work, back := span("there", time.Second), span("work", time.Second), span("back", time.Second)
		skew := span("skew", 100*time.Hour) - 50*time.Hour
		sent := time.Unix(1_700_000_000, 0)
		arrived := sent.Add(there + skew)
		s := measure(sent, arrived, arrived.Add(work), sent.Add(there+work+back))
		if s.rtt != there+back {
			t.Fatalf("round trip %v, want %v", s.rtt, there+back)
		}
		if (s.offset - skew).Abs() > s.rtt/2+1 {
			t.Fatalf("offset %v, clock is off by %v, round trip %v", s.offset, skew, s.rtt)
		}
	})
}

func TestFilterTrustsTheShortestRoundTrip(t *testing.T) {
	var f offsetFilter
	for _, s := range []sample{{9, 100}, {5, 10}, {30, 300}, {7, 20}} {
		f.add(sample{s.offset * time.Millisecond, s.rtt * time.Millisecond})
	}
	if f.best.offset != 5*time.Millisecond {
		t.Fatalf("got %v", f.best)
	}
	for range sampleCount {
		f.add(sample{6 * time.Millisecond, 30 * time.Millisecond})
	}
	if f.best.offset != 6*time.Millisecond {
		t.Fatalf("an old sample is believed for ever: %v", f.best)
	}
}

func TestFilterFollowsAClockThatIsSet(t *testing.T) {
	var f offsetFilter
	for range sampleCount {
		f.add(sample{0, time.Millisecond})
	}
	f.add(sample{time.Hour, 50 * time.Millisecond})
	if f.best.offset != time.Hour {
		t.Fatalf("got %v", f.best)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []time.Duration
		want time.Duration
	}{{[]time.Duration{4}, 4}, {[]time.Duration{9, 1}, 5}, {[]time.Duration{100, -3, 2}, 2}, {[]time.Duration{8, 0, 2, 4}, 3}} {
		if got := median(c.in); got != c.want {
			t.Errorf("%v: got %v", c.in, got)
		}
	}
}
