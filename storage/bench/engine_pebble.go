package main

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// pebbleStore has Bloom filters of 10 bits a key and the thresholds for level 0 that its documentation and its largest user have;
// its newest format, and two compactions at once.
type pebbleStore struct {
	db    *pebble.DB
	write *pebble.WriteOptions
}

func init() {
	Register("pebble", "github.com/cockroachdb/pebble/v2", func() Engine { return new(pebbleStore) })
}

// pebbleLog passes on only what ends the process.
type pebbleLog struct{}

func (pebbleLog) Infof(string, ...any)  {}
func (pebbleLog) Errorf(string, ...any) {}
func (pebbleLog) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}

func (p *pebbleStore) Open(dir string, o Options) (err error) {
	p.write = pebble.NoSync
	if o.Sync {
		p.write = pebble.Sync
	}
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	settings := &pebble.Options{
		Cache:                       cache,
		FormatMajorVersion:          pebble.FormatNewest,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		MemTableSize:                uint64(o.MemtableBytes),
		MemTableStopWritesThreshold: 4,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      pebbleLog{},
	}
	for i := range settings.Levels {
		settings.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		settings.Levels[i].FilterType = pebble.TableFilter
	}
	p.db, err = pebble.Open(dir, settings)
	return err
}

func (p *pebbleStore) Put(key, value []byte) error { return p.db.Set(key, value, p.write) }
func (p *pebbleStore) Delete(key []byte) error     { return p.db.Delete(key, p.write) }
func (p *pebbleStore) Close() error                { return p.db.Close() }

func (p *pebbleStore) Get(key, dst []byte) ([]byte, error) {
	value, done, err := p.db.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			err = ErrNotFound
		}
		return dst, err
	}
	return append(dst, value...), done.Close()
}

func (p *pebbleStore) Batch(kvs []KV) error {
	batch := p.db.NewBatch()
	for _, kv := range kvs {
		if err := batch.Set(kv.Key, kv.Value, nil); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	return errors.Join(batch.Commit(p.write), batch.Close())
}

func (p *pebbleStore) Scan(start, end []byte, limit int, fn func(k, v []byte) error) (n int, err error) {
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return 0, err
	}
	for it.First(); err == nil && n < limit && it.Valid(); it.Next() {
		err = fn(it.Key(), it.Value())
		n++
	}
	return n, errors.Join(err, it.Error(), it.Close())
}

func (p *pebbleStore) Compact() error {
	return p.db.Compact(context.Background(), []byte{0}, bytes.Repeat([]byte{0xff}, 2*keyBytes), true)
}
