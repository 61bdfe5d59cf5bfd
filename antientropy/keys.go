package antientropy

import (
	"bytes"
	"context"
	"slices"

	"github.com/ringcask/ringcask/ring"
)

// difference is what comparing the keys of some leaves has found: the keys that the two sides do not hold alike.
type difference struct {
	keys [][]byte
	// unknown are keys that cannot be read on this side, unreadable the partitions that have such keys on either.
	unknown    [][]byte
	unreadable []ring.PartitionID
}

// compareKeys compares this side's keys in some leaves with the peer's.
func (x *Exchanger) compareKeys(ctx context.Context, leaves []Leaf, theirs []keyEntry) (d difference, err error) {
	type keyState struct {
		hash    uint64
		unknown bool
		leaf    Leaf
	}
	left := make(map[string]keyState, len(theirs))
	for i := range theirs {
		k := &theirs[i]
		left[string(k.Key)] = keyState{k.Hash, k.Unknown, leaves[k.Leaf]}
	}
	err = x.replica.Keys(ctx, leaves, func(leaf Leaf, key []byte, hash uint64, unknown bool) {
		their, ok := left[string(key)]
		delete(left, string(key))
		switch {
		case unknown:
			d.unknown = append(d.unknown, bytes.Clone(key))
			d.unreadable = append(d.unreadable, leaf.Partition)
		case ok && their.unknown:
			d.unreadable = append(d.unreadable, leaf.Partition)
		case !ok || their.hash != hash:
			d.keys = append(d.keys, bytes.Clone(key))
		}
	})
	for key, their := range left {
		if their.unknown {
			d.unreadable = append(d.unreadable, their.leaf.Partition)
		} else {
			d.keys = append(d.keys, []byte(key))
		}
	}
	slices.SortFunc(d.keys, bytes.Compare)
	return d, err
}
