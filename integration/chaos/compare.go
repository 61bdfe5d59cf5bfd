package chaos

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// stored is what one stopped node stores of a key: a digest of its siblings, with their dots, expiries and values. What has been seen is not in
// it: each replica leaves out of that what it knows to be stable, which need not be the same everywhere at one moment.
type stored struct {
	digest [sha256.Size]byte
	// deleted says that all siblings are tombstones. A replica may have dropped such a key, and then it is zero.
	deleted bool
}

// contents are all keys of a node.
type contents map[string]stored

// compare opens what the stopped nodes store, and compares all replicas of every key, byte by byte and independent of their trees.
func (r *run) compare(c *converging) error {
	table, err := r.cluster.table()
	if err != nil {
		return err
	}
	all := map[ring.NodeID]contents{}
	for _, p := range r.cluster.nodes {
		read, unreadable, err := readContents(p.engine())
		if err != nil {
			return fmt.Errorf("%s: %w", p.id, err)
		}
		for _, why := range unreadable {
			c.add(violationNotEqual, p.id+" cannot read "+why)
		}
		all[ring.NodeID(p.id)] = read
	}
	keys := compareContents(table, all, func(text string) { c.add(violationNotEqual, text) })
	c.measures["keys compared"] = float64(keys)
	c.measures["seconds to converge"] = seconds(c.Took)
	return nil
}

// readContents reads everything that an engine holds.
func readContents(dir string) (read contents, unreadable []string, err error) {
	e, err := storage.Open(dir, storage.Options{SegmentBytesMax: 1 << 20, ReserveBytes: 1})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	read = contents{}
	for rec, err := range e.Scan(storage.Range{}) {
		var corrupt *storage.CorruptError
		if errors.As(err, &corrupt) {
			unreadable = append(unreadable, err.Error())
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		var o causal.Object
		if err := causal.DecodeStored(&o, rec.Meta, rec.Value); err != nil {
			unreadable = append(unreadable, fmt.Sprintf("%q: %v", rec.Key, err))
			continue
		}
		read[string(rec.Key)] = digest(o)
	}
	return read, unreadable, nil
}

// digest sums up an object.
func digest(o causal.Object) stored {
	h := sha256.New()
	s := stored{deleted: true}
	var buf []byte
	for _, sibling := range o.Siblings {
		s.deleted = s.deleted && sibling.Tombstone
		buf = binary.BigEndian.AppendUint64(buf[:0], uint64(sibling.Dot.Actor))
		buf = binary.BigEndian.AppendUint64(buf, uint64(sibling.Dot.Time))
		buf = binary.BigEndian.AppendUint64(buf, uint64(sibling.ExpiresAt))
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(sibling.Value)))
		if sibling.Tombstone {
			buf = append(buf, 1)
		}
		h.Write(buf)
		h.Write(sibling.Value)
	}
	h.Sum(s.digest[:0])
	return s
}

// compareContents compares the replicas of each key, tells of differences, and returns how many keys there are.
func compareContents(table *ring.Table, all map[ring.NodeID]contents, differs func(text string)) int {
	seen := map[string]bool{}
	for id, has := range all {
		for key := range has {
			replicas := table.Replicas(table.Partition([]byte(key)))
			if !slices.Contains(replicas, id) {
				differs(fmt.Sprintf("%s holds %q, of which %v are the replicas", id, key, replicas))
			}
			if seen[key] {
				continue
			}
			seen[key] = true
			for _, other := range replicas {
				if why := unlike(has, all[other], key); why != "" {
					differs(fmt.Sprintf("%q on %s and %s: %s", key, id, other, why))
				}
			}
		}
	}
	return len(seen)
}

// unlike is how two replicas of a key differ; empty if they do not. A deletion may be forgotten on one side.
func unlike(a, b contents, key string) string {
	x, hasX := a[key]
	y, hasY := b[key]
	switch {
	case hasX && hasY && x.digest == y.digest, x.deleted && !hasY, y.deleted && !hasX:
		return ""
	case !hasX || !hasY:
		return "one of them does not have it"
	case x.deleted != y.deleted:
		return "one of them has it deleted"
	}
	return "different siblings"
}
