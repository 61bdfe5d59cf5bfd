package gateway

import (
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

func TestAdmissionRefusesPastItsCountAndAdmitsAgainAfterRelease(t *testing.T) {
	a := NewAdmission(2, 100, 30*time.Millisecond)
	for range 2 {
		if f := a.Acquire(1); f != nil {
			t.Fatalf("refused below the bound: %v", f)
		}
	}
	f := a.Acquire(1)
	if f == nil || f.Code != wire.CodeOverloaded || f.Effect != wire.EffectNone || f.RetryAfter != 30*time.Millisecond {
		t.Fatalf("third request got %+v, want overloaded with effect none and retry after 30ms", f)
	}
	a.Release(1)
	if f := a.Acquire(1); f != nil {
		t.Fatalf("refused after a release: %v", f)
	}
	want := wire.RequestStatus{InFlight: 2, InFlightBytes: 2, Total: 4, Refused: 1}
	if got := a.Status(); got != want {
		t.Fatalf("status %+v, want %+v", got, want)
	}
}

func TestAdmissionRefusesPastItsBytes(t *testing.T) {
	a := NewAdmission(10, 100, 0)
	if f := a.Acquire(60); f != nil {
		t.Fatal(f)
	}
	if f := a.Acquire(41); f == nil || f.Code != wire.CodeOverloaded {
		t.Fatalf("101 bytes of 100 got %v, want overloaded", f)
	}
	if f := a.Acquire(40); f != nil {
		t.Fatalf("100 bytes of 100 were refused: %v", f)
	}
	if f := a.Acquire(101); f == nil || f.Code != wire.CodeTooLarge {
		t.Fatalf("what can never fit got %v, want too_large", f)
	}
}

func TestARequestThatGrowsCountsAgainstTheBytes(t *testing.T) {
	a := NewAdmission(10, 100, 0)
	if f := a.Acquire(10); f != nil {
		t.Fatal(f)
	}
	if f := a.Grow(90); f != nil {
		t.Fatalf("refused at the bound: %v", f)
	}
	if f := a.Grow(1); f == nil || f.Code != wire.CodeOverloaded {
		t.Fatalf("grew beyond the bound: %v", f)
	}
	a.Release(100)
	if s := a.Status(); s.InFlight != 0 || s.InFlightBytes != 0 {
		t.Fatalf("after the release: %+v", s)
	}
}

func TestAdmissionNeverAdmitsBeyondABoundFromManyGoroutines(t *testing.T) {
	const bound, workers = 8, 16
	a := NewAdmission(bound, 1<<20, 0)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range 2000 {
				if a.Acquire(3) == nil {
					if n := a.InFlight(); n > bound+workers {
						t.Errorf("%d in flight", n)
					}
					a.Release(3)
				}
			}
		})
	}
	wg.Wait()
	if s := a.Status(); s.InFlight != 0 || s.InFlightBytes != 0 || s.Total != workers*2000 {
		t.Fatalf("after all was released: %+v", s)
	}
}

func TestAdmissionBoundsAreNeverPassedAtOnce(t *testing.T) {
	const bound = 5
	a := NewAdmission(bound, 1<<20, 0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	for range 64 {
		wg.Go(func() {
			if a.Acquire(1) == nil {
				mu.Lock()
				admitted++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if admitted < 1 || admitted > bound {
		t.Fatalf("%d requests hold a place, the bound is %d", admitted, bound)
	}
}

func BenchmarkAdmission(b *testing.B) {
	a := NewAdmission(8192, 1<<28, 0)
	b.ReportAllocs()
	for b.Loop() {
		if a.Acquire(512) == nil {
			a.Release(512)
		}
	}
}
