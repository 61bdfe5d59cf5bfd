package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/ringcask/ringcask/client"
)

type getCommand struct {
	Key string `arg:"" help:"The key."`
	readLevel
	Siblings bool `help:"Print every value that the key has, not the newest alone."`
	keyFlags
	outputFlags
	connection
}

func (*getCommand) Help() string {
	return `Prints exactly the value's bytes, and a line end if that is a terminal. Exits with 1, and prints nothing, if there is no value.

	ringcask get greeting
	ringcask get photo > photo.jpg
	ringcask get cart -o json
	ringcask get cart --siblings
`
}

func (g *getCommand) Run(a *app) error {
	key, err := g.key(g.Key)
	if err != nil {
		return err
	}
	c, err := g.open()
	if err != nil {
		return err
	}
	defer c.Close()
	v, err := c.Get(a.ctx, key, &client.GetOptions{R: client.Level(g.R), Siblings: g.Siblings})
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return err
	}
	if g.json() {
		return errors.Join(g.printJSON(a, key, v, err == nil), err)
	}
	if g.Siblings {
		return errors.Join(printSiblings(a, v), err)
	}
	if err != nil {
		return err
	}
	if v.Siblings > 1 {
		fmt.Fprintf(a.stderr, "ringcask: %s has %s; this is the newest (--siblings prints all)\n",
			brief(key), plural(v.Siblings, "value", "values"))
	}
	return a.printValue(v.Value)
}

// printValue writes a value as it is, and a line end where a person reads it.
func (a *app) printValue(value []byte) error {
	if a.stdoutTerminal {
		value = append(value, '\n')
	}
	_, err := a.stdout.Write(value)
	return err
}

// printJSON writes what the key holds as one object. A key without a value has a context all the same, for the put
// that is to supersede what was deleted.
func (g *getCommand) printJSON(a *app, key []byte, v *client.Value, found bool) error {
	var o object
	o.bytes("key", key)
	if found {
		o.bytes("value", v.Value)
	} else {
		o.add("found", false)
	}
	o.add("context", contextText(v.Context)).add("siblings", v.Siblings)
	if !v.ExpiresAt.IsZero() {
		o.add("expires_at", v.ExpiresAt.UnixMilli())
	}
	if g.Siblings {
		values := make([]jsonLine, len(v.All))
		for i, s := range v.All {
			values[i] = siblingObject(s).end()
		}
		o.add("values", values)
	}
	return o.writeTo(a.stdout)
}

func siblingObject(s client.Sibling) *object {
	var o object
	if s.Deleted {
		o.add("deleted", true)
	} else {
		o.bytes("value", s.Value)
	}
	o.add("time", written(s.Time))
	if !s.ExpiresAt.IsZero() {
		o.add("expires_at", s.ExpiresAt.UnixMilli())
	}
	return &o
}

// printSiblings writes every value under a heading.
func printSiblings(a *app, v *client.Value) error {
	for i, s := range v.All {
		heading := fmt.Sprintf("%d of %d, written %s", i+1, len(v.All), written(s.Time).Format(time.RFC3339Nano))
		if s.Deleted {
			heading += ", deleted"
		}
		if !s.ExpiresAt.IsZero() {
			heading += ", expires " + s.ExpiresAt.Format(time.RFC3339Nano)
		}
		if _, err := fmt.Fprintf(a.stdout, "-- %s\n%s\n", heading, s.Value); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(a.stdout, "-- context %s\n", contextText(v.Context))
	return err
}
