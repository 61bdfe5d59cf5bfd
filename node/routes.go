package node

import (
	"context"
	"net"

	"github.com/hashicorp/memberlist"

	"github.com/ringcask/ringcask/internal/cluster"
)

// dialPeer is how connections to peers are made: to their routes, where Config.TestRoutes has some. Nil is the default.
func (n *Node) dialPeer() func(ctx context.Context, addr string) (net.Conn, error) {
	if len(n.cfg.TestRoutes) == 0 || n.opt.Dial != nil {
		return n.opt.Dial
	}
	routes := n.routes(func(m Member) string { return m.Peer })
	return func(ctx context.Context, addr string) (net.Conn, error) {
		if to, ok := routes[addr]; ok {
			addr = to
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
}

// gossip is what carries the gossip: to the members' routes, where there are some. Nil is the default.
func (n *Node) gossip() func() (memberlist.Transport, error) {
	if len(n.cfg.TestRoutes) == 0 || n.opt.Gossip != nil {
		return n.opt.Gossip
	}
	return cluster.Routed(n.cfg.GossipAddr, n.routes(Member.gossipAddr), n.log)
}

// routes are the addresses to dial by those among Members.
func (n *Node) routes(addr func(Member) string) map[string]string {
	routes := make(map[string]string, len(n.cfg.TestRoutes))
	for _, r := range n.cfg.TestRoutes {
		routes[addr(n.member(r.ID))] = addr(r)
	}
	return routes
}
