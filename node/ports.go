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

// listen binds all ports of a node, or none.
func listen(cfg Config) (p ports, err error) {
	for _, l := range []struct {
		name string
		addr string
		to   *net.Listener
	}{{"http-addr", cfg.HTTPAddr, &p.http}, {"rpc-addr", cfg.RPCAddr, &p.rpc}, {"peer-addr", cfg.PeerAddr, &p.peer}} {
		if *l.to, err = net.Listen("tcp", l.addr); err != nil {
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
