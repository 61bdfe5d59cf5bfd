// Package testport gives tests ports to listen on that nobody else takes meanwhile, also while nothing listens on them: a test that
// stops a server and starts it again at its old address needs that, and a port that the system once chose does not give it.
//
// Ports come in blocks below the system's ephemeral range, so that no outgoing connection and no "port 0" is given one of
// them. The last port of a block is its guard: who listens on it owns the block, across processes, until the test ends.
package testport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

const (
	blockPorts = 50
	firstPort  = 10_000
	blocks     = (32_000 - firstPort) / blockPorts
	// tries bounds the search for a free block.
	tries = 10 * blocks
)

// PortsMax is how many ports a block has for its owner.
const PortsMax = blockPorts - 1

// Base returns the first of PortsMax consecutive ports that are the test's until it ends.
func Base(t testing.TB) int {
	t.Helper()
	for range tries {
		base := firstPort + rand.IntN(blocks)*blockPorts
		guard, err := net.Listen("tcp", addr(base+PortsMax))
		if err != nil {
			continue
		}
		if !free(base) {
			guard.Close()
			continue
		}
		t.Cleanup(func() { guard.Close() })
		return base
	}
	t.Fatal("testport: no free block of ports")
	return 0
}

// Addrs returns n addresses on loopback, at most PortsMax, that are the test's until it ends.
func Addrs(t testing.TB, n int) []string {
	t.Helper()
	base := Base(t)
	all := make([]string, n)
	for i := range all {
		all[i] = addr(base + i)
	}
	return all
}

// free says whether nobody listens in a block, such as a program that knows nothing of guards.
func free(base int) bool {
	for port := base; port < base+PortsMax; port++ {
		l, err := net.Listen("tcp", addr(port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
