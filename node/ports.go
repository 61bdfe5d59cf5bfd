package node

import (
	"errors"
	"fmt"
	"net"
)

// ports are the bound listeners of a node.
type ports struct {
	http, rpc, peer net.Listener
}

// listenTCP is what binds a port unless the node was told otherwise.
func listenTCP(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// openPorts binds all ports of a node, or none.
func openPorts(cfg Config, listen func(addr string) (net.Listener, error)) (p ports, err error) {
	for _, l := range []struct {
		name string
		addr string
		to   *net.Listener
	}{{"http-addr", cfg.HTTPAddr, &p.http}, {"rpc-addr", cfg.RPCAddr, &p.rpc}, {"peer-addr", cfg.PeerAddr, &p.peer}} {
		if *l.to, err = listen(l.addr); err != nil {
			*l.to = nil
			return ports{}, errors.Join(fmt.Errorf("%s: cannot listen on %s: %w", l.name, l.addr, err), p.close())
		}
	}
	return p, nil
}

// close closes what was bound and not closed by whom it was handed to.
func (p ports) close() error {
	var errs []error
	for _, l := range []net.Listener{p.http, p.rpc, p.peer} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
