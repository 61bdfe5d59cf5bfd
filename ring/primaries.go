package ring

import (
	"fmt"
	"math"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

type xxhasher struct{}

func (xxhasher) Sum64(data []byte) uint64 { return xxhash.Sum64(data) }

// ringMember is a member's index; its name goes to the library.
type ringMember struct {
	index int32
	name  string
}

func (m ringMember) String() string { return m.name }

// placePrimaries returns the primary of each partition as an index into members, which are sorted, so that the outcome
// depends on the set only. Where the library finds not enough room (two nodes' points all colliding) the load is
// raised, up to LoadMax.
func placePrimaries(cfg Config, members []Member) ([]int32, error) {
	var err error
	for load := cfg.Load; ; load += (cfg.LoadMax - cfg.Load) / 4 {
		var primaries []int32
		primaries, err = tryPrimaries(cfg, members, min(load, cfg.LoadMax))
		if err == nil {
			return primaries, nil
		}
		if load >= cfg.LoadMax {
			return nil, err
		}
	}
}

// tryPrimaries asks the library, which panics on what it does not like: the last resort is to make that an error.
func tryPrimaries(cfg Config, members []Member, load float64) (primaries []int32, err error) {
	defer func() {
		if r := recover(); r != nil {
			primaries, err = nil, fmt.Errorf("ring: place primaries at load %g: %v", load, r)
		}
	}()
	ms := make([]consistent.Member, len(members))
	for i, m := range members {
		ms[i] = ringMember{index: int32(i), name: string(m.ID)}
	}
	c := consistent.New(ms, consistent.Config{
		Hasher:            xxhasher{},
		PartitionCount:    cfg.Partitions,
		ReplicationFactor: cfg.VirtualNodes,
		Load:              load,
	})
	primaries = make([]int32, cfg.Partitions)
	for p := range primaries {
		owner, ok := c.GetPartitionOwner(p).(ringMember)
		if !ok {
			return nil, fmt.Errorf("ring: partition %d has no primary", p)
		}
		primaries[p] = owner.index
	}
	return primaries, nil
}

// shareCap is a share of total among n, times a load factor, rounded up.
func shareCap(total, n int, load float64) int {
	return int(math.Ceil(float64(total) / float64(n) * load))
}
