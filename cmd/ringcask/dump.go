package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/bytesize"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

type dumpCommand struct {
	rangeFlags
	File   string `type:"path" placeholder:"FILE" help:"Write to this file, in place of standard output; it appears when it is complete."`
	Gzip   bool   `help:"Compress with gzip."`
	Direct bool   `help:"Read everything through the nodes in --addr, whatever the topology says."`
	connection
}

func (*dumpCommand) Help() string {
	return `Writes {"key","value"} lines, in key order, that load reads back byte for byte. A dump has each key's newest value; it is no
snapshot: keys that are written meanwhile may or may not be in it.

	ringcask dump --prefix debian/ > debian.jsonl
	ringcask dump --gzip --file all.jsonl.gz
`
}

func (d *dumpCommand) Run(a *app) error {
	opts, err := d.options()
	if err != nil {
		return err
	}
	c, err := d.dial(d.Direct)
	if err != nil {
		return err
	}
	defer c.Close()
	started := time.Now()
	var count, size atomic.Int64
	bar := a.newProgress(-1, func() (int64, int64) { return count.Load(), size.Load() })
	bar.start()
	err = d.withOutput(a, func(w *bufio.Writer) error { return dump(a, c, opts, w, &count, &size) })
	bar.stop()
	if err == nil && a.stderrTerminal {
		fmt.Fprintf(a.stderr, "wrote %s (%s) in %.1f s\n", plural(int(count.Load()), "record", "records"),
			bytesize.Approximate(float64(size.Load())), time.Since(started).Seconds())
	}
	return err
}

// dump writes the range and counts its records and the bytes of their keys and values.
func dump(a *app, c *client.Client, opts client.RangeOptions, w *bufio.Writer, count, size *atomic.Int64) error {
	var line []byte
	for kv, err := range c.Range(a.ctx, opts) {
		if err != nil {
			return err
		}
		line = records.AppendRecord(line[:0], kv.Key, kv.Value)
		if _, err := w.Write(line); err != nil {
			return err
		}
		count.Add(1)
		size.Add(int64(len(kv.Key) + len(kv.Value)))
	}
	return a.ctx.Err() // a range that was interrupted may end without an error
}

// withOutput runs write on where the dump goes.
func (d *dumpCommand) withOutput(a *app, write func(*bufio.Writer) error) error {
	if d.File == "" || d.File == "-" {
		return d.compressed(a.stdout, write)
	}
	if info, err := os.Stat(d.File); err == nil && info.IsDir() {
		return usagef("%s is a directory", d.File)
	}
	f, err := os.CreateTemp(filepath.Dir(d.File), filepath.Base(d.File)+".*")
	if err != nil {
		return &usageError{err}
	}
	err = d.compressed(f, write)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), d.File)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// compressed runs write on a buffer before w, with gzip between if that is wanted.
func (d *dumpCommand) compressed(w io.Writer, write func(*bufio.Writer) error) error {
	if !d.Gzip {
		return buffered(w, write)
	}
	z := gzip.NewWriter(w)
	err := buffered(z, write)
	// What an interrupted dump wrote is made readable, too.
	return errors.Join(err, z.Close())
}
