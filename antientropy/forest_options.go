package antientropy

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/ringcask/ringcask/ring"
)

// ForestOptions are the settings of a Forest. The zero value of every field but Partitions is its default.
type ForestOptions struct {
	// Partitions is the partition count of the cluster. Required.
	Partitions int
	// RebuildKeysPerSecond bounds what a Rebuild scans. Zero is 500,000, negative is no bound.
	RebuildKeysPerSecond int
	// PoisonedKeysMax bounds the keys that are known by name to be unreadable, for each partition; with one more the leaf stays
	// poisoned until the next Rebuild. Zero is 64, negative is none.
	PoisonedKeysMax int
	// Random is where the number is drawn that makes a poisoned leaf differ from everyone else's; nil is crypto/rand.Reader.
	Random io.Reader
}

func (o ForestOptions) withDefaults() ForestOptions {
	if o.RebuildKeysPerSecond == 0 {
		o.RebuildKeysPerSecond = 500_000
	}
	if o.PoisonedKeysMax == 0 {
		o.PoisonedKeysMax = 64
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return o
}

// poisonedKeysLimit is what PoisonedKeysMax may be at most: readers go through these keys.
const poisonedKeysLimit = 1 << 12

// Validate says what is wrong with the options; nil if nothing is.
func (o ForestOptions) Validate() error {
	if o.Partitions < 1 || o.Partitions > ring.PartitionsMax {
		return fmt.Errorf("antientropy: option Partitions is %d, must be from 1 to %d", o.Partitions, ring.PartitionsMax)
	}
	if o.PoisonedKeysMax > poisonedKeysLimit {
		return fmt.Errorf("antientropy: option PoisonedKeysMax is %d, must be at most %d", o.PoisonedKeysMax, poisonedKeysLimit)
	}
	return nil
}
