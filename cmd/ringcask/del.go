package main

import (
	"errors"
	"fmt"

	"github.com/ringcask/ringcask/client"
)

type delCommand struct {
	Keys []string `arg:"" help:"The keys."`
	writeLevel
	readLevel
	Sloppy bool `help:"Let other nodes keep copies for replicas that cannot be reached, where fewer than W can; reads may miss the write until these are back."`
	contextFlag
	keyFlags
	outputFlags
	connection
}

func (*delCommand) Help() string {
	return `Deleting what is absent is no error. Without a context a delete covers what R replicas hold.

	ringcask del greeting
	ringcask del a b c
	ringcask del cart --context KgAAAA
`
}

func (d *delCommand) Run(a *app) error {
	cc, err := d.decode()
	if err != nil {
		return err
	}
	if cc != nil && len(d.Keys) > 1 {
		return usagef("a context is of one key, not of %d", len(d.Keys))
	}
	keys := make([][]byte, len(d.Keys))
	for i, arg := range d.Keys {
		if keys[i], err = d.key(arg); err != nil {
			return err
		}
	}
	c, err := d.open()
	if err != nil {
		return err
	}
	defer c.Close()
	var errs []error
	for _, key := range keys {
		w, err := c.Delete(a.ctx, key, &client.DeleteOptions{
			R: client.Level(d.R), W: client.Level(d.W), Sloppy: d.Sloppy, Context: cc,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", brief(key), err))
			continue
		}
		if d.json() {
			if err := writtenObject(key, w).writeTo(a.stdout); err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}
