package chaos

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// ports are the addresses of a run. Where the system has all of 127/8, a run has a host of its own, whose ports nobody else takes while a
// node is down; elsewhere it has some ports of the one loopback address, below those that systems give to outgoing connections.
type ports struct {
	host string
	base int
}

const (
	// portsOfNode is how far the ports of one node are from those of the next, and portsOfWays where those of the proxies between
	// nodes begin.
	portsOfNode = 10
	portsOfWays = NodesMax * portsOfNode
	portTries   = 100
)

func (p ports) addr(offset int) string { return net.JoinHostPort(p.host, strconv.Itoa(p.base+offset)) }

// choosePorts finds addresses for so many nodes that nobody listens on.
func choosePorts(nodes int) (ports, error) {
	for range portTries {
		p := ports{base: 10_000 + rand.IntN(20_000)}
		p.host = net.IPv4(127, byte(1+rand.IntN(254)), byte(rand.IntN(256)), byte(1+rand.IntN(254))).String()
		if !p.free(0) {
			p.host = "127.0.0.1"
		}
		if p.allFree(portsOfWays + 2*nodes*nodes) {
			return p, nil
		}
	}
	return ports{}, errors.New("chaos: no free ports found on the loopback interface")
}

func (p ports) allFree(n int) bool {
	for offset := range n {
		if !p.free(offset) {
			return false
		}
	}
	return true
}

func (p ports) free(offset int) bool {
	ln, err := net.Listen("tcp", p.addr(offset))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}

// The addresses of node i, and of the proxy that clients reach it through.
func (p ports) http(i int) string    { return p.addr(i * portsOfNode) }
func (p ports) rpc(i int) string     { return p.addr(i*portsOfNode + 1) }
func (p ports) peer(i int) string    { return p.addr(i*portsOfNode + 2) }
func (p ports) gossip(i int) string  { return p.addr(i*portsOfNode + 3) }
func (p ports) clients(i int) string { return p.addr(i*portsOfNode + 4) }

// way are the addresses at which node from reaches the peer port and the gossip port of node to.
func (p ports) way(nodes, from, to int) (peer, gossip string) {
	at := portsOfWays + 2*(from*nodes+to)
	return p.addr(at), p.addr(at + 1)
}
