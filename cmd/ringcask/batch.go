package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

type batchCommand struct {
	File string `arg:"" predict:"file" help:"JSON Lines of operations, plain or gzip; - is standard input."`
	writeLevel
	readLevel
	Ordered bool `help:"Come after every write that R replicas have seen, whatever the nodes' clocks say."`
	Sloppy  bool `help:"Let other nodes keep copies for replicas that cannot be reached, where fewer than W can; reads may miss the write until these are back."`
	outputFlags
	connection
}

func (*batchCommand) Help() string {
	return `Each line is {"type":"put","key":"a","value":"1"} or {"type":"delete","key":"b"}, each key at most once. The whole file is read
first: if a line is bad, nothing is sent. An outcome is printed for each operation, in their order.

	ringcask batch changes.jsonl
	echo '{"type":"delete","key":"b"}' | ringcask batch -
`
}

func (b *batchCommand) Run(a *app) error {
	in, err := a.openInput(b.File)
	if err != nil {
		return err
	}
	defer in.Close()
	ops, err := readOps(in)
	if err != nil || len(ops) == 0 {
		return err
	}
	c, err := b.open()
	if err != nil {
		return err
	}
	defer c.Close()
	outcomes, err := c.Batch(a.ctx, ops, &client.BatchOptions{
		R: client.Level(b.R), W: client.Level(b.W), Ordered: b.Ordered, Sloppy: b.Sloppy,
	})
	if err != nil {
		return err
	}
	failed := 0
	err = buffered(a.stdout, func(w *bufio.Writer) error {
		for i := range outcomes {
			if outcomes[i].Err != nil {
				failed++
			}
			if err := b.print(w, ops[i], &outcomes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %s failed", failed, plural(len(ops), "operation", "operations"))
	}
	return err
}

// readOps reads a whole batch. A bad line, or a key that comes twice, is an error.
func readOps(in *input) ([]client.Op, error) {
	r, err := records.NewReader(in, 0)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in.name, err)
	}
	var ops []client.Op
	lines := map[string]int{}
	for {
		op, err := r.Op()
		var bad *records.LineError
		switch {
		case errors.As(err, &bad):
			return nil, usagef("%s: %w; nothing was sent", in.name, err)
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return ops, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w; nothing was sent", in.name, err)
		}
		if before, twice := lines[string(op.Key)]; twice {
			return nil, usagef("%s: lines %d and %d have the same key, %s; nothing was sent",
				in.name, before, r.Line(), brief(op.Key))
		}
		lines[string(op.Key)] = r.Line()
		ops = append(ops, client.Op{Delete: op.Type == records.Delete, Key: op.Key, Value: op.Value})
	}
}

// print writes the outcome of one operation.
func (b *batchCommand) print(w *bufio.Writer, op client.Op, outcome *client.BatchResult) error {
	name := records.Put
	if op.Delete {
		name = records.Delete
	}
	if b.json() {
		var o object
		o.add("type", name.String()).bytes("key", op.Key)
		if outcome.Err != nil {
			o.add("error", describe(outcome.Err))
		} else {
			o.add("context", contextText(outcome.Receipt.Context))
		}
		return o.writeTo(w)
	}
	result := "done"
	if outcome.Err != nil {
		result = outcome.Err.Error()
	}
	_, err := fmt.Fprintf(w, "%s %s: %s\n", name, brief(op.Key), result)
	return err
}
