package records

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// LineBytesMax is the greatest length of a line unless the reader is told otherwise: more than a value of 16 MiB
// takes in base64.
const LineBytesMax = 32 << 20

// LineError is a line that could not be used. Reading may go on after it.
type LineError struct {
	// Line counts from 1.
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Reader reads lines and decodes them. It is not safe for concurrent use.
type Reader struct {
	in      *bufio.Reader
	max     int
	line    int
	long    []byte // a line that did not fit into in's buffer
	skipped bool   // whether the byte order mark was looked for
}

// NewReader reads from in, which it decompresses if it begins as gzip does. A lineBytesMax of 0 is LineBytesMax.
func NewReader(in io.Reader, lineBytesMax int) (*Reader, error) {
	if lineBytesMax <= 0 {
		lineBytesMax = LineBytesMax
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	magic, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		buffered = bufio.NewReaderSize(unzipped, 64<<10)
	}
	return &Reader{in: buffered, max: lineBytesMax}, nil
}

// Line is the number of the line that was read last, from 1.
func (r *Reader) Line() int { return r.line }

// Record reads the next record. It returns io.EOF at the end, a *LineError for a line that is no record, and any other
// error, after which nothing more can be read, when the input cannot be read.
func (r *Reader) Record() (Record, error) { return next(r, ParseRecord) }

// Op reads the next operation of a batch, with the errors of Record.
func (r *Reader) Op() (Op, error) { return next(r, ParseOp) }

func next[T any](r *Reader, parse func([]byte) (T, error)) (T, error) {
	var none T
	for {
		line, err := r.next()
		if err != nil {
			return none, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		v, err := parse(line)
		if err != nil {
			return none, &LineError{r.line, err}
		}
		return v, nil
	}
}

// next returns the next line, which is valid until the next call.
func (r *Reader) next() ([]byte, error) {
	r.line++
	line, err := r.in.ReadSlice('\n')
	r.long = r.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		if r.long = append(r.long, line...); len(r.long) > r.max {
			return nil, r.skip()
		}
		line, err = r.in.ReadSlice('\n')
	}
	if len(r.long) > 0 {
		r.long = append(r.long, line...)
		line = r.long
	}
	switch {
	case err == nil || errors.Is(err, io.EOF) && len(line) > 0:
	case errors.Is(err, io.EOF):
		r.line--
		return nil, io.EOF
	default:
		return nil, fmt.Errorf("read line %d: %w", r.line, err)
	}
	if len(bytes.TrimRight(line, "\r\n")) > r.max {
		return nil, &LineError{r.line, r.tooLong()}
	}
	if !r.skipped {
		r.skipped = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return line, nil
}

// skip reads to the end of a line that is too long.
func (r *Reader) skip() error {
	for {
		_, err := r.in.ReadSlice('\n')
		switch {
		case err == nil || errors.Is(err, io.EOF):
			return &LineError{r.line, r.tooLong()}
		case !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("read line %d: %w", r.line, err)
		}
	}
}

func (r *Reader) tooLong() error { return fmt.Errorf("is longer than %d bytes", r.max) }
