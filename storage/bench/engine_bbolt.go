package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// bboltStore has one bucket. Several writers share commits by DB.Batch, whose size is their number: a full group waits for nobody.
type bboltStore struct {
	db       *bbolt.DB
	path     string
	settings bbolt.Options
	writers  int
}

var bboltBucket = []byte("bench")

func init() {
	Register("bbolt", "go.etcd.io/bbolt", func() Engine { return new(bboltStore) })
}

func (b *bboltStore) Open(dir string, o Options) error {
	b.path, b.writers = filepath.Join(dir, "data.bbolt"), o.Writers
	b.settings = bbolt.Options{NoSync: !o.Sync, FreelistType: bbolt.FreelistMapType}
	return b.open()
}

func (b *bboltStore) open() (err error) {
	if b.db, err = bbolt.Open(b.path, 0o600, &b.settings); err != nil {
		return err
	}
	b.db.MaxBatchSize, b.db.MaxBatchDelay = b.writers, time.Millisecond
	return b.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bboltBucket)
		return err
	})
}

func (b *bboltStore) write(change func(*bbolt.Bucket) error) error {
	in := func(tx *bbolt.Tx) error { return change(tx.Bucket(bboltBucket)) }
	if b.writers > 1 {
		return b.db.Batch(in)
	}
	return b.db.Update(in)
}

func (b *bboltStore) Put(key, value []byte) error {
	return b.write(func(in *bbolt.Bucket) error { return in.Put(key, value) })
}

func (b *bboltStore) Delete(key []byte) error {
	return b.write(func(in *bbolt.Bucket) error { return in.Delete(key) })
}

func (b *bboltStore) Get(key, dst []byte) ([]byte, error) {
	err := b.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(bboltBucket).Get(key)
		if value == nil {
			return ErrNotFound
		}
		dst = append(dst, value...)
		return nil
	})
	return dst, err
}

func (b *bboltStore) Batch(kvs []KV) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		in := tx.Bucket(bboltBucket)
		for _, kv := range kvs {
			if err := in.Put(kv.Key, kv.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bboltStore) Scan(start, end []byte, limit int, fn func(k, v []byte) error) (n int, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		at := tx.Bucket(bboltBucket).Cursor()
		for k, v := at.Seek(start); k != nil && n < limit && before(k, end); k, v = at.Next() {
			n++
			if err := fn(k, v); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// Compact copies what is live into a new file, which takes the place of the old one: bbolt has no other way to shrink.
func (b *bboltStore) Compact() error {
	fresh := b.path + ".new"
	unsynced := b.settings
	unsynced.NoSync = true
	to, err := bbolt.Open(fresh, 0o600, &unsynced)
	if err != nil {
		return err
	}
	if err := bbolt.Compact(to, b.db, 1<<20); err != nil {
		return errors.Join(err, to.Close())
	}
	if err := errors.Join(to.Sync(), to.Close(), b.db.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, b.path); err != nil {
		return err
	}
	return b.open()
}

func (b *bboltStore) Close() error { return b.db.Close() }
