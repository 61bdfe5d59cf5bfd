package sim

import (
	"fmt"
	"net"
	"strconv"
)

// The ports of a node, each at the host of its own.
const (
	httpPort   = "8080"
	rpcPort    = "8081"
	peerPort   = "8083"
	gossipPort = "8084"
)

// hostOf is the host at a place: an IP address, because memberlist wants one.
func hostOf(place int) string {
	if place == clients {
		return "10.0.1.1"
	}
	return fmt.Sprintf("10.0.0.%d", place+1)
}

// placeOf is the place of a node's address; of any other that of the clients.
func placeOf(addr string) int {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host).To4(); err == nil && ip != nil && ip[2] == 0 {
		return int(ip[3]) - 1
	}
	return clients
}

func isPeerAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port == peerPort
}

func nodeID(number int) string { return "n" + strconv.Itoa(number+1) }
