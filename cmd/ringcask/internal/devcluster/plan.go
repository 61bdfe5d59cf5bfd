package devcluster

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Ports of a node, counted from its first.
const (
	portHTTP     = 0
	portRPC      = 1
	portPeer     = 3
	portGossip   = 4 // what members without a gossip address default to
	portsPerNode = 10
	// portLast is the highest that a node uses.
	portLast = portGossip
)

// NodesMax bounds a development cluster: past it, one machine shows nothing more.
const NodesMax = 100

// Node is one node of the cluster as the manifest tells of it.
type Node struct {
	ID  string `json:"id"`
	PID int    `json:"pid"`
	// Command starts the node again when it is run by hand, from any directory.
	Command []string `json:"command"`
	// HTTP, RPC, Peer and Gossip are addresses, host:port.
	HTTP    string `json:"http"`
	RPC     string `json:"rpc"`
	Peer    string `json:"peer"`
	Gossip  string `json:"gossip"`
	DataDir string `json:"data_dir"`
}

// LogFile is where the node's output goes.
func (n Node) LogFile() string { return filepath.Join(n.DataDir, "node.log") }

// Options say what cluster is wanted.
type Options struct {
	// Executable is the ringcask binary, an absolute path.
	Executable string
	// Dir is the directory of the cluster, an absolute path.
	Dir string
	// Nodes is how many nodes there are, BasePort the first port of the first.
	Nodes, BasePort int
	// Settings are flags that every node is started with.
	Settings []string
}

// Plan lays out the cluster. Its nodes have no PID yet.
func Plan(o Options) ([]Node, error) {
	switch last := o.BasePort + portsPerNode*(o.Nodes-1) + portLast; {
	case o.Nodes < 1 || o.Nodes > NodesMax:
		return nil, fmt.Errorf("a cluster has between 1 and %d nodes, not %d", NodesMax, o.Nodes)
	case o.BasePort < 1 || last > 65535:
		return nil, fmt.Errorf("%d nodes from port %d on would use the ports up to %d: choose a base port between 1 and %d",
			o.Nodes, o.BasePort, last, 65535-(last-o.BasePort))
	case !filepath.IsAbs(o.Dir) || !filepath.IsAbs(o.Executable):
		return nil, errors.New("the directory and the executable must be absolute paths")
	}
	nodes := make([]Node, o.Nodes)
	members := make([]string, o.Nodes)
	for i := range nodes {
		addr := func(port int) string {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(o.BasePort+portsPerNode*i+port))
		}
		id := "n" + strconv.Itoa(i+1)
		nodes[i] = Node{ID: id, HTTP: addr(portHTTP), RPC: addr(portRPC), Peer: addr(portPeer), Gossip: addr(portGossip), DataDir: filepath.Join(o.Dir, id)}
		members[i] = id + "=" + nodes[i].Peer
	}
	for i := range nodes {
		n := &nodes[i]
		n.Command = append([]string{
			o.Executable, "serve", "--id=" + n.ID, "--dir=" + n.DataDir,
			"--http-addr=" + n.HTTP, "--rpc-addr=" + n.RPC, "--peer-addr=" + n.Peer, "--gossip-addr=" + n.Gossip,
			"--members=" + strings.Join(members, ","),
		}, o.Settings...)
	}
	return nodes, nil
}

// CheckPorts tries every port that the nodes will listen on and says which are taken.
func CheckPorts(nodes []Node) error {
	var errs []error
	for _, n := range nodes {
		for _, a := range []struct{ use, addr string }{{"HTTP", n.HTTP}, {"RPC", n.RPC}, {"peer", n.Peer}, {"gossip", n.Gossip}} {
			listener, err := net.Listen("tcp", a.addr)
			if err != nil {
				_, port, _ := net.SplitHostPort(a.addr)
				errs = append(errs, fmt.Errorf("port %s, for %s of node %s, cannot be used: %w", port, a.use, n.ID, err))
				continue
			}
			if err := listener.Close(); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
