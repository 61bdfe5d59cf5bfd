package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
)

// Options are the resources that every engine gets alike. What an engine has no such thing for, its adapter ignores.
type Options struct {
	// Sync has each write survive a power cut once it is acknowledged.
	Sync bool
	// Writers is how many goroutines write at once: a hint for engines that group commits by number.
	Writers int
	// CacheBytes bounds the cache of blocks in the process, MemtableBytes what is gathered in memory before it goes to a table.
	CacheBytes, MemtableBytes int64
}

// KV is one write of a batch.
type KV struct{ Key, Value []byte }

// ErrNotFound: the key is absent.
var ErrNotFound = errors.New("key not found")

// Engine is what the workloads ask of a store. Its methods, but Open and Close, are called from many goroutines at once, and keep
// none of the slices that they are handed.
type Engine interface {
	// Open opens or makes the store in dir, which is there.
	Open(dir string, o Options) error
	Put(key, value []byte) error
	// Get appends the value of key to dst. It returns ErrNotFound if there is none.
	Get(key, dst []byte) ([]byte, error)
	Delete(key []byte) error
	// Batch writes all of kvs or, after a crash, none.
	Batch(kvs []KV) error
	// Scan calls fn for at most limit keys from start on and before end, in order, and returns how many; nil is no bound.
	Scan(start, end []byte, limit int, fn func(key, value []byte) error) (int, error)
	// Compact gives back all dead space and returns when that is done.
	Compact() error
	Close() error
}

// registration is one engine that the binary has.
type registration struct {
	module string
	make   func() Engine
}

// registered is filled by the adapters' init functions: which of them there are is decided by build tags.
var registered = map[string]registration{}

// Register adds an engine. The module is the one whose version goes into the results.
func Register(name, module string, make func() Engine) {
	if _, again := registered[name]; again {
		panic("engine " + name + " is registered twice")
	}
	registered[name] = registration{module, make}
}

func newEngine(name string) (Engine, error) {
	r, ok := registered[name]
	switch {
	case ok:
		return r.make(), nil
	case strings.HasPrefix(name, "ours"):
		return nil, fmt.Errorf("engine %q is not in this binary: build it with -tags ours", name)
	}
	return nil, fmt.Errorf("no engine %q: there are %s", name, strings.Join(engineNames(), ", "))
}

func engineNames() []string { return slices.Sorted(maps.Keys(registered)) }

// moduleVersion is the version of an engine's module in this binary.
func moduleVersion(name string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == registered[name].module {
				return m.Version
			}
		}
	}
	return ""
}

// before says whether key is within an exclusive bound; nil is none.
func before(key, end []byte) bool { return end == nil || bytes.Compare(key, end) < 0 }
