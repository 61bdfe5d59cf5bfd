package peer

import (
	"context"
	"net"
	"testing"

	"github.com/ringcask/ringcask/coordinator"
)

// FuzzOpenLink hands any message to a link that is through its handshake, from either end.
func FuzzOpenLink(f *testing.F) {
	for _, m := range sampleMessages() {
		f.Add(m.bytes, false)
		f.Add(m.bytes, true)
	}
	members, listeners := listen(f, 2)
	for _, ln := range listeners {
		must(f, ln.Close())
	}
	f.Fuzz(func(t *testing.T, msg []byte, dialled bool) {
		p, err := New(testOptions(t, members, 0))
		must(t, err)
		a, b := net.Pipe()
		c := p.newConn(context.Background(), a, "fuzz")
		c.dialled, c.remote, c.theirs = dialled, p.remotes["n2"], pureHello("n2", "n1")
		c.phase.Store(int32(open))
		ended := 0
		end := func() { ended++ }
		for i := range 10 {
			call := call{deadline: never}
			switch i % 4 {
			case 0:
				call.store = func(coordinator.StoreAck, error) { end() }
			case 1:
				call.read = func([]coordinator.ReadItem, error) { end() }
			case 2:
				call.scan = func(*coordinator.ScanPage, error) { end() }
			case 3:
				call.coordinate = func([]coordinator.Outcome, error) { end() }
			}
			_, err := c.calls.add(call)
			must(t, err)
		}
		_ = c.onMessage(msg) // an error ends the link: that is no failure
		c.calls.close(net.ErrClosed, net.ErrClosed)
		if ended != 10 {
			t.Fatalf("%d of 10 calls ended", ended)
		}
		c.stop(nil)
		must(t, c.link.Close())
		must(t, b.Close())
	})
}
