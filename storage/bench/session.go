package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// session is a cell under way.
type session struct {
	cell
	engine  Engine
	makeKey keyMaker
	result  *result
	report  io.Writer
	// seed is one for every worker, so that none repeats what another has drawn; on all engines they are the same.
	seed uint64
}

func (s *session) open() error { return s.engine.Open(s.Dir, s.Options) }

// whileOpen opens the store for work, and closes it.
func (s *session) whileOpen(work func() error) error {
	if err := s.open(); err != nil {
		return err
	}
	return errors.Join(work(), s.engine.Close())
}

// worker is what one goroutine has for itself.
type worker struct {
	*session
	rng             *rand.Rand
	key, value, got []byte
	ops             int64
	latency         *hdrhistogram.Histogram
}

func (s *session) worker() *worker {
	s.seed++
	return &worker{
		session: s, rng: rand.New(rand.NewPCG(s.seed, uint64(s.Round))),
		key: make([]byte, keyBytes), value: make([]byte, s.ValueLen),
		latency: hdrhistogram.New(100, int64(time.Minute), 3),
	}
}

// uniform draws an entry.
func (w *worker) uniform() uint64 { return w.rng.Uint64N(uint64(w.Keys)) }

// put writes a new version of an entry.
func (w *worker) put(entry uint64) error {
	w.makeKey(w.key, entry)
	makeValue(w.value, entry, w.rng.Uint64()>>44)
	return w.engine.Put(w.key, w.value)
}

// get reads an entry and checks what it gets.
func (w *worker) get(entry uint64) (err error) {
	w.makeKey(w.key, entry)
	if w.got, err = w.engine.Get(w.key, w.got[:0]); err != nil {
		return fmt.Errorf("entry %d: %w", entry, err)
	}
	return checkValue(w.got, entry, w.ValueLen)
}

// timeEach is how many operations there are for each whose latency is taken, so that clocks cost little.
const timeEach = 8

// timed carries out an operation, and takes the time that some take.
func (w *worker) timed(op func(*worker) error) error {
	w.ops++
	if w.ops%timeEach != 0 {
		return op(w)
	}
	began := time.Now()
	err := op(w)
	w.record(time.Since(began))
	return err
}

func (w *worker) record(d time.Duration) {
	_ = w.latency.RecordValue(min(int64(d), w.latency.HighestTrackableValue())) // cannot be out of range
}

// load is what workers did together.
type load struct {
	ops     int64
	took    time.Duration
	latency *hdrhistogram.Histogram
}

func (l load) perSec() float64 { return float64(l.ops) / l.took.Seconds() }

func (l load) micros(percentile float64) float64 {
	return float64(l.latency.ValueAtPercentile(percentile)) / 1e3
}

// drive has goroutines repeat what op does until it says that it is done or fails.
func (s *session) drive(goroutines int, op func(*worker) (done bool, err error)) (load, error) {
	workers := make([]*worker, goroutines)
	failed := make([]error, goroutines)
	var stop atomic.Bool
	var running sync.WaitGroup
	began := time.Now()
	for i := range workers {
		w := s.worker()
		workers[i] = w
		running.Go(func() {
			for done := false; !done && !stop.Load(); {
				if done, failed[i] = op(w); failed[i] != nil {
					stop.Store(true)
				}
			}
		})
	}
	running.Wait()
	sum := load{took: time.Since(began), latency: workers[0].latency}
	for i, w := range workers {
		sum.ops += w.ops
		if i > 0 {
			sum.latency.Merge(w.latency)
		}
	}
	return sum, errors.Join(failed...)
}

// driveFor has goroutines repeat op for a period, after a fifth of it that does not count.
func (s *session) driveFor(goroutines int, op func(*worker) error) (l load, err error) {
	for _, period := range []time.Duration{s.Period / 5, s.Period} {
		end := time.Now().Add(period)
		l, err = s.drive(goroutines, func(w *worker) (bool, error) {
			err := w.timed(op)
			return w.ops%timeEach == 0 && !time.Now().Before(end), err
		})
		if err != nil {
			break
		}
	}
	return l, err
}

// eachEntry has goroutines do op for all entries, once each, in order of their numbers.
func (s *session) eachEntry(goroutines int, op func(w *worker, entry uint64) error) (load, error) {
	var next atomic.Uint64
	return s.drive(goroutines, func(w *worker) (bool, error) {
		entry := next.Add(1) - 1
		if entry >= uint64(s.Keys) {
			return true, nil
		}
		return false, w.timed(func(w *worker) error { return op(w, entry) })
	})
}
