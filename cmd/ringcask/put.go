package main

import (
	"fmt"
	"time"

	"github.com/ringcask/ringcask/client"
)

type putCommand struct {
	Key   string  `arg:"" help:"The key."`
	Value *string `arg:"" optional:"" help:"The value; - reads it from standard input."`
	File  string  `type:"path" placeholder:"FILE" help:"Read the value from this file; - is standard input."`
	writeLevel
	readLevel
	Ordered bool          `help:"Come after every write that R replicas have seen, whatever the nodes' clocks say."`
	Sloppy  bool          `help:"Let other nodes keep copies for replicas that cannot be reached, where fewer than W can; reads may miss the write until these are back."`
	TTL     time.Duration `name:"ttl" placeholder:"DURATION" help:"Let the value vanish after this time."`
	contextFlag
	keyFlags
	outputFlags
	connection
}

func (*putCommand) Help() string {
	return `Overwrites what its coordinating replica holds. With --ordered it comes after every write that R replicas have seen; with
--context it supersedes exactly what that get saw, and what was written meanwhile stays as a sibling.

	ringcask put greeting hello
	ringcask put photo --file photo.jpg
	date | ringcask put now -
	ringcask put session abc --ttl 30m --w all
`
}

// valueBytesMax bounds what a value is read into memory as; the nodes have a limit of their own.
const valueBytesMax = 64 << 20

func (p *putCommand) Run(a *app) error {
	key, err := p.key(p.Key)
	if err != nil {
		return err
	}
	cc, err := p.decode()
	if err != nil {
		return err
	}
	if p.TTL < 0 {
		return usagef("--ttl must not be negative")
	}
	value, err := p.value(a)
	if err != nil {
		return err
	}
	c, err := p.open()
	if err != nil {
		return err
	}
	defer c.Close()
	w, err := c.Put(a.ctx, key, value, &client.PutOptions{
		R: client.Level(p.R), W: client.Level(p.W), Ordered: p.Ordered, Sloppy: p.Sloppy, TTL: p.TTL, Context: cc,
	})
	if err != nil || !p.json() {
		return err
	}
	return writtenObject(key, w).writeTo(a.stdout)
}

// value is the one value that the command line names.
func (p *putCommand) value(a *app) ([]byte, error) {
	switch {
	case p.Value != nil && p.File != "":
		return nil, usagef("give the value as an argument or with --file, not both")
	case p.File != "":
		return a.readValue(p.File, valueBytesMax)
	case p.Value == nil:
		return nil, usagef("give a value, --file FILE, or - to read standard input")
	case *p.Value == "-":
		return a.readValue("-", valueBytesMax)
	}
	return []byte(*p.Value), nil
}

// receipt says where a write is, in the words of the HTTP interface.
type receipt struct {
	Replicas []string   `json:"replicas"`
	Hints    []keptHint `json:"hints,omitempty"`
	Dot      string     `json:"dot"`
	Retried  bool       `json:"retried,omitempty"`
}

// keptHint says who keeps a write for whom.
type keptHint struct {
	For     string `json:"for"`
	At      string `json:"at"`
	Counted bool   `json:"counted"`
}

// writtenObject tells of a write that is done.
func writtenObject(key []byte, w *client.Receipt) *object {
	var o object
	o.bytes("key", key).add("context", contextText(w.Context))
	var hints []keptHint
	for _, h := range w.Hints {
		hints = append(hints, keptHint(h))
	}
	return o.add("receipt", receipt{w.Replicas, hints, dotText(w.Actor, w.Time), w.Retried})
}

// dotText writes a dot as the nodes do in logs and HTTP: the actor, the milliseconds and the logic of the hybrid
// timestamp.
func dotText(actor, timestamp uint64) string {
	return fmt.Sprintf("%012x@%s+%d", actor, written(timestamp).Format("2006-01-02T15:04:05.000Z"), timestamp&0xffff)
}
