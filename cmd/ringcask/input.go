package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// input is a file or standard input, opened for reading.
type input struct {
	io.Reader
	// size is the file's, -1 where it is not known.
	size int64
	name string
	file *os.File
}

func (in *input) Close() error {
	if in.file == nil {
		return nil
	}
	return in.file.Close()
}

// openInput opens the file of that name, or standard input for "-". Reading it ends with the context's cause when
// that ends first.
func (a *app) openInput(name string) (*input, error) {
	if name == "-" {
		return &input{Reader: &interruptible{ctx: a.ctx, from: a.stdin}, size: -1, name: "standard input"}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &usageError{err}
	}
	in := &input{Reader: &interruptible{ctx: a.ctx, from: f}, size: -1, name: name, file: f}
	switch info, err := f.Stat(); {
	case err != nil:
	case info.IsDir():
		f.Close()
		return nil, usagef("%s is a directory", name)
	case info.Mode().IsRegular():
		in.size = info.Size()
	}
	return in, nil
}

// readValue reads a whole value, which must not be longer than bytesMax.
func (a *app) readValue(name string, bytesMax int64) ([]byte, error) {
	in, err := a.openInput(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	value, err := io.ReadAll(io.LimitReader(in, bytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in.name, err)
	}
	if int64(len(value)) > bytesMax {
		return nil, usagef("%s has more than the %d bytes that a value can have", in.name, bytesMax)
	}
	return value, nil
}

// interruptible is a reader that gives up waiting when a context ends: a pipe or terminal may be silent for ever. The
// read that is then under way goes on in a goroutine that nothing can wait for; the process is about to end.
type interruptible struct {
	ctx  context.Context
	from io.Reader
	// spare is the buffer that reads go to: the caller's may be reused once Read has returned.
	spare []byte
}

// interruptibleBytes is the most that one read asks for.
const interruptibleBytes = 256 << 10

func (r *interruptible) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if r.spare == nil {
		r.spare = make([]byte, interruptibleBytes)
	}
	buf := r.spare[:min(len(p), len(r.spare))]
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := r.from.Read(buf)
		done <- result{n, err}
	}()
	select {
	case got := <-done:
		copy(p, buf[:got.n])
		return got.n, got.err
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
}
