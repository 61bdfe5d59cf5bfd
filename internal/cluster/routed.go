package cluster

import (
	"log"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// Routed is an Options.Transport that listens on a bind address, by UDP and TCP, and reaches some addresses (IP address and port) at
// others, where somebody must pass both on. Every node is known to all under the address that it says itself: this is the one place where
// the way from one node to another can be told apart from everybody else's.
func Routed(bindAddr string, routes map[string]string, logger *slog.Logger) func() (memberlist.Transport, error) {
	return func() (memberlist.Transport, error) {
		host, port, err := splitAddr(bindAddr)
		if err != nil {
			return nil, err
		}
		direct, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{host}, BindPort: port, Logger: log.New(newLogWriter(logger), "", 0),
		})
		if err != nil {
			return nil, err
		}
		return &routed{direct, routes}, nil
	}
}

type routed struct {
	*memberlist.NetTransport
	routes map[string]string
}

var _ memberlist.NodeAwareTransport = (*routed)(nil)

func (t *routed) route(addr string) string {
	if to, ok := t.routes[addr]; ok {
		return to
	}
	return addr
}

func (t *routed) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.NetTransport.WriteTo(b, t.route(addr))
}

func (t *routed) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	a.Addr = t.route(a.Addr)
	return t.NetTransport.WriteToAddress(b, a)
}

func (t *routed) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.NetTransport.DialTimeout(t.route(addr), timeout)
}

func (t *routed) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	a.Addr = t.route(a.Addr)
	return t.NetTransport.DialAddressTimeout(a, timeout)
}
