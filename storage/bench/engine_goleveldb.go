package main

import (
	"errors"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// leveldbStore has Bloom filters of 10 bits a key, and keeps its files open.
type leveldbStore struct {
	db    *leveldb.DB
	write opt.WriteOptions
}

func init() {
	Register("goleveldb", "github.com/syndtr/goleveldb", func() Engine { return new(leveldbStore) })
}

func (l *leveldbStore) Open(dir string, o Options) (err error) {
	l.write.Sync = o.Sync
	l.db, err = leveldb.OpenFile(dir, &opt.Options{
		BlockCacheCapacity:     int(o.CacheBytes),
		Filter:                 filter.NewBloomFilter(10),
		OpenFilesCacheCapacity: 4096,
		WriteBuffer:            int(o.MemtableBytes),
	})
	return err
}

func (l *leveldbStore) Put(key, value []byte) error { return l.db.Put(key, value, &l.write) }
func (l *leveldbStore) Delete(key []byte) error     { return l.db.Delete(key, &l.write) }
func (l *leveldbStore) Compact() error              { return l.db.CompactRange(util.Range{}) }
func (l *leveldbStore) Close() error                { return l.db.Close() }

func (l *leveldbStore) Get(key, dst []byte) ([]byte, error) {
	value, err := l.db.Get(key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		err = ErrNotFound
	}
	return append(dst, value...), err
}

func (l *leveldbStore) Batch(kvs []KV) error {
	batch := leveldb.MakeBatch(len(kvs) * 160)
	for _, kv := range kvs {
		batch.Put(kv.Key, kv.Value)
	}
	return l.db.Write(batch, &l.write)
}

func (l *leveldbStore) Scan(start, end []byte, limit int, fn func(k, v []byte) error) (n int, err error) {
	it := l.db.NewIterator(&util.Range{Start: start, Limit: end}, nil)
	defer it.Release()
	for n < limit && err == nil && it.Next() {
		n++
		err = fn(it.Key(), it.Value())
	}
	return n, errors.Join(err, it.Error())
}
