package testport

import (
	"net"
	"testing"
)

func TestNoTwoOwnersOfABlockAndItsPortsCanBeListenedOnAgain(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		base := Base(t)
		if seen[base] {
			t.Fatalf("block %d was given out twice", base)
		}
		seen[base] = true
	}
	for _, a := range Addrs(t, PortsMax) {
		for range 2 {
			l, err := net.Listen("tcp", a)
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
}

func TestABlockIsFreeAgainWhenItsTestHasEnded(t *testing.T) {
	var base int
	t.Run("owner", func(t *testing.T) { base = Base(t) })
	guard, err := net.Listen("tcp", addr(base+PortsMax))
	if err != nil {
		t.Fatal(err)
	}
	guard.Close()
}
