package main

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
)

// badgerStore has its defaults, under which values of less than 1 MiB stand in the tree. It looks for no conflicts: no transaction
// of ours reads.
type badgerStore struct{ db *badger.DB }

func init() {
	Register("badger", "github.com/dgraph-io/badger/v4", func() Engine { return new(badgerStore) })
}

func (b *badgerStore) Open(dir string, o Options) (err error) {
	b.db, err = badger.Open(badger.DefaultOptions(dir).WithSyncWrites(o.Sync).
		WithBlockCacheSize(o.CacheBytes).WithMemTableSize(o.MemtableBytes).
		WithDetectConflicts(false).WithMetricsEnabled(false).WithLogger(nil))
	return err
}

func (b *badgerStore) Put(key, value []byte) error {
	return b.db.Update(func(tx *badger.Txn) error { return tx.Set(key, value) })
}

func (b *badgerStore) Delete(key []byte) error {
	return b.db.Update(func(tx *badger.Txn) error { return tx.Delete(key) })
}

func (b *badgerStore) Get(key, dst []byte) ([]byte, error) {
	err := b.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get(key)
		if err == nil {
			err = item.Value(func(v []byte) error { dst = append(dst, v...); return nil })
		}
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		err = ErrNotFound
	}
	return dst, err
}

func (b *badgerStore) Batch(kvs []KV) error {
	return b.db.Update(func(tx *badger.Txn) error {
		for _, kv := range kvs {
			if err := tx.Set(kv.Key, kv.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *badgerStore) Scan(start, end []byte, limit int, fn func(k, v []byte) error) (n int, err error) {
	err = b.db.View(func(tx *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false // they stand beside their keys
		it := tx.NewIterator(o)
		defer it.Close()
		for it.Seek(start); n < limit && it.Valid() && before(it.Item().Key(), end); it.Next() {
			n++
			item := it.Item()
			if err := item.Value(func(v []byte) error { return fn(item.Key(), v) }); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// Compact brings all tables to one level, then has the value log give back what it can.
func (b *badgerStore) Compact() error {
	err := b.db.Flatten(2)
	for err == nil {
		err = b.db.RunValueLogGC(0.5)
	}
	if errors.Is(err, badger.ErrNoRewrite) {
		return nil
	}
	return err
}

func (b *badgerStore) Close() error { return b.db.Close() }
