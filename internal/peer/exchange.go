package peer

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// ExchangeFunc answers a request of a peer's exchange (package antientropy), which it must not keep. It may block: it runs on a worker.
type ExchangeFunc func(ctx context.Context, from ring.NodeID, request []byte) (answer []byte, err error)

var errNoExchanges = errors.New("peer: this node takes part in no exchanges")

// Exchanges is a member as exchanges see it. What their messages say is theirs alone.
type Exchanges interface {
	// Exchange sends a request and calls done exactly once, perhaps before it returns. request belongs to the callee until then.
	Exchange(deadline time.Time, request []byte, done func(answer []byte, err error))
	// Reachable is a hint: false when a request would most likely fail.
	Reachable() bool
}

// Exchanges is the member as exchanges see it; nil for this node and for who is no member.
func (p *Peers) Exchanges(id ring.NodeID) Exchanges {
	if r, ok := p.remotes[id]; ok {
		return r
	}
	return nil
}

// Exchange implements Exchanges.
func (r *remote) Exchange(deadline time.Time, request []byte, done func([]byte, error)) {
	t, err := r.begin(bulk, deadline)
	if err != nil {
		done(nil, err)
		return
	}
	t.waiting.exchange = done
	t.waiting.bytes += len(request)
	t.conn.call(t.waiting, func(w *wire.Writer, id uint32) {
		t.encode(w, id, methodExchange, 1)
		w.Bin(request)
	})
}

// decodeExchange is the answer to an exchange. It does not alias the message.
func decodeExchange(r *wire.Reader) []byte { return bytes.Clone(r.Bytes()) }

func (t *task) runExchange() {
	ctx, cancel := context.WithDeadline(context.Background(), t.deadline)
	defer cancel()
	answer, err := t.c.p.opt.Exchange(ctx, t.c.nodeID(), t.exchange)
	t.finish(err, 1, func(w *wire.Writer) { w.Bin(answer) })
}
