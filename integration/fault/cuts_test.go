package fault

import (
	"slices"
	"testing"
)

func TestANetsplitCutsWhatItSays(t *testing.T) {
	for _, tc := range []struct {
		f     Fault
		nodes int
		want  [][2]int
	}{
		{Fault{Kind: Isolate, Nodes: []int{1}}, 3, [][2]int{{0, 1}, {1, 0}, {1, 2}, {2, 1}}},
		{Fault{Kind: Halves, Nodes: []int{2}}, 3, [][2]int{{0, 2}, {1, 2}, {2, 0}, {2, 1}}},
		{Fault{Kind: CutLink, Nodes: []int{0, 2}}, 3, [][2]int{{0, 2}, {2, 0}}},
		{Fault{Kind: OneWay, Nodes: []int{2, 0}}, 3, [][2]int{{2, 0}}},
		// A majority of three is one other: each hears the next one only.
		{Fault{Kind: MajorityRing, Nodes: []int{0, 1, 2}}, 3, [][2]int{{0, 1}, {1, 2}, {2, 0}}},
		{Fault{Kind: Pause, Nodes: []int{0}}, 3, nil},
	} {
		if got := tc.f.Cuts(tc.nodes); !slices.Equal(got, tc.want) {
			t.Errorf("%v cuts %v, want %v", tc.f, got, tc.want)
		}
	}
}

func TestInARingEachHearsAMajority(t *testing.T) {
	for n := 3; n <= 9; n++ {
		order := make([]int, n)
		for i := range order {
			order[i] = (i * 2) % n
			if n%2 == 0 {
				order[i] = n - 1 - i
			}
		}
		heard := make([]int, n)
		for i := range heard {
			heard[i] = n // itself among them
		}
		for _, way := range (Fault{Kind: MajorityRing, Nodes: order}).Cuts(n) {
			heard[way[1]]--
		}
		for i, h := range heard {
			if h != n/2+1 {
				t.Errorf("of %d nodes, %d hears %d, want %d", n, i, h, n/2+1)
			}
		}
	}
}
