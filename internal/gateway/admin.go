package gateway

import (
	"context"

	"github.com/ringcask/ringcask/internal/wire"
)

// AllPartitions asks Admin.Partitions for all that the node holds.
const AllPartitions = -1

// Admin looks into what a node holds, and steers its exchanges. It never changes what is stored.
type Admin interface {
	// Partitions describes the partitions that the node holds, or one of them. With sizes it waits a moment, if it must, for
	// a count of what is stored, which may be some seconds old. A partition that the node does not hold is left out.
	Partitions(ctx context.Context, partition int, sizes bool) *wire.PartitionsReport
	// Key describes what the node itself holds of a key. Errors: that its storage cannot be asked.
	Key(key []byte) (*wire.KeyReport, error)
	// PauseExchange has no exchanges begun, until it is called with false or the node is started anew. ExchangeNow has all partitions
	// exchanged with all other replicas as soon as they are not paused.
	PauseExchange(paused bool)
	ExchangeNow()
	ExchangePaused() bool
}
