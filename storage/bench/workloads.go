package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// column is an engine in a table: under a name, with the adapter that is measured, and the one that prepares its store.
type column struct{ name, engine, preparer string }

// workload is what is measured, in one row of a table or several.
type workload struct {
	about string
	state storeState
	// big has the number of keys by -reopenkeys and not by -n.
	big bool
	// valueLen is the size of values, whatever -value says; zero is what that says.
	valueLen int
	keyKind  string
	// sync has writes acknowledged when they are durable.
	sync bool
	// variants take the place of our engine; nil is as it is. Peers are left out if alone is set.
	variants []column
	alone    bool
	run      func(*session) error
}

var oursUnmerged = []column{{"ours", "ours-unmerged", "ours-unmerged"}}

// order is the one of the tables.
var order = []string{
	"fill", "fillsync", "overwrite", "get", "mixed",
	"readmerged-uniform", "readmerged-zipf", "scan100merged-1", "scan100merged-16",
	"space-128", "space-1024", "reopen-settled", "reopen-unmerged", "reopen-killed", "memory-random", "memory-prefix",
	"mergelatency", "mergelatency-sync",
}

var workloads = map[string]*workload{}

// The table refers to functions that refer to it.
func init() { maps.Copy(workloads, allWorkloads()) }

func allWorkloads() map[string]*workload {
	return map[string]*workload{
		"fill":      {about: "put all keys, in random order", run: fill},
		"fillsync":  {about: "durable puts of new and old keys", sync: true, run: putUniform},
		"overwrite": {about: "put random keys of a loaded store", state: loaded, run: putUniform},
		"get":       {about: "get random keys of a loaded store", state: loaded, run: getUniform},
		"mixed":     {about: "puts and gets, half and half, zipfian, of a loaded store", state: loaded, run: mixed},

		"readmerged-uniform": {about: "get random keys after a full merge", state: merged, run: getUniform},
		"readmerged-zipf":    {about: "get zipfian keys after a full merge", state: merged, run: getZipf},
		"scan100merged-1":    {about: "scan 100 keys from a random one after a full merge, 1 reader", state: merged, run: scan100(1)},
		"scan100merged-16":   {about: "the same, 16 readers", state: merged, run: scan100(16)},

		"space-128":  {about: "size on disk after three overwrites of everything, and after a full merge; 128-byte values", valueLen: 128, variants: compressions, run: space},
		"space-1024": {about: "the same, 1-KiB values", valueLen: 1024, variants: compressions, run: space},

		"reopen-settled":  {about: "open after a full merge and a clean close, up to the first get", state: merged, big: true, run: reopen},
		"reopen-unmerged": {about: "open after a load without merges and a clean close", state: loaded, big: true, variants: oursUnmerged, run: reopen},
		"reopen-killed":   {about: "open after kill -9 amid durable puts", state: killed, big: true, run: reopen},

		"memory-random": {about: "memory held for each key put, random keys, nothing merged", big: true, variants: oursUnmerged, run: memory},
		"memory-prefix": {about: "the same, keys with a common prefix", big: true, keyKind: "prefix", variants: oursUnmerged, run: memory},

		"mergelatency":      {about: "latencies at a fixed rate: without merges, with merges at the default throttle, at full speed", state: merged, alone: true, variants: mergeKinds, run: mergeLatency},
		"mergelatency-sync": {about: "the same with durable puts, a third as many", state: merged, sync: true, alone: true, variants: mergeKinds, run: mergeLatency},
	}
}

var (
	compressions = []column{
		{"ours", "ours", "ours"}, {"ours-s2", "ours-s2", "ours-s2"}, {"ours-lz4", "ours-lz4", "ours-lz4"},
		{"ours-gzip", "ours-gzip", "ours-gzip"}, {"ours-zstd", "ours-zstd", "ours-zstd"},
	}
	mergeKinds = []column{{"idle", "ours-idle", "ours"}, {"throttled", "ours-throttled", "ours"}, {"full speed", "ours-fullspeed", "ours"}}
)

// columns are what the workload is measured on, of the engines that were asked for.
func (w *workload) columns(engines []string) (all []column) {
	for _, name := range engines {
		switch {
		case name == "ours" && w.variants != nil:
			all = append(all, w.variants...)
		case !w.alone:
			all = append(all, column{name, name, name})
		}
	}
	return all
}

// selectWorks returns the workloads that a list names: "all", names, and the part of a name before a hyphen for all that begin so.
func selectWorks(list string) (selected []string, err error) {
	for _, want := range strings.Split(list, ",") {
		n := len(selected)
		for _, name := range order {
			if want == "all" || name == want || strings.HasPrefix(name, want+"-") {
				selected = append(selected, name)
			}
		}
		if len(selected) == n {
			return nil, fmt.Errorf("no workload %q: there are %s", want, strings.Join(order, ", "))
		}
	}
	slices.SortStableFunc(selected, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
	return slices.Compact(selected), nil
}

// throughput runs op for the period and reports how often it went, and how long it took.
func (s *session) throughput(what string, goroutines int, op func(*worker) error) error {
	return s.whileOpen(func() error {
		l, err := s.driveFor(goroutines, op)
		s.reportLoad(what, l)
		return err
	})
}

func (s *session) reportLoad(what string, l load) {
	s.result.add(what+"/s", l.perSec(), higher)
	s.result.add("p99 µs", l.micros(99), lower)
}

func fill(s *session) error {
	return s.whileOpen(func() error {
		l, err := s.eachEntry(s.Options.Writers, (*worker).put)
		s.reportLoad("puts", l)
		return err
	})
}

func putUniform(s *session) error {
	return s.throughput("puts", s.Options.Writers, func(w *worker) error { return w.put(w.uniform()) })
}

func getUniform(s *session) error {
	return s.throughput("gets", s.Options.Writers, func(w *worker) error { return w.get(w.uniform()) })
}

func getZipf(s *session) error {
	z := newZipf(uint64(s.Keys))
	return s.throughput("gets", s.Options.Writers, func(w *worker) error { return w.get(z.entry(w.rng)) })
}

func mixed(s *session) error {
	z := newZipf(uint64(s.Keys))
	return s.throughput("operations", s.Options.Writers, func(w *worker) error {
		if w.rng.Uint64()%2 == 0 {
			return w.put(z.entry(w.rng))
		}
		return w.get(z.entry(w.rng))
	})
}

// scan100 checks that the keys come in order, and that each has a value of its own.
func scan100(readers int) func(*session) error {
	return func(s *session) error {
		return s.throughput("scans", readers, func(w *worker) error {
			w.makeKey(w.key, w.uniform())
			n, last, want := 0, [keyBytes]byte{}, [keyBytes]byte{}
			_, err := w.engine.Scan(w.key, nil, 100, func(key, value []byte) error {
				w.makeKey(want[:], entryOf(value))
				if !bytes.Equal(key, want[:]) || n > 0 && bytes.Compare(key, last[:]) <= 0 {
					return fmt.Errorf("scan from %x: %x after %x has the value of %x", w.key, key, last, want)
				}
				copy(last[:], key)
				n++
				return checkValue(value, entryOf(value), w.ValueLen)
			})
			if err == nil && n == 0 {
				err = fmt.Errorf("scan from %x found nothing", w.key)
			}
			return err
		})
	}
}

// space reports sizes as multiples of the keys and values that are live.
func space(s *session) error {
	live := float64(s.Keys * (keyBytes + s.ValueLen))
	size := func(name string) error {
		bytes, err := diskBytes(s.Dir)
		s.result.add(name, float64(bytes)/live, lower)
		return err
	}
	err := s.whileOpen(func() error {
		for pass := range uint64(4) {
			if err := s.putAll(pass); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := size("× live, before the merge"); err != nil {
		return err
	}
	var took time.Duration
	err = s.whileOpen(func() error {
		began := time.Now()
		defer func() { took = time.Since(began) }()
		return s.engine.Compact()
	})
	if err != nil {
		return err
	}
	// Some engines remove what they no longer need at the next open.
	if err := s.whileOpen(func() error { return s.sample(1000) }); err != nil {
		return err
	}
	s.result.add("s for the merge", took.Seconds(), "") // not of the same work: some have merged a part before
	return size("× live, merged")
}

// sample reads and checks some entries.
func (s *session) sample(n int) error {
	w := s.worker()
	for range n {
		if err := w.get(w.uniform()); err != nil {
			return err
		}
	}
	return nil
}

// reopen measures the first open of a process, files being in the page cache, and then looks whether all is there.
func reopen(s *session) error {
	w := s.worker()
	began := time.Now()
	return s.whileOpen(func() error {
		if err := w.get(w.uniform()); err != nil {
			return err
		}
		s.result.add("ms", float64(time.Since(began))/1e6, lower)
		return s.sample(10_000)
	})
}

// memory reports what putting the keys adds to the memory of the process that is not backed by files, once what an engine does in the
// background after a load is done.
func memory(s *session) error {
	start, err := anonBytes()
	if err != nil {
		return err
	}
	return s.whileOpen(func() error {
		if err := s.putAll(0); err != nil {
			return err
		}
		end, err := settledBytes()
		s.result.add("B/key", float64(end-start)/float64(s.Keys), lower)
		if err != nil {
			return err
		}
		return s.sample(1000)
	})
}
