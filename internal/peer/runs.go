package peer

import (
	"fmt"

	"github.com/ringcask/ringcask/internal/wire"
)

// Run is one run of a member: what it was when it was let in.
type Run struct {
	Incarnation uint64
	// Boot names the run: a random number, not zero.
	Boot uint64
}

// RunsMax is the greatest number of earlier runs in a hello.
const RunsMax = 64

func (r Run) String() string {
	return fmt.Sprintf("(incarnation %d, boot %016x)", r.Incarnation, r.Boot)
}

// continues says whether a node that knows of some earlier runs, without gaps from the first on, goes on from where last left off.
// How it stands to a run before the first of them is told by the incarnations alone.
func (h *hello) continues(last identity) bool {
	since := h.identity.incarnation
	if len(h.earlier) > 0 {
		since = h.earlier[0].Incarnation
	}
	if last.incarnation < since {
		return true
	}
	for _, run := range h.earlier {
		if run.Boot == last.boot {
			return true
		}
	}
	return false
}

func encodeRun(w *wire.Writer, r Run) {
	w.ArrayLen(2)
	w.Uint(r.Incarnation)
	w.Uint(r.Boot)
}

func decodeRun(r *wire.Reader) Run {
	exactly(r, 2, "a run")
	return Run{Incarnation: r.Uint64(), Boot: r.Uint64()}
}
