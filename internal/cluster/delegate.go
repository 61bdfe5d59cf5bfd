package cluster

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringcask/ringcask/ring"
)

// delegate is what memberlist calls: it writes down what it hears. Memberlist may hold its lock meanwhile, so nothing
// here calls it, or anybody else.
type delegate struct{ l *Liveness }

// note has f change a member's record, if it is one.
func (d delegate) note(n *memberlist.Node, f func(*record)) {
	d.l.mu.Lock()
	if r, ok := d.l.records[ring.NodeID(n.Name)]; ok {
		f(r)
	}
	d.l.mu.Unlock()
	signal(d.l.news)
}

// NotifyAlive implements memberlist.AliveDelegate: it keeps out who is no member, and what cannot be understood.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if n.Name == string(d.l.opt.Self) {
		return nil
	}
	if _, ok := d.l.records[ring.NodeID(n.Name)]; !ok {
		return fmt.Errorf("%q is not a member", n.Name)
	}
	_, err := decodeMetadata(n.Meta)
	return err
}

// NotifyJoin implements memberlist.EventDelegate.
func (d delegate) NotifyJoin(n *memberlist.Node) {
	d.note(n, func(r *record) { r.held, r.heard = true, time.Now() })
	d.NotifyUpdate(n)
}

// NotifyLeave implements memberlist.EventDelegate.
func (d delegate) NotifyLeave(n *memberlist.Node) { d.note(n, func(r *record) { r.held = false }) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d delegate) NotifyUpdate(n *memberlist.Node) {
	if m, err := decodeMetadata(n.Meta); err == nil { // NotifyAlive has let it in
		d.note(n, func(r *record) { r.take(m) })
	}
}

// NotifyPingComplete implements memberlist.PingDelegate.
func (d delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	d.note(n, func(r *record) { r.heard = time.Now() })
}

// NodeMeta implements memberlist.Delegate.
func (d delegate) NodeMeta(int) []byte {
	d.l.mu.Lock()
	defer d.l.mu.Unlock()
	return metadata{incarnation: d.l.opt.Incarnation, condition: d.l.condition}.encode()
}

// The rest of the interfaces carries nothing here.

func (delegate) AckPayload() []byte              { return nil }
func (delegate) NotifyMsg([]byte)                {}
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (delegate) LocalState(bool) []byte          { return nil }
func (delegate) MergeRemoteState([]byte, bool)   {}
