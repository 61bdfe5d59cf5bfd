package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// TestMain lets the test binary be the child of its own cells.
func TestMain(m *testing.M) {
	if spec := os.Getenv(cellVariable); spec != "" {
		if err := childMain(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestEveryEngineDoesWhatTheWorkloadsAskOfIt(t *testing.T) {
	for _, name := range engineNames() {
		for _, sync := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sync=%v", name, sync), func(t *testing.T) {
				t.Parallel()
				c := &contract{T: t, dir: t.TempDir(), name: name}
				c.options = Options{Sync: sync, Writers: 4, CacheBytes: 4 << 20, MemtableBytes: 8 << 20}
				c.open()
				c.checkSingleKeys()
				c.fillFromFourGoroutines()
				c.checkScans()
				c.reopen()
				c.checkScans()
				c.check(c.e.Compact())
				c.checkScans()
				c.reopen()
				c.checkScans()
				c.checkSingleKeys()
				c.check(c.e.Close())
			})
		}
	}
}

// contract checks one engine.
type contract struct {
	*testing.T
	dir, name string
	options   Options
	e         Engine
}

const (
	contractKeys  = 600
	contractValue = 120
)

func (c *contract) check(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *contract) open() {
	c.Helper()
	var err error
	c.e, err = newEngine(c.name)
	c.check(err)
	c.check(c.e.Open(c.dir, c.options))
}

func (c *contract) reopen() {
	c.Helper()
	c.check(c.e.Close())
	c.open()
}

// checkSingleKeys leaves nothing behind.
func (c *contract) checkSingleKeys() {
	c.Helper()
	key := []byte("a key of its own")
	absent := func() {
		c.Helper()
		if _, err := c.e.Get(key, nil); !errors.Is(err, ErrNotFound) {
			c.Fatalf("a get of an absent key: %v", err)
		}
	}
	absent()
	for _, value := range []string{"first", "second, and longer", ""} {
		c.check(c.e.Put(key, []byte(value)))
		if got, err := c.e.Get(key, []byte("head+")); err != nil || string(got) != "head+"+value {
			c.Fatalf("got %q, %v, not %q", got, err, value)
		}
	}
	c.check(c.e.Delete(key))
	absent()
	c.check(c.e.Delete(key))
}

// fillFromFourGoroutines puts each entry twice, in batches or alone; one buffer each is used again and again.
func (c *contract) fillFromFourGoroutines() {
	var running sync.WaitGroup
	for w := range uint64(4) {
		running.Go(func() {
			kv := KV{make([]byte, keyBytes), make([]byte, contractValue)}
			for entry := w; entry < contractKeys; entry += 4 {
				for version := range uint64(2) {
					randomKey(kv.Key, entry)
					makeValue(kv.Value, entry, version)
					put := func() error { return c.e.Put(kv.Key, kv.Value) }
					if entry%3 == 0 {
						put = func() error { return c.e.Batch([]KV{kv}) }
					}
					if err := put(); err != nil {
						c.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
}

func (c *contract) checkScans() {
	c.Helper()
	keys := make([][]byte, contractKeys)
	for i := range keys {
		keys[i] = make([]byte, keyBytes)
		randomKey(keys[i], uint64(i))
	}
	slices.SortFunc(keys, bytes.Compare)
	for _, scan := range []struct{ from, to, limit, first, n int }{
		{-1, -1, 10 * contractKeys, 0, contractKeys},
		{100, -1, 100, 100, 100},
		{100, 150, 100, 100, 50},
		{contractKeys - 10, -1, 100, contractKeys - 10, 10},
	} {
		bound := func(i int) []byte {
			if i < 0 {
				return nil
			}
			return keys[i]
		}
		i := scan.first
		n, err := c.e.Scan(bound(scan.from), bound(scan.to), scan.limit, func(key, value []byte) error {
			if !bytes.Equal(key, keys[i]) {
				return fmt.Errorf("key %d is %x, not %x", i, key, keys[i])
			}
			i++
			want := make([]byte, keyBytes)
			randomKey(want, entryOf(value))
			if !bytes.Equal(key, want) {
				return fmt.Errorf("key %x has the value of %x", key, want)
			}
			return checkValue(value, entryOf(value), contractValue)
		})
		if err != nil || n != scan.n || i != scan.first+scan.n {
			c.Fatalf("scan %+v: %d keys, %v", scan, n, err)
		}
	}
	stop := errors.New("enough")
	if _, err := c.e.Scan(nil, nil, 10, func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		c.Fatalf("a scan that is to stop: %v", err)
	}
}
