//go:build !unix

package yield

import "time"

// processorTime is not known: the processors are never busy.
func processorTime() time.Duration { return 0 }
