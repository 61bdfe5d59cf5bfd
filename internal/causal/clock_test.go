package causal

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wall is a physical clock and a durable ceiling that a test sets.
type wall struct {
	now     time.Time
	durable Timestamp
	writes  int
	fail    error
}

func (w *wall) clock() *Clock {
	return NewClock(ClockOptions{Now: func() time.Time { return w.now }, Ceiling: w.durable, Persist: w.persist})
}

func (w *wall) persist(t Timestamp) error {
	if w.fail != nil {
		return w.fail
	}
	w.writes++
	w.durable = t
	return nil
}

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func mustNext(t *testing.T, c *Clock, after Timestamp) Timestamp {
	t.Helper()
	ts, err := c.Next(after)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func TestClockFollowsTheWallClock(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	if got := mustNext(t, c, 0); got != TimestampOf(noon) {
		t.Fatalf("got %v", got)
	}
	if got := mustNext(t, c, 0); got != TimestampOf(noon)+1 || c.Last() != got {
		t.Fatalf("a second one in the same millisecond is %v", got)
	}
	w.now = noon.Add(time.Second)
	if got := mustNext(t, c, 0); got != TimestampOf(w.now) {
		t.Fatalf("a second later it is %v", got)
	}
}

func TestClockNeverGoesBackWithTheWallClock(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	last := mustNext(t, c, 0)
	for range 5 {
		w.now = w.now.Add(-time.Hour)
		next := mustNext(t, c, 0)
		if next <= last {
			t.Fatalf("%v after %v", next, last)
		}
		last = next
	}
}

func TestClockExceedsWhatItObservedAndWhatItIsAskedToExceed(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	ahead := TimestampOf(noon.Add(time.Hour))
	c.Observe(ahead)
	if got := mustNext(t, c, 0); got != ahead+1 {
		t.Fatalf("got %v after observing %v", got, ahead)
	}
	c.Observe(1)
	further := ahead + 1000
	if got := mustNext(t, c, further); got != further+1 || c.Last() != got {
		t.Fatalf("got %v after %v", got, further)
	}
}

func TestClockIssuesNothingAboveItsDurableCeiling(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	for i := range 2000 {
		w.now = w.now.Add(time.Duration(i%7) * time.Millisecond)
		if got := mustNext(t, c, 0); got > w.durable {
			t.Fatalf("issued %v above the ceiling %v", got, w.durable)
		}
	}
	if w.writes > 10 {
		t.Fatalf("the ceiling was written %d times in 6 s", w.writes)
	}
	w.fail = errors.New("disk is gone")
	w.now = w.now.Add(time.Minute)
	before := c.Last()
	if _, err := c.Next(0); !errors.Is(err, w.fail) || c.Last() != before {
		t.Fatalf("got %v, clock at %v, was %v", err, c.Last(), before)
	}
	w.fail = nil
	mustNext(t, c, 0)
}

func TestClockStartsAboveEverythingThatACrashedOneIssued(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	var last Timestamp
	for range 100 {
		w.now = w.now.Add(11 * time.Millisecond)
		last = mustNext(t, c, 0)
	}
	w.now = noon.Add(-24 * time.Hour)
	if got := mustNext(t, w.clock(), 0); got <= last {
		t.Fatalf("issued %v again below %v", got, last)
	}
}

func TestSettledClockLeavesNoGap(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	last := mustNext(t, c, 0)
	if err := c.Settle(); err != nil || w.durable != last {
		t.Fatalf("settled at %v (%v), last %v", w.durable, err, last)
	}
	w.now = noon.Add(time.Hour)
	if err := c.Reserve(); !errors.Is(err, ErrClockSettled) || c.Settle() != nil || w.durable != last {
		t.Fatalf("the ceiling was raised to %v afterwards: %v", w.durable, err)
	}
	w.now = noon
	if got := mustNext(t, w.clock(), 0); got != last+1 {
		t.Fatalf("started with %v after %v", got, last)
	}
}

func TestClockSurvivesHostileTimestamps(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	for _, hostile := range []Timestamp{^Timestamp(0), ^Timestamp(0) - 1, timestampMax + 1} {
		c.Observe(hostile)
		if _, err := c.Next(hostile); !errors.Is(err, ErrClockExhausted) {
			t.Fatalf("after %x: %v", uint64(hostile), err)
		}
		if got := mustNext(t, c, 0); got.Millis() != noon.UnixMilli() {
			t.Fatalf("%x drove the clock to %v", uint64(hostile), got)
		}
	}
	c.Observe(timestampMax)
	if _, err := c.Next(0); !errors.Is(err, ErrClockExhausted) {
		t.Fatalf("got %v", err)
	}
	if err := c.Reserve(); !errors.Is(err, ErrClockExhausted) {
		t.Fatalf("got %v", err)
	}
	if err := c.ObserveClient(^Timestamp(0)); !errors.Is(err, ErrClockAhead) {
		t.Fatalf("got %v", err)
	}
}

func TestClientCannotPushTheClockFurtherThanTheBound(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	bound := TimestampOf(noon.Add(60 * time.Second))
	if err := c.ObserveClient(bound + 1<<logicalBits); !errors.Is(err, ErrClockAhead) || c.Last() != 0 {
		t.Fatalf("got %v, clock at %v", err, c.Last())
	}
	if err := c.CheckContext(Vector{{1, 5}, {2, bound + 1<<logicalBits}}); !errors.Is(err, ErrClockAhead) {
		t.Fatalf("got %v", err)
	}
	if err := c.CheckContext(Vector{{1, 5}, {2, bound}}); err != nil || c.Last() != 0 {
		t.Fatalf("got %v, clock at %v", err, c.Last())
	}
	if err := c.ObserveClient(bound); err != nil || c.Last() != bound {
		t.Fatalf("got %v, clock at %v", err, c.Last())
	}
	// Step by step it gets ahead by the slack each time, and no more.
	for range 100 {
		_ = c.ObserveClient(c.Last().add(time.Second))
		if err := c.ObserveClient(c.Last().add(clientSlack)); err != nil {
			t.Fatal(err)
		}
	}
	if got, most := c.Last(), bound.add(100*clientSlack); got > most {
		t.Fatalf("a client drove the clock to %v, past %v", got, most)
	}
}

func TestClientMayBringWhatAClusterAheadOfTheWallClockIssued(t *testing.T) {
	w := &wall{now: noon}
	c := w.clock()
	c.Observe(TimestampOf(noon.Add(time.Hour)))
	if err := c.ObserveClient(c.Last() + 1000); err != nil {
		t.Fatal(err)
	}
	if err := c.ObserveClient(5); err != nil {
		t.Fatal(err)
	}
}

func TestClockIssuesEachTimestampOnceToManyGoroutines(t *testing.T) {
	const goroutines, each = 8, 2000
	w := &wall{now: noon}
	c := w.clock()
	all := make([][]Timestamp, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range each {
				ts, err := c.Next(0)
				if err != nil {
					t.Error(err)
					return
				}
				all[g] = append(all[g], ts)
			}
		})
	}
	wg.Wait()
	seen := map[Timestamp]bool{}
	for _, issued := range all {
		for i, ts := range issued {
			if seen[ts] || i > 0 && ts <= issued[i-1] {
				t.Fatalf("%v was issued twice, or out of order", ts)
			}
			seen[ts] = true
		}
	}
}

func TestRunKeepsTheCeilingAheadOfNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{}
		c := NewClock(ClockOptions{Persist: w.persist})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		for range 1000 {
			time.Sleep(37 * time.Millisecond)
			synctest.Wait()
			if w.durable <= max(c.Last(), TimestampOf(time.Now())) {
				t.Fatal("Next would have to write the ceiling itself")
			}
			mustNext(t, c, 0)
		}
		// A leap ahead in logical time is made up for at once, without waiting for the next tick.
		c.Observe(c.Last().add(2 * time.Second))
		mustNext(t, c, 0)
		synctest.Wait()
		if left := w.durable - c.Last(); left < c.half {
			t.Fatalf("only %v of the window is left", time.Duration(left.Millis())*time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkClockNext(b *testing.B) {
	c := NewClock(ClockOptions{Persist: func(Timestamp) error { return nil }})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Next(0); err != nil {
			b.Fatal(err)
		}
	}
}
