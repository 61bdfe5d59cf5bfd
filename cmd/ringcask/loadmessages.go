package main

import (
	"fmt"
	"io"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

// messagesMax is how many bad lines and failed records people are shown each.
const messagesMax = 20

// loadMessages tells of the lines and records that were not loaded: people the first of them, on standard error;
// programs all of them, on standard output. The loader calls it from one goroutine at a time.
type loadMessages struct {
	json           bool
	stdout, stderr io.Writer
	badLines       int64
	failures       int64
}

func (m *loadMessages) badLine(bad *records.LineError) {
	m.badLines++
	switch {
	case m.json:
		var o object
		_ = o.add("line", bad.Line).add("error", description{
			Code: "bad_request", Message: bad.Err.Error(), Effect: "none",
		}).writeTo(m.stdout) // a closed standard output shows when the summary is written
	case m.badLines <= messagesMax:
		fmt.Fprintf(m.stderr, "ringcask: %v\n", bad)
	}
}

func (m *loadMessages) failed(line int, key []byte, err error) {
	m.failures++
	switch {
	case m.json:
		var o object
		_ = o.add("line", line).bytes("key", key).add("error", describe(err)).writeTo(m.stdout)
	case m.failures <= messagesMax:
		fmt.Fprintf(m.stderr, "ringcask: line %d, key %s: %v\n", line, brief(key), err)
	}
}

// tellOmitted says how much people were not shown.
func (m *loadMessages) tellOmitted() {
	if n := m.badLines - messagesMax; n > 0 {
		fmt.Fprintf(m.stderr, "ringcask: and %s\n", plural(int(n), "more bad line", "more bad lines"))
	}
	if n := m.failures - messagesMax; n > 0 {
		fmt.Fprintf(m.stderr, "ringcask: and %s\n", plural(int(n), "more failed record", "more failed records"))
	}
}
