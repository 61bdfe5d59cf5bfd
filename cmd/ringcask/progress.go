package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/bytesize"
)

// progress shows on standard error how far a load or dump is. It shows nothing where that is no terminal.
type progress struct {
	terminal  bool
	errors    io.Writer
	total     int64
	container *mpb.Progress
	bar       *mpb.Bar
	started   time.Time
	// counts tells how many records are done and how many bytes they have; it is called from another goroutine.
	counts func() (records, bytes int64)
}

// barColumns is the width of the bar itself: with the text beside it, it fits into 80 columns.
const barColumns = 20

// newProgress is for total bytes of input; a total below 0 is not known. Nothing is shown before start.
func (a *app) newProgress(total int64, counts func() (records, bytes int64)) *progress {
	return &progress{terminal: a.stderrTerminal, errors: a.stderr, total: total, counts: counts}
}

// start begins to show progress.
func (p *progress) start() {
	p.started = time.Now()
	if !p.terminal {
		return
	}
	p.container = mpb.New(mpb.WithOutput(p.errors),
		mpb.WithRefreshRate(150*time.Millisecond), mpb.WithAutoRefresh())
	text := decor.Any(func(decor.Statistics) string { return p.text() })
	if p.total < 0 {
		p.bar = p.container.New(0, mpb.NopStyle(), mpb.AppendDecorators(text))
		return
	}
	p.bar = p.container.New(p.total, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.BarWidth(barColumns), mpb.PrependDecorators(decor.NewPercentage("%3d ")),
		mpb.AppendDecorators(text, decor.Name("  ETA "), decor.AverageETA(decor.ET_STYLE_GO)))
}

// text is the part of the bar that counts.
func (p *progress) text() string {
	n, bytes := p.counts()
	seconds := time.Since(p.started).Seconds()
	return fmt.Sprintf(" %s records, %s/s, %s/s",
		thousands(n), thousands(int64(float64(n)/seconds)), bytesize.Approximate(float64(bytes)/seconds))
}

// read wraps a reader whose bytes move the bar.
func (p *progress) read(r io.Reader) io.Reader {
	if p.bar == nil {
		return r
	}
	return p.bar.ProxyReader(r)
}

// Write prints lines above the bar: messages would otherwise be painted over.
func (p *progress) Write(lines []byte) (int, error) {
	if p.container == nil {
		return p.errors.Write(lines)
	}
	return p.container.Write(lines)
}

// stop takes the last look. A bar that is not full is removed.
func (p *progress) stop() {
	if p.container == nil {
		return
	}
	p.bar.Abort(true)
	p.container.Wait()
}

// thousands writes n with separators: 63,666.
func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
