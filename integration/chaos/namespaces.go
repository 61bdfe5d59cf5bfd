package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// namespaces are a network of namespaces, one for each node and one for the clients, with a router between them. Nodes dial each other where
// they listen, and what holds on the network holds for packets: TCP sends again what is lost, and what was cut goes on when TCP notices.
type namespaces struct {
	router *router
	// all has those of the nodes, and that of the clients at the end.
	all []*namespace
}

// The ports are the same in every namespace.
const (
	namespaceHTTP   = "127.0.0.1:8000" // within the namespace: no fault touches it
	namespaceRPC    = "8001"
	namespacePeer   = "8002"
	namespaceGossip = "8003"
)

// namespaceAddr is the address of a namespace, on a network that nobody else is on.
func namespaceAddr(i int) net.IP { return net.IPv4(10, 0, 0, byte(i+1)).To4() }

// namespaceOf is the number of the namespace with an address; negative if there can be none.
func namespaceOf(addr []byte) int {
	if i := int(addr[3]) - 1; namespaceAddr(i).Equal(addr) {
		return i
	}
	return -1
}

// NamespacesImpossible is why network namespaces cannot be made here: this is not Linux, this process is not root, or there are no TUN
// devices. Nil if they can.
func NamespacesImpossible() error {
	ns, end, err := openNamespace(namespaceAddr(0))
	if err != nil {
		return fmt.Errorf("chaos: network namespaces take Linux, root and /dev/net/tun: %w", err)
	}
	return errors.Join(end.Close(), ns.close())
}

// openNamespaces makes namespaces for so many nodes and for clients.
func openNamespaces(nodes int) (*namespaces, error) {
	n := new(namespaces)
	var ends []io.ReadWriteCloser
	for i := range nodes + 1 {
		ns, end, err := openNamespace(namespaceAddr(i))
		if err != nil {
			for i, ns := range n.all {
				err = errors.Join(err, ends[i].Close(), ns.close())
			}
			return nil, fmt.Errorf("chaos: network namespace: %w", err)
		}
		n.all, ends = append(n.all, ns), append(ends, end)
	}
	n.router = newRouter(ends)
	return n, nil
}

func (n *namespaces) place(i int) place {
	host := namespaceAddr(i).String()
	return place{
		http: namespaceHTTP, rpc: net.JoinHostPort(host, namespaceRPC), peer: net.JoinHostPort(host, namespacePeer),
		gossip: net.JoinHostPort(host, namespaceGossip), namespace: n.all[i], dial: n.all[i].dial,
	}
}

// clients is the number of the clients' namespace.
func (n *namespaces) clients() int { return len(n.all) - 1 }

func (n *namespaces) dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.all[n.clients()].dial(ctx, "tcp", addr)
}

func (n *namespaces) impose(id string, ways [][2]int, clientsOf []int, c condition) (lift func()) {
	for _, i := range clientsOf {
		ways = append(ways[:len(ways):len(ways)], [2]int{i, n.clients()}, [2]int{n.clients(), i})
	}
	n.router.impose(id, ways, c)
	return func() { n.router.lift(id, ways) }
}

func (n *namespaces) reset(node int) { n.router.reset(node) }

func (n *namespaces) close() error {
	err := n.router.close()
	for _, ns := range n.all {
		err = errors.Join(err, ns.close())
	}
	return err
}
