//go:build ours

package main

import (
	"context"
	"errors"
	"sync"

	"github.com/ringcask/ringcask/storage"
)

// oursEngine is ringcask's storage engine with the resource budget that every engine gets. Each record has a meta of 15 bytes, as
// a replica's have.
type oursEngine struct {
	e       *storage.Engine
	batches sync.Pool
}

var oursMeta = []byte("0123456789abcde")

func init() {
	Register("ours", "github.com/ringcask/ringcask", func() Engine { return &oursEngine{} })
}

func (o *oursEngine) Open(dir string, opt Options) error {
	sync := storage.SyncNever
	if opt.Sync {
		sync = storage.SyncAlways
	}
	e, err := storage.Open(dir, storage.Options{Sync: sync, CacheBytes: opt.CacheBytes})
	o.e = e
	return err
}

func (o *oursEngine) Put(key, value []byte) error { return o.e.PutMeta(key, oursMeta, value) }

func (o *oursEngine) Get(key, dst []byte) ([]byte, error) {
	v, err := o.e.Get(key, dst)
	if errors.Is(err, storage.ErrNotFound) {
		err = ErrNotFound
	}
	return v, err
}

func (o *oursEngine) Delete(key []byte) error { return o.e.Delete(key) }

func (o *oursEngine) Batch(kvs []KV) error {
	b, _ := o.batches.Get().(*storage.Batch)
	if b == nil {
		b = new(storage.Batch)
	}
	defer o.batches.Put(b)
	b.Reset()
	for _, kv := range kvs {
		b.PutMeta(kv.Key, oursMeta, kv.Value)
	}
	return o.e.Apply(b)
}

func (o *oursEngine) Scan(start, end []byte, limit int, fn func(k, v []byte) error) (int, error) {
	n := 0
	if limit <= 0 {
		return 0, nil
	}
	for rec, err := range o.e.Scan(storage.Range{Start: start, End: end}) {
		if err != nil {
			return n, err
		}
		n++
		if err := fn(rec.Key, rec.Value); err != nil || n == limit {
			return n, err
		}
	}
	return n, nil
}

func (o *oursEngine) Compact() error { return o.e.Merge(context.Background()) }
func (o *oursEngine) Close() error   { return o.e.Close() }
