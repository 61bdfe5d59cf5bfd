package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// proxies are a network of proxies on the loopback interface: every way from a node to another and from the clients to a node.
type proxies struct {
	ports ports
	nodes int
	// ways has those from one node to another, and clients those to each node.
	ways    map[[2]int]*way
	clients []*line
}

// way is what connections that one node makes to another one, and packets that it sends there, pass through.
type way struct {
	peer, gossip *line
	packets      *packets
}

func openProxies(p ports, nodes int) (n *proxies, err error) {
	n = &proxies{ports: p, nodes: nodes, ways: map[[2]int]*way{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	zerolog.SetGlobalLevel(zerolog.Disabled) // some effects log to the library's own global logger, and nobody else uses that
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for i := range nodes {
		l, err := openLine(server, fmt.Sprintf("clients→%d", i), p.clients(i), p.rpc(i))
		if err != nil {
			return n, err
		}
		n.clients = append(n.clients, l)
		for j := range nodes {
			if i == j {
				continue
			}
			w := new(way)
			n.ways[[2]int{i, j}] = w
			if err := w.open(server, p, nodes, i, j); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (w *way) open(server *toxiproxy.ApiServer, p ports, nodes, from, to int) (err error) {
	peer, gossip := p.way(nodes, from, to)
	if w.peer, err = openLine(server, fmt.Sprintf("%d→%d", from, to), peer, p.peer(to)); err != nil {
		return err
	}
	if w.gossip, err = openLine(server, fmt.Sprintf("%d→%d gossip", from, to), gossip, p.gossip(to)); err != nil {
		return err
	}
	w.packets, err = forwardPackets(gossip, p.gossip(to))
	return err
}

// close ends everything. The processes must have ended: a line that is stuck in one would not.
func (n *proxies) close() error {
	var errs []error
	for _, w := range n.ways {
		for _, l := range []*line{w.peer, w.gossip} {
			if l != nil {
				errs = append(errs, l.close())
			}
		}
		if w.packets != nil {
			errs = append(errs, w.packets.close())
		}
	}
	for _, l := range n.clients {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// half is one direction of a line.
type half struct {
	line      *line
	direction string
}

// halves are all that carries what one node sends to another one.
func (n *proxies) halves(from, to int) []half {
	there, back := n.ways[[2]int{from, to}], n.ways[[2]int{to, from}]
	return []half{{there.peer, forward}, {there.gossip, forward}, {back.peer, backward}, {back.gossip, backward}}
}

func (n *proxies) impose(id string, ways [][2]int, clientsOf []int, c condition) (lift func()) {
	var halves []half
	for _, w := range ways {
		halves = append(halves, n.halves(w[0], w[1])...)
		n.ways[w].packets.impose(id, c)
	}
	for _, i := range clientsOf {
		halves = append(halves, half{n.clients[i], forward}, half{n.clients[i], backward})
	}
	for _, h := range halves {
		h.line.impose(id, h.direction, c)
	}
	return func() {
		for _, h := range halves {
			h.line.lift(id, h.direction, c)
		}
		for _, w := range ways {
			n.ways[w].packets.lift(id)
		}
	}
}

func (n *proxies) reset(node int) {
	for _, w := range around(n.nodes, node) {
		n.ways[w].peer.reset()
		n.ways[w].gossip.reset()
	}
	n.clients[node].reset()
}

func (n *proxies) place(i int) place {
	p := place{http: n.ports.http(i), rpc: n.ports.rpc(i), peer: n.ports.peer(i), gossip: n.ports.gossip(i), dial: new(net.Dialer).DialContext}
	for to := range n.nodes {
		if to != i {
			peer, gossip := n.ports.way(n.nodes, i, to)
			p.routes = append(p.routes, fmt.Sprintf("%s=%s+%s", nodeName(to), peer, gossip))
		}
	}
	return p
}

func (n *proxies) dial(ctx context.Context, addr string) (net.Conn, error) {
	for i := range n.nodes {
		if addr == n.ports.rpc(i) {
			addr = n.ports.clients(i)
			break
		}
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
