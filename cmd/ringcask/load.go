package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/bulkload"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/bytesize"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

type loadCommand struct {
	File string `arg:"" predict:"file" help:"JSON Lines of records, plain or gzip; - is standard input."`
	writeLevel
	Batch        int    `default:"100" placeholder:"N" help:"Records of a batch (default: 100)."`
	Concurrency  int    `default:"16" placeholder:"N" help:"Batches under way at once (default: 16)."`
	Strict       bool   `help:"Stop at the first bad line or failed write."`
	LineBytesMax string `default:"32MiB" placeholder:"BYTES" help:"Longest line (default: 32MiB)."`
	Direct       bool   `help:"Send everything through the nodes in --addr, whatever the topology says."`
	outputFlags
	connection
}

func (*loadCommand) Help() string {
	return `Each line is {"key":"a","value":"1"}, with key_base64 and value_base64 for bytes that are not UTF-8. A bad line is reported and
left out. Of several records with one key the last one wins. Exits with 3 if a write failed, else with 2 if a line was bad.

	ringcask load packages.jsonl.gz
	zcat packages.jsonl.gz | ringcask load -
	ringcask dump --addr old:8081 | ringcask load --addr new:8081 -
`
}

const (
	batchLenMax    = 10_000
	concurrencyMax = 1024
)

func (l *loadCommand) Run(a *app) error {
	lineBytesMax, err := l.check()
	if err != nil {
		return err
	}
	in, err := a.openInput(l.File)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := l.dial(l.Direct)
	if err != nil {
		return err
	}
	defer c.Close()
	// Before anything is read: a cluster that cannot be reached, or a level that it cannot meet, should not look like
	// so many failed records.
	topology, err := c.Topology(a.ctx)
	if err != nil {
		return err
	}
	if int(l.W) > topology.Replicas {
		return usagef("--w %d is more than the %s that a key has", l.W, plural(topology.Replicas, "replica", "replicas"))
	}
	return l.load(a, c, in, lineBytesMax)
}

// check validates the flags.
func (l *loadCommand) check() (lineBytesMax int, err error) {
	switch {
	case l.Batch < 1 || l.Batch > batchLenMax:
		return 0, usagef("--batch must be between 1 and %d", batchLenMax)
	case l.Concurrency < 1 || l.Concurrency > concurrencyMax:
		return 0, usagef("--concurrency must be between 1 and %d", concurrencyMax)
	}
	n, err := bytesize.Parse(l.LineBytesMax)
	if err != nil {
		return 0, usagef("--line-bytes-max: %w", err)
	}
	if n < 1 || n > 1<<30 {
		return 0, usagef("--line-bytes-max must be between 1 and 1GiB")
	}
	return int(n), nil
}

// load runs the load, with its messages and summary.
func (l *loadCommand) load(a *app, c *client.Client, in *input, lineBytesMax int) error {
	started := time.Now()
	var loader *bulkload.Loader
	bar := a.newProgress(in.size, func() (int64, int64) {
		s := loader.Summary()
		return s.Written, s.Bytes
	})
	messages := &loadMessages{json: l.json(), stdout: a.stdout, stderr: bar}
	loader = bulkload.New(&batchStore{c, client.BatchOptions{W: client.Level(l.W)}}, bulkload.Options{
		BatchLen: l.Batch, Concurrency: l.Concurrency, Strict: l.Strict, BadLine: messages.badLine, Failed: messages.failed,
	})
	bar.start()
	err := l.run(a, loader, bar.read(in), lineBytesMax)
	bar.stop()
	summary := loader.Summary()
	if printErr := l.print(a, summary, messages, time.Since(started), err); printErr != nil {
		return printErr
	}
	return loadError(summary, in.name, err)
}

func (l *loadCommand) run(a *app, loader *bulkload.Loader, in io.Reader, lineBytesMax int) error {
	reader, err := records.NewReader(in, lineBytesMax)
	if err != nil {
		return err
	}
	return loader.Run(a.ctx, reader)
}

// loadError is what the command ends with: the signal that stopped it, else failed writes, else bad lines, and in any
// case that the input broke off. err is what stopped the load.
func loadError(s bulkload.Summary, name string, err error) error {
	var (
		interrupted *interruptedError
		bad         *records.LineError
		failed      *client.Error
		counted     error
	)
	switch {
	case errors.As(err, &interrupted):
		return err
	case s.Failed > 0:
		counted = fmt.Errorf("%s could not be written", plural(int(s.Failed), "record", "records"))
	case s.BadLines > 0:
		counted = usagef("%s has %s", name, plural(int(s.BadLines), "bad line", "bad lines"))
	}
	switch {
	case err == nil || errors.As(err, &bad) || errors.As(err, &failed): // with --strict: it is in the counts
		return counted
	case counted != nil:
		return fmt.Errorf("%w; and %s: %v", counted, name, err)
	}
	return usagef("%s: %w", name, err)
}

// print writes the summary.
func (l *loadCommand) print(a *app, s bulkload.Summary, messages *loadMessages, took time.Duration, stopped error) error {
	seconds := max(took.Seconds(), 1e-3)
	rate := float64(s.Written) / seconds
	if l.json() {
		var o object
		o.add("written", s.Written).add("failed", s.Failed).add("bad_lines", s.BadLines)
		o.add("bytes", s.Bytes).add("lines", s.Lines)
		o.add("seconds", roundTo(seconds, 1000)).add("records_per_second", roundTo(rate, 10)).add("complete", stopped == nil)
		return o.writeTo(a.stdout)
	}
	messages.tellOmitted()
	note := ""
	if stopped != nil {
		note = fmt.Sprintf("; stopped at line %s", thousands(int64(s.Lines)))
	}
	_, err := fmt.Fprintf(a.stdout, "wrote %s (%s) in %.1f s: %s records/s, %s/s; %s failed, %s%s\n",
		plural(int(s.Written), "record", "records"), bytesize.Approximate(float64(s.Bytes)), seconds, thousands(int64(rate)),
		bytesize.Approximate(float64(s.Bytes)/seconds), thousands(s.Failed),
		plural(int(s.BadLines), "bad line", "bad lines"), note)
	return err
}

// roundTo rounds v to a multiple of 1/parts.
func roundTo(v float64, parts int64) float64 {
	return float64(int64(v*float64(parts)+0.5)) / float64(parts)
}
