package chaos

import (
	"context"
	"net"
	"time"
)

// network is how nodes and clients reach each other.
type network interface {
	// place is where a node is.
	place(node int) place
	// dial is how clients reach the nodes' client ports.
	dial(ctx context.Context, addr string) (net.Conn, error)
	// impose has a condition hold on ways between nodes, in their direction, and on those between clients and some nodes, in both, until what
	// it returns is called. It does not wait. id tells the condition apart from all others.
	impose(id string, ways [][2]int, clientsOf []int, c condition) (lift func())
	// reset breaks all connections that a node has with other nodes and with clients.
	reset(node int)
	// close ends everything. The nodes' processes must have ended.
	close() error
}

// place is where a node is in a network.
type place struct {
	// http, rpc, peer and gossip are where it listens.
	http, rpc, peer, gossip string
	// routes are where it reaches the others, in the text of the setting test-routes, if that is not where they listen.
	routes []string
	// namespace is the one that it runs in; nil is that of this process.
	namespace *namespace
	// dial is how the harness reaches its HTTP port, whatever holds on the network.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// enter has the thread that calls it, and what it starts, be where the node is. The thread must be locked, and never be unlocked.
func (p *place) enter() error {
	if p.namespace == nil {
		return nil
	}
	return p.namespace.enter()
}

// condition is what a way does to what is sent on it.
type condition struct {
	// cut swallows everything.
	cut bool
	// delay holds everything back, give or take half.
	delay time.Duration
	// bytesPerSecond bounds what passes: each connection through a proxy, or all that passes in a namespace. Zero is no bound.
	bytesPerSecond int64
	// loss, duplicate and reorder are the shares of packets that are lost, arrive twice, or are overtaken. Proxies have no packets.
	loss, duplicate, reorder float64
}

func openNetwork(o Options) (network, error) {
	if o.Namespaces {
		return openNamespaces(o.Plan.Nodes)
	}
	p, err := choosePorts(o.Plan.Nodes)
	if err != nil {
		return nil, err
	}
	return openProxies(p, o.Plan.Nodes)
}

// around are all ways from and to a node.
func around(nodes, node int) (ways [][2]int) {
	for other := range nodes {
		if other != node {
			ways = append(ways, [2]int{node, other}, [2]int{other, node})
		}
	}
	return ways
}

// everywhere are all ways between nodes.
func everywhere(nodes int) (ways [][2]int) {
	for from := range nodes {
		for to := range nodes {
			if from != to {
				ways = append(ways, [2]int{from, to})
			}
		}
	}
	return ways
}
