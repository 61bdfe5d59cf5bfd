package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

// outputFlags choose how a command prints what it found.
type outputFlags struct {
	Output string `short:"o" enum:"human,json" default:"human" placeholder:"human|json" group:"connection" help:"How to print: for people (the default), or one JSON object a line."`
}

func (o *outputFlags) json() bool { return o.Output == "json" }

// AfterApply has errors printed in the same form.
func (o *outputFlags) AfterApply(a *app) error {
	a.jsonErrors = o.json()
	return nil
}

// object builds one line of JSON, member by member in the order of the calls.
type object struct{ line []byte }

func (o *object) member() {
	if len(o.line) == 0 {
		o.line = append(o.line, '{')
	} else {
		o.line = append(o.line, ',')
	}
}

// bytes adds a member for bytes: name, or name_base64 where they are not UTF-8.
func (o *object) bytes(name string, b []byte) *object {
	o.member()
	o.line = records.AppendBytes(o.line, name, b)
	return o
}

// add adds a member of any type that encoding/json knows.
func (o *object) add(name string, v any) *object {
	o.member()
	encoded, err := json.Marshal(v)
	if err != nil {
		encoded = fmt.Appendf(nil, "%q", err.Error()) // only values that JSON cannot express, which no caller has
	}
	o.line = fmt.Appendf(o.line, "%q:", name)
	o.line = append(o.line, encoded...)
	return o
}

// end closes the object, for use as a member of another.
func (o *object) end() jsonLine { return append(o.line, '}') }

// jsonLine is an object that is already encoded.
type jsonLine = json.RawMessage

// writeTo closes the object and ends its line.
func (o *object) writeTo(w io.Writer) error {
	_, err := w.Write(append(o.end(), '\n'))
	return err
}

// printable shows bytes on a terminal: as they are, but for what would move the cursor or is not UTF-8, which is
// escaped as in Go.
func printable(b []byte) string {
	if utf8.Valid(b) && !strings.ContainsFunc(string(b), unicode.IsControl) {
		return string(b)
	}
	quoted := fmt.Sprintf("%q", b)
	return quoted[1 : len(quoted)-1]
}

// brief is printable, cut to what fits into a message.
func brief(b []byte) string {
	const runesMax = 100
	if runes := []rune(printable(b)); len(runes) > runesMax {
		return string(runes[:runesMax]) + "…"
	}
	return printable(b)
}

// buffered runs print with a buffer before w and flushes it.
func buffered(w io.Writer, print func(*bufio.Writer) error) error {
	b := bufio.NewWriterSize(w, 64<<10)
	err := print(b)
	if flushErr := b.Flush(); err == nil {
		err = flushErr
	}
	return err
}
