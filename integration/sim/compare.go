package sim

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// contents are the objects that an engine holds, by key.
type contents map[string]causal.Object

// readDisk reads all that the engine on a disk holds, by itself: without a node, its trees, or its index of a run before. The disk is not changed,
// and may be full.
func readDisk(disk *vfstest.FS) (held contents, err error) {
	disk = disk.Restart()
	disk.SetCapacity(0)
	engine, err := storage.Open(engineDir, storage.Options{
		FS: disk, ReserveBytes: -1, ScrubInterval: -1, MergeDisabled: true, CacheBytes: -1, ValueBytesMax: 1 << 29,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	held = make(contents)
	for rec, err := range engine.Scan(storage.Range{}) {
		if err != nil {
			return nil, err
		}
		var o causal.Object
		if err := causal.DecodeStored(&o, bytes.Clone(rec.Meta), bytes.Clone(rec.Value)); err != nil {
			return nil, err
		}
		held[string(rec.Key)] = o
	}
	return held, nil
}

// differences compares what the replicas of each key hold, sibling by sibling and byte by byte. Objects that consist of tombstones only may be
// missing: when everybody holds one, each drops it in its own time. replicas are those of a key.
func differences(held []contents, replicas func(key string) []int) (found []string) {
	keys := make(map[string]bool)
	for _, c := range held {
		for key := range c {
			keys[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		places := replicas(key)
		first := lasting(held[places[0]][key])
		for _, i := range places[1:] {
			if other := lasting(held[i][key]); !equal(first, other) {
				found = append(found, fmt.Sprintf("key %q: %s holds %s, %s holds %s", key, nodeID(places[0]), text(first), nodeID(i), text(other)))
			}
		}
	}
	return found
}

// lasting are the siblings of an object, or none if it shows nothing.
func lasting(o causal.Object) []causal.Sibling {
	for i := range o.Siblings {
		if !o.Siblings[i].Tombstone {
			return o.Siblings
		}
	}
	return nil
}

func equal(a, b []causal.Sibling) bool {
	return slices.EqualFunc(a, b, func(x, y causal.Sibling) bool {
		return x.Dot == y.Dot && x.Tombstone == y.Tombstone && x.ExpiresAt == y.ExpiresAt && bytes.Equal(x.Value, y.Value)
	})
}

func text(siblings []causal.Sibling) string {
	if len(siblings) == 0 {
		return "nothing"
	}
	var b bytes.Buffer
	for i, s := range siblings {
		if i > 0 {
			b.WriteString(" and ")
		}
		if s.Tombstone {
			fmt.Fprintf(&b, "a tombstone of %s", s.Dot)
		} else {
			fmt.Fprintf(&b, "%.40q of %s", s.Value, s.Dot)
		}
	}
	return b.String()
}
