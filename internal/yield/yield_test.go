package yield

import (
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

func TestRestsTakeAQuarterOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yields := time.Duration(0)
		y := Yielder{Yield: func() { yields++; time.Sleep(10 * time.Millisecond) }}
		began := time.Now()
		for range 10_000 {
			time.Sleep(RunLeast)
			y.Rest()
		}
		if part := float64(yields*10*time.Millisecond) / float64(time.Since(began)); part < 0.2 || part > 0.27 {
			t.Errorf("%.2f of the time went into yields", part)
		}
	})
}

func TestWhatIsPutByIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yields := 0
		y := Yielder{Yield: func() { yields++; time.Sleep(5 * time.Millisecond) }}
		y.Rest()
		time.Sleep(time.Hour)
		for range 20 {
			time.Sleep(RunLeast)
			y.Rest()
		}
		if yields > 5 {
			t.Errorf("%d yields of 5 ms after an hour without", yields)
		}
	})
}
