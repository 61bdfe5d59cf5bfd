package ring

import (
	"errors"
	"fmt"
)

// Limits of what Plan accepts. They bound its time and memory: see docs/ring.md for what the extremes cost.
const (
	MembersMax      = 1024
	PartitionsMax   = 1 << 14
	ReplicasMax     = 16
	VirtualNodesMax = 512
	loadFactorMax   = 16
)

// ErrConfig is wrapped by every error that a bad Config or member list causes.
var ErrConfig = errors.New("ring: invalid configuration")

// Config says how a table is planned. The zero value of every field is its default.
type Config struct {
	// Partitions is the partition count, fixed for the life of a cluster. Zero is 256.
	Partitions int
	// Replicas is N, the copies of each partition. Zero is 3.
	Replicas int
	// VirtualNodes is how many points each node has on the ring of primaries. Zero is 128.
	VirtualNodes int
	// Load is how many times its mean share of primaries a node may get, rounded up. Zero is 1.10.
	Load float64
	// LoadMax is how many times its mean share of copies a node may get, rounded up. Zero is 1.25.
	LoadMax float64
}

// WithDefaults is the config with its zero fields replaced by their defaults.
func (c Config) WithDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = 256
	}
	if c.Replicas == 0 {
		c.Replicas = 3
	}
	if c.VirtualNodes == 0 {
		c.VirtualNodes = 128
	}
	if c.Load == 0 {
		c.Load = 1.10
	}
	if c.LoadMax == 0 {
		c.LoadMax = max(1.25, c.Load)
	}
	return c
}

// Validate checks a config that has its defaults. Errors wrap ErrConfig.
func (c Config) Validate() error {
	switch {
	case c.Partitions < 1 || c.Partitions > PartitionsMax:
		return fmt.Errorf("%w: %d partitions, must be 1 to %d", ErrConfig, c.Partitions, PartitionsMax)
	case c.Replicas < 1 || c.Replicas > ReplicasMax:
		return fmt.Errorf("%w: %d replicas, must be 1 to %d", ErrConfig, c.Replicas, ReplicasMax)
	case c.VirtualNodes < 1 || c.VirtualNodes > VirtualNodesMax:
		return fmt.Errorf("%w: %d virtual nodes, must be 1 to %d", ErrConfig, c.VirtualNodes, VirtualNodesMax)
	// Written so that NaN fails, too.
	case !(c.Load >= 1 && c.Load <= c.LoadMax):
		return fmt.Errorf("%w: load %g, must be 1 to %g, the greatest load", ErrConfig, c.Load, c.LoadMax)
	case !(c.LoadMax <= loadFactorMax):
		return fmt.Errorf("%w: greatest load %g, must be at most %d", ErrConfig, c.LoadMax, loadFactorMax)
	}
	return nil
}
