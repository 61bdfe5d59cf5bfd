package httpgw

import (
	"strconv"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
)

// appendObject appends the members of a key that shows something: its value or, on request, all of its values with the
// context that resolves them.
func appendObject(b []byte, o causal.Object, all bool, now time.Time) []byte {
	if all {
		b = append(b, `,"values":[`...)
		for i := range o.Siblings {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendSibling(b, &o.Siblings[i], now)
		}
		return append(b, ']')
	}
	winner, found := o.Winner()
	if !found {
		return b
	}
	b = appendBytes(append(b, ','), "value", winner.Value)
	return appendExpiry(b, winner.ExpiresAt)
}

// appendSibling appends one of several values: a tombstone or an expired one has no value.
func appendSibling(b []byte, s *causal.Sibling, now time.Time) []byte {
	b = append(b, '{')
	if s.Visible(now) {
		b = appendBytes(b, "value", s.Value)
	} else {
		b = append(b, `"deleted":true`...)
	}
	b = append(b, `,"dot":`...)
	b = appendString(b, s.Dot.String())
	return append(appendExpiry(b, s.ExpiresAt), '}')
}

// appendExpiry appends the member "expires_at", in milliseconds since the Unix epoch, unless the value never expires.
func appendExpiry(b []byte, at int64) []byte {
	if at == 0 {
		return b
	}
	b = append(b, `,"expires_at":`...)
	return strconv.AppendInt(b, at, 10)
}

// appendSiblings appends the member "siblings": how many values, tombstones among them, a key has at once.
func appendSiblings(b []byte, o causal.Object) []byte {
	b = append(b, `,"siblings":`...)
	return strconv.AppendInt(b, int64(len(o.Siblings)), 10)
}

// appendWritten appends the members of a write that was done.
func appendWritten(b []byte, out *coordinator.Outcome) []byte {
	b = appendContext(b, out.Context)
	b = append(b, `,"receipt":{"replicas":[`...)
	for i, id := range out.Receipt.Replicas {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, string(id))
	}
	b = append(b, ']')
	b = appendHints(b, out.Receipt.Hints)
	b = append(b, `,"dot":`...)
	b = appendString(b, out.Receipt.Dot.String())
	return append(b, '}')
}

// appendHints appends the member of a receipt that says who keeps the write for whom, if anybody does.
func appendHints(b []byte, hints []coordinator.KeptHint) []byte {
	if len(hints) == 0 {
		return b
	}
	b = append(b, `,"hints":[`...)
	for i, h := range hints {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"for":`...), string(h.Target))
		b = appendString(append(b, `,"at":`...), string(h.Node))
		b = strconv.AppendBool(append(b, `,"counted":`...), h.Counted)
		b = append(b, '}')
	}
	return append(b, ']')
}

// shows says whether a key has something to show: a plain get shows its winner, a get of all siblings any of them.
func shows(o causal.Object, all bool, now time.Time) bool {
	if !all {
		winner, found := o.Winner()
		return found && winner.Visible(now)
	}
	for _, s := range o.Siblings {
		if s.Visible(now) {
			return true
		}
	}
	return false
}
