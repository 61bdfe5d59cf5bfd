package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ringcask/ringcask/integration/chaos"
)

// chaosProgress shows on standard error how far a chaos run is: as a bar on a terminal, else as a line now and then. Events are lines of
// their own.
type chaosProgress struct {
	terminal bool
	errors   io.Writer
	duration time.Duration
	progress func() chaos.Progress

	container *mpb.Progress
	bar       *mpb.Bar
	stopped   chan struct{}
	showing   sync.WaitGroup
	printing  sync.Mutex

	mu   sync.Mutex
	last chaos.Progress
	at   time.Time
	rate float64
}

const (
	// chaosRefresh is how often the bar moves, chaosLines how often a line is printed where there is none.
	chaosRefresh = 250 * time.Millisecond
	chaosLines   = 10 * time.Second
)

func newChaosProgress(a *app, duration time.Duration) *chaosProgress {
	return &chaosProgress{terminal: a.stderrTerminal, errors: a.stderr, duration: duration, stopped: make(chan struct{})}
}

func (p *chaosProgress) start(progress func() chaos.Progress) {
	p.progress, p.at = progress, time.Now()
	interval := chaosLines
	if p.terminal {
		interval = chaosRefresh
		p.container = mpb.New(mpb.WithOutput(p.errors), mpb.WithRefreshRate(chaosRefresh), mpb.WithAutoRefresh())
		p.bar = p.container.New(p.duration.Milliseconds(), mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
			mpb.BarWidth(barColumns), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + p.text() })))
	}
	p.showing.Go(func() { p.show(interval) })
}

// show moves the bar, or prints lines, until stop.
func (p *chaosProgress) show(interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.stopped:
			return
		}
		p.look()
		if p.terminal {
			// One less than the whole: a full bar is a finished one, and what follows the workload is to be seen on it, too.
			p.bar.SetCurrent(min(p.progress().Elapsed.Milliseconds(), p.duration.Milliseconds()-1))
		} else {
			p.print(p.text() + "\n")
		}
	}
}

// look measures the rate since the last look.
func (p *chaosProgress) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, at := p.progress(), time.Now()
	p.rate = float64(now.Acknowledged-p.last.Acknowledged) / at.Sub(p.at).Seconds()
	p.last, p.at = now, at
}

// text is the line.
func (p *chaosProgress) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Phase != chaos.PhaseWork {
		return p.last.Phase
	}
	names := make([]string, len(p.last.Faults))
	for i, k := range p.last.Faults {
		names[i] = string(k)
	}
	if len(names) == 0 {
		names = []string{"no fault"}
	}
	return fmt.Sprintf("%v left, %s operations, %s acknowledged/s; %s", max(p.duration-p.last.Elapsed, 0).Round(time.Second),
		thousands(int64(p.last.Operations)), thousands(int64(p.rate)), strings.Join(names, ", "))
}

// event prints what has happened, above the bar.
func (p *chaosProgress) event(e chaos.Event) {
	line := fmt.Sprintf("%7.2fs %s\n", e.At.Seconds(), e.Text)
	if p.container != nil {
		_, _ = p.container.Write([]byte(line)) // a terminal that is gone is nothing to end a run for
		return
	}
	p.print(line)
}

// print is for where there is no bar: lines and events come from goroutines of their own.
func (p *chaosProgress) print(line string) {
	p.printing.Lock()
	defer p.printing.Unlock()
	fmt.Fprint(p.errors, line)
}

func (p *chaosProgress) stop() {
	close(p.stopped)
	p.showing.Wait()
	if p.container != nil {
		p.bar.Abort(true)
		p.container.Wait()
	}
}
