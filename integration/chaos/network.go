package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network is every way from a node to another and from the clients to a node.
type network struct {
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

func openNetwork(p ports, nodes int) (n *network, err error) {
	n = &network{ports: p, nodes: nodes, ways: map[[2]int]*way{}}
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
func (n *network) close() error {
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
func (n *network) halves(from, to int) []half {
	there, back := n.ways[[2]int{from, to}], n.ways[[2]int{to, from}]
	return []half{{there.peer, forward}, {there.gossip, forward}, {back.peer, backward}, {back.gossip, backward}}
}

// impose has a condition hold on ways between nodes, in their direction, and on those between clients and a node, in both, until what it
// returns is called. It does not wait.
func (n *network) impose(id string, ways [][2]int, clientsOf []int, c condition) (lift func()) {
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

// around are all ways from and to a node.
func (n *network) around(node int) (ways [][2]int) {
	for other := range n.nodes {
		if other != node {
			ways = append(ways, [2]int{node, other}, [2]int{other, node})
		}
	}
	return ways
}

// reset breaks all connections that a node has with other nodes and with clients.
func (n *network) reset(node int) {
	for _, w := range n.around(node) {
		n.ways[w].peer.reset()
		n.ways[w].gossip.reset()
	}
	n.clients[node].reset()
}

// dial is how clients reach the nodes' client ports.
func (n *network) dial(ctx context.Context, addr string) (net.Conn, error) {
	for i := range n.nodes {
		if addr == n.ports.rpc(i) {
			addr = n.ports.clients(i)
			break
		}
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
