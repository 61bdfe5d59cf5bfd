package main

import (
	"bufio"
	"fmt"

	"github.com/ringcask/ringcask/client"
)

// rangeFlags choose the keys of a scan or dump.
type rangeFlags struct {
	Prefix string `placeholder:"KEY" help:"Only keys that begin with this."`
	Start  string `placeholder:"KEY" help:"Only this key and those after it."`
	End    string `placeholder:"KEY" help:"Only this key and those before it."`
	readLevel
	keyFlags
}

// options are the flags as the client takes them.
func (r *rangeFlags) options() (o client.RangeOptions, err error) {
	o.R = client.Level(r.R)
	for _, bound := range []struct {
		to   *[]byte
		text string
	}{{&o.Prefix, r.Prefix}, {&o.Start, r.Start}, {&o.End, r.End}} {
		if *bound.to, err = r.bound(bound.text); err != nil {
			return o, err
		}
	}
	return o, nil
}

type scanCommand struct {
	rangeFlags
	Limit    *int `placeholder:"N" help:"Print at most so many keys."`
	Reverse  bool `help:"Begin with the last key."`
	KeysOnly bool `help:"Print keys without values."`
	outputFlags
	connection
}

func (*scanCommand) Help() string {
	return `Prints a line for each key, in the order of the keys' bytes: the key, a tab and the value. --start and --end are inclusive.

	ringcask scan --prefix debian/bookworm/golang-
	ringcask scan --start a --end m --limit 10 --keys-only
	ringcask scan --prefix log/ --reverse --limit 1 -o json
`
}

func (s *scanCommand) Run(a *app) error {
	opts, err := s.options()
	if err != nil {
		return err
	}
	if s.Limit != nil {
		if opts.Limit = *s.Limit; opts.Limit < 1 {
			return usagef("--limit must be at least 1")
		}
	}
	opts.Reverse, opts.KeysOnly = s.Reverse, s.KeysOnly
	c, err := s.open()
	if err != nil {
		return err
	}
	defer c.Close()
	return buffered(a.stdout, func(w *bufio.Writer) error {
		for kv, err := range c.Range(a.ctx, opts) {
			if err != nil {
				return err
			}
			if err := s.print(w, &kv, a.stdoutTerminal); err != nil {
				return err
			}
		}
		return a.ctx.Err() // a range that was interrupted may end without an error
	})
}

// valueRunesMax is how much of a value is shown on a terminal, which a value of megabytes would flood.
const valueRunesMax = 300

func (s *scanCommand) print(w *bufio.Writer, kv *client.KeyValue, terminal bool) error {
	if s.json() {
		var o object
		o.bytes("key", kv.Key)
		if !s.KeysOnly {
			o.bytes("value", kv.Value)
		}
		return o.writeTo(w)
	}
	line := printable(kv.Key)
	if !s.KeysOnly {
		value := printable(kv.Value)
		if runes := []rune(value); terminal && len(runes) > valueRunesMax {
			value = fmt.Sprintf("%s… (%s)", string(runes[:valueRunesMax]), plural(len(kv.Value), "byte", "bytes"))
		}
		line += "\t" + value
	}
	_, err := w.WriteString(line + "\n")
	return err
}
