package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// mergeReporter is an engine that says whether it merges, and how often it has.
type mergeReporter interface {
	MergeState() (running bool, merges int64)
}

// mergeLatency has half of the workers put and half get, at a rate that all columns get alike, and reports how long each took.
// Under the engine "ours-fullspeed" one merge after the other is called for; the others merge by their settings.
func mergeLatency(s *session) error {
	merger, ok := s.engine.(mergeReporter)
	if !ok {
		return fmt.Errorf("engine %s does not say when it merges", s.Engine)
	}
	return s.whileOpen(func() error {
		puts, gets := s.worker().latency, s.worker().latency
		var ops int64
		var busy float64
		var merges int64
		for _, period := range []time.Duration{s.Period / 5, s.Period} { // the first does not count
			puts.Reset()
			gets.Reset()
			_, mergesBefore := merger.MergeState()
			end := time.Now().Add(period)
			var background sync.WaitGroup
			var failed error
			background.Go(func() { busy = watchMerges(merger, end) })
			if s.Engine == "ours-fullspeed" {
				background.Go(func() { failed = s.mergeUntil(end) })
			}
			n, err := s.atRate(end, puts, gets)
			_, merges = merger.MergeState()
			merges -= mergesBefore
			background.Wait()
			if err := errors.Join(err, failed); err != nil {
				return err
			}
			ops = n
		}
		s.result.add("operations/s", float64(ops)/s.Period.Seconds(), higher)
		for _, kind := range []struct {
			name string
			hist *hdrhistogram.Histogram
		}{{"put", puts}, {"get", gets}} {
			for _, p := range []float64{50, 99, 99.9} {
				l := load{latency: kind.hist}
				s.result.add(fmt.Sprintf("%s p%v µs", kind.name, p), l.micros(p), lower)
			}
		}
		s.result.add("% of the time merging", busy*100, "")
		s.result.add("merges ended", float64(merges), "")
		return nil
	})
}

func (s *session) mergeUntil(end time.Time) error {
	for time.Now().Before(end) {
		if err := s.engine.Compact(); err != nil {
			return err
		}
	}
	return nil
}

// watchMerges returns the part of the time until end that a merge is under way.
func watchMerges(m mergeReporter, end time.Time) float64 {
	seen, merging := 0, 0
	for time.Now().Before(end) {
		time.Sleep(5 * time.Millisecond)
		seen++
		if running, _ := m.MergeState(); running {
			merging++
		}
	}
	return float64(merging) / float64(max(seen, 1))
}

// atRate has each worker begin operations at fixed times, s.PerSec gets a second and as many puts, or a third if they are durable,
// and returns how many there were. One that comes late because the one before took long is timed from when it should have begun; one that comes late
// because its goroutine overslept, from when it did begin: the system's timers are not the engine's fault.
func (s *session) atRate(end time.Time, puts, gets *hdrhistogram.Histogram) (int64, error) {
	each := max(1, s.Options.Writers/2)
	getStep := time.Duration(float64(each) / s.PerSec * float64(time.Second))
	workers := make([]*worker, 2*each)
	failed := make([]error, 2*each)
	var running sync.WaitGroup
	for i := range workers {
		w := s.worker()
		workers[i] = w
		op, step := w.get, getStep
		if i < each {
			if op = w.put; s.Options.Sync {
				step *= 3
			}
		}
		running.Go(func() {
			due := time.Now().Add(time.Duration(w.rng.Int64N(int64(step))))
			for ; due.Before(end); due = due.Add(step) {
				from := due
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
					from = time.Now()
				}
				if failed[i] = op(w.uniform()); failed[i] != nil {
					return
				}
				w.record(time.Since(from))
				w.ops++
				if time.Now().After(end) {
					return // what could not be begun in time shows in the rate
				}
			}
		})
	}
	running.Wait()
	var ops int64
	for i, w := range workers {
		ops += w.ops
		if i < each {
			puts.Merge(w.latency)
		} else {
			gets.Merge(w.latency)
		}
	}
	return ops, errors.Join(failed...)
}
