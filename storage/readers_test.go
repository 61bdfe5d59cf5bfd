package storage

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// startWait waits in a goroutine of its own, and says when that is over.
func startWait(r *readers) (over *atomic.Bool) {
	over = new(atomic.Bool)
	go func() {
		r.wait()
		over.Store(true)
	}()
	return over
}

func TestReadersAreWaitedForAndWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaders()
		for turn := range 4 {
			r.generation.Store(uint32(turn))
			first := r.enter()
			waited := startWait(r)
			synctest.Wait()
			if waited.Load() {
				t.Fatal("a reader was not waited for")
			}
			second := r.enter()
			r.leave(second)
			synctest.Wait()
			if waited.Load() {
				t.Fatal("a reader was not waited for once another had left")
			}
			r.leave(first)
			synctest.Wait()
			if !waited.Load() {
				t.Fatal("the wait has no end")
			}
			r.wait() // nobody is there
		}
	})
}

// TestAReaderWhoCameLateIsWaitedForByTheNext enters a reader who had looked at the generation before it was changed.
func TestAReaderWhoCameLateIsWaitedForByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaders()
		late := r.generation.Load() & 1
		r.wait()
		r.generation.Add(1) // so that he has the count that the next wait looks at last
		r.counts[late].Add(1)
		waited := startWait(r)
		synctest.Wait()
		if waited.Load() {
			t.Fatal("he was not waited for")
		}
		r.leave(late)
		synctest.Wait()
		if !waited.Load() {
			t.Fatal("the wait has no end")
		}
	})
}

// TestNothingIsTakenAwayThatAReaderSees has readers look at what others replace, who spoil it when nobody can see it any more.
func TestNothingIsTakenAwayThatAReaderSees(t *testing.T) {
	type thing struct{ spoilt atomic.Bool }
	r := newReaders()
	var shown atomic.Pointer[thing]
	shown.Store(new(thing))
	var stop atomic.Bool
	var reading, replacing sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for !stop.Load() {
				g := r.enter()
				seen := shown.Load()
				for range 3 {
					if seen.spoilt.Load() {
						t.Error("a reader sees what was taken away")
						stop.Store(true)
					}
					runtime.Gosched()
				}
				r.leave(g)
				runtime.Gosched() // rather than be sent away in the middle
			}
		})
	}
	for range 2 {
		replacing.Go(func() {
			for range 200 {
				old := shown.Swap(new(thing))
				r.wait()
				old.spoilt.Store(true)
			}
		})
	}
	replacing.Wait()
	stop.Store(true)
	reading.Wait()
}
