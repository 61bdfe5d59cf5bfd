package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// bench is the whole run: which cells, and what came of them.
type bench struct {
	engines, works []string
	rounds         int
	keys, bigKeys  int
	valueLen       int
	writers        int
	period         time.Duration
	perSec         float64
	options        Options
	dir, json      string
	lock           string
	progress       io.Writer

	scratch  string
	prepared map[fixture]string
	results  []*result
}

// fixture is a store that cells begin with a copy of.
type fixture struct {
	engine   string
	state    storeState
	keys     int
	valueLen int
	keyKind  string
}

// measure carries out all cells. The columns take turns within each workload, the other way round in odd rounds: what changes on
// the machine meanwhile meets all of them alike. What fails does not stop the others.
func (b *bench) measure() (err error) {
	if b.scratch, err = os.MkdirTemp(b.dir, "ringcask-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.scratch)) }()
	failures := 0
	for i, name := range b.works {
		columns := workloads[name].columns(b.engines)
		for round := range b.rounds {
			turn := slices.Clone(columns)
			if round%2 == 1 {
				slices.Reverse(turn)
			}
			for _, c := range turn {
				r := b.measureCell(name, c, round)
				if r.Error != "" {
					failures++
				}
				if err := b.record(r); err != nil {
					return err
				}
			}
		}
		if err := b.dropFixtures(b.works[i+1:]); err != nil {
			return err
		}
	}
	if failures > 0 {
		return fmt.Errorf("%d cells failed", failures)
	}
	return nil
}

func (b *bench) measureCell(name string, c column, round int) *result {
	cell := b.cell(name, c, round)
	r, err := b.startCell(cell, c.preparer)
	if r == nil {
		r = &result{Work: name, Round: round}
	}
	r.Engine = c.name
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// cell is what a column of a workload is measured by.
func (b *bench) cell(name string, c column, round int) cell {
	w := workloads[name]
	made := cell{
		Engine: c.engine, Work: name, Round: round, Dir: filepath.Join(b.scratch, "cell"), Keys: b.keys, KeyKind: w.keyKind,
		ValueLen: b.valueLen, Options: b.options, Period: b.period, PerSec: b.perSec,
	}
	made.Options.Sync = w.sync
	if w.big {
		made.Keys = b.bigKeys
	}
	if w.valueLen > 0 {
		made.ValueLen = w.valueLen
	}
	return made
}

// startCell runs a cell in a directory of its own, on a disk with nothing left to write.
func (b *bench) startCell(c cell, preparer string) (r *result, err error) {
	unlock, err := b.takeLock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	defer func() { err = errors.Join(err, os.RemoveAll(c.Dir)) }()
	if state := workloads[c.Work].state; state != empty {
		from, err := b.fixture(fixture{preparer, state, c.Keys, c.ValueLen, c.KeyKind}, c)
		if err != nil {
			return nil, fmt.Errorf("prepare the store: %w", err)
		}
		if out, err := exec.Command("cp", "-a", from, c.Dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("copy the store: %w: %s", err, out)
		}
	} else if err := os.Mkdir(c.Dir, 0o700); err != nil {
		return nil, err
	}
	syscall.Sync()
	return c.run()
}

// fixture returns the directory of a store, which it has a child make if there is none yet. What fails is tried again.
func (b *bench) fixture(f fixture, c cell) (string, error) {
	if dir, ok := b.prepared[f]; ok {
		return dir, nil
	}
	dir := filepath.Join(b.scratch, fmt.Sprintf("%s-%s-%d-%d%s", f.engine, f.state, f.keys, f.valueLen, f.keyKind))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	c.Engine, c.Prepare, c.Dir = f.engine, f.state, dir
	var err error
	if f.state == killed {
		err = c.runAndKill()
	} else {
		_, err = c.run()
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	b.prepared[f] = dir
	return dir, nil
}

// dropFixtures removes the stores that none of the workloads to come begins with.
func (b *bench) dropFixtures(toCome []string) error {
	needed := map[fixture]bool{}
	for _, name := range toCome {
		for _, c := range workloads[name].columns(b.engines) {
			cell := b.cell(name, c, 0)
			needed[fixture{c.preparer, workloads[name].state, cell.Keys, cell.ValueLen, cell.KeyKind}] = true
		}
	}
	for f, dir := range b.prepared {
		if !needed[f] {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			delete(b.prepared, f)
		}
	}
	return nil
}

// takeLock waits for the lock, if there is one. It is given back after each cell.
func (b *bench) takeLock() (unlock func(), err error) {
	if b.lock == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(b.lock, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}

// record keeps a result and writes all of them anew, so that a run that is broken off leaves what it had.
func (b *bench) record(r *result) error {
	b.results = append(b.results, r)
	fmt.Fprintln(b.progress, r)
	if b.json == "" {
		return nil
	}
	all, err := json.MarshalIndent(b.results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(b.json, append(all, '\n'), 0o666)
}

// readResults returns the results of several files, the rounds of each after those of the ones before.
func readResults(paths []string) (all []*result, err error) {
	rounds := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var some []*result
		if err := json.Unmarshal(data, &some); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		next := rounds
		for _, r := range some {
			r.Round += rounds
			next = max(next, r.Round+1)
		}
		rounds = next
		all = append(all, some...)
	}
	return all, nil
}
