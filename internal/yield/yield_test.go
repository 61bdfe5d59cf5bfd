package yield

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestRestIsNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yields := 0
		y := Yielder{Yield: func() { yields++ }}
		for range 1000 {
			time.Sleep(RunLeast / 10)
			y.Rest()
		}
		if yields < 99 || yields > 100 {
			t.Errorf("%d yields in %v of work", yields, 100*RunLeast)
		}
	})
}

func TestRestsTakeHalfOfTheTimeAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = 10 * RunLeast
		yields := time.Duration(0)
		y := Yielder{Yield: func() { yields++; time.Sleep(took) }}
		began := time.Now()
		for range 10_000 {
			time.Sleep(RunLeast)
			y.Rest()
		}
		if part := float64(yields*took) / float64(time.Since(began)); part < 0.45 || part > 0.5 {
			t.Errorf("%.3f of the time went into yields", part)
		}
	})
}

func TestProcessorsAreBusy(t *testing.T) {
	const much = busyShare + 0.01
	used, now := time.Hour, time.Now()
	l := load{used: func() time.Duration { return used }}
	all := float64(runtime.GOMAXPROCS(0))
	for i, step := range []struct {
		passed time.Duration
		share  float64
		busy   bool
	}{
		{lookInterval, 0, false},
		{lookInterval, much, true},
		{lookInterval / 2, 0, true}, // not looked yet
		{lookInterval / 2, 0, false},
		{time.Hour, much, true},
		{time.Hour, busyShare - 0.01, false},
	} {
		now = now.Add(step.passed)
		used += time.Duration(step.share * all * float64(step.passed))
		if busy := l.busy(now); busy != step.busy {
			t.Errorf("step %d: busy is %v", i, busy)
		}
	}
}

func TestNoYieldsWhereProcessorsAreBusy(t *testing.T) {
	used := time.Duration(0)
	l := &load{used: func() time.Duration { return used }}
	yields := 0
	y := Yielder{Yield: func() { yields++ }, load: l}
	y.Rest()
	if yields != 1 {
		t.Fatalf("%d yields where the processors are idle", yields)
	}
	l.isBusy, y.next = true, time.Time{}
	before := time.Now()
	if y.Rest(); yields != 1 || y.next.Before(before.Add(lookInterval)) {
		t.Errorf("%d yields where they are busy, the next in %v", yields, y.next.Sub(before))
	}
	l.isBusy, y.next = false, time.Time{}
	if y.Rest(); yields != 2 {
		t.Errorf("%d yields where they are idle again", yields)
	}
}

func TestProcessorsAreNeverBusyByAFakeClock(t *testing.T) {
	l := load{used: func() time.Duration { return time.Duration(time.Now().UnixNano()) * 1000 }, isBusy: true}
	synctest.Test(t, func(t *testing.T) {
		for range 3 {
			time.Sleep(lookInterval)
			if l.busy(time.Now()) {
				t.Error("they are busy")
			}
		}
	})
	if !l.looked.IsZero() {
		t.Error("a fake clock was compared with a real one")
	}
}
