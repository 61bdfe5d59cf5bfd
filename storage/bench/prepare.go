package main

import "time"

// storeState is what a workload finds. Each state is made once for an engine, by a process of its own, and copied for each cell.
type storeState string

const (
	empty storeState = ""
	// loaded: all entries were put in batches, in random order of their keys, and the store closed at once.
	loaded storeState = "loaded"
	// merged: all dead space was given back besides.
	merged storeState = "merged"
	// killed: all entries were put durably, and the process was killed while it overwrote some.
	killed storeState = "killed"
)

const (
	batchLen      = 10_000
	batchBytesMax = 1 << 20
)

func (s *session) prepare() error {
	s.Options.Sync = s.Prepare == killed
	return s.whileOpen(func() error {
		if err := s.putAll(0); err != nil {
			return err
		}
		switch s.Prepare {
		case merged:
			return s.engine.Compact()
		case killed:
			return s.overwriteUntilKilled()
		}
		return nil
	})
}

// putAll puts every entry once in batches, the passes in different orders.
func (s *session) putAll(pass uint64) error {
	n := uint64(s.Keys)
	var batch []KV
	for range min(batchLen, max(1, batchBytesMax/(keyBytes+s.ValueLen)), s.Keys) {
		batch = append(batch, KV{make([]byte, keyBytes), make([]byte, s.ValueLen)})
	}
	for i := uint64(0); i < n; {
		some := batch[:min(uint64(len(batch)), n-i)]
		for _, kv := range some {
			entry := i
			if pass > 0 {
				entry = shuffle(i+pass, n)
			}
			s.makeKey(kv.Key, entry)
			makeValue(kv.Value, entry, pass)
			i++
		}
		if err := s.engine.Batch(some); err != nil {
			return err
		}
	}
	return nil
}

// overwriteUntilKilled says that it has begun and goes on for a minute at most, which the kill comes before.
func (s *session) overwriteUntilKilled() error {
	if _, err := s.report.Write([]byte{0}); err != nil {
		return err
	}
	end := time.Now().Add(time.Minute)
	_, err := s.drive(s.Options.Writers, func(w *worker) (bool, error) {
		return time.Now().After(end), w.put(w.uniform())
	})
	return err
}
