package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// cellVariable holds the cell that a child process is to carry out. The child reports on reportFD.
const (
	cellVariable = "RINGCASK_BENCH_CELL"
	reportFD     = 3
)

// cell is what one process does: prepare a store, or measure one.
type cell struct {
	Engine, Work string
	Round        int
	// Prepare leaves a store of this kind in Dir, and nothing is measured.
	Prepare  storeState
	Dir      string
	Keys     int
	Options  Options
	Period   time.Duration
	PerSec   float64
	KeyKind  string
	ValueLen int
}

// child is the program itself, told to carry out a cell.
func (c cell) child() (*exec.Cmd, *os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	spec, err := json.Marshal(c)
	if err != nil {
		return nil, nil, err
	}
	report, end, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), cellVariable+"="+string(spec))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{end}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	end.Close()
	if err != nil {
		report.Close()
		return nil, nil, err
	}
	return cmd, report, nil
}

// run carries out the cell in a child and returns its result.
func (c cell) run() (*result, error) {
	cmd, report, err := c.child()
	if err != nil {
		return nil, err
	}
	defer report.Close()
	said, err := io.ReadAll(report)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return nil, err
	}
	r := new(result)
	if err := json.Unmarshal(said, r); err != nil {
		return nil, err
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// runAndKill carries out the cell in a child and kills that a while after it has said that it is under way.
func (c cell) runAndKill() error {
	cmd, report, err := c.child()
	if err != nil {
		return err
	}
	defer report.Close()
	_, err = io.ReadFull(report, make([]byte, 1))
	if err == nil {
		time.Sleep(c.Period / 4)
		err = cmd.Process.Kill()
	}
	waited := cmd.Wait()
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return errors.Join(err, fmt.Errorf("the writer ended before it was killed: %w", waited))
	}
	return err
}

// childMain is main in a child.
func childMain(spec string) error {
	var c cell
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	report := os.NewFile(reportFD, "report")
	return json.NewEncoder(report).Encode(c.measure(report))
}

// measure carries out the cell in this process.
func (c cell) measure(report io.Writer) *result {
	s := &session{
		cell: c, report: report, makeKey: randomKey,
		result: &result{
			Engine: c.Engine, Version: moduleVersion(c.Engine), Work: c.Work, Round: c.Round,
			Keys: c.Keys, ValueBytes: c.ValueLen, Writers: c.Options.Writers,
		},
	}
	if c.KeyKind == "prefix" {
		s.makeKey = prefixKey(uint64(c.Keys))
	}
	clock := startCPUClock()
	engine, err := newEngine(c.Engine)
	if err == nil {
		s.engine = engine
		if c.Prepare != "" {
			err = s.prepare()
		} else {
			err = workloads[c.Work].run(s)
		}
	}
	s.result.OthersCPU = clock.others()
	if err != nil {
		s.result.Error = err.Error()
	}
	return s.result
}
