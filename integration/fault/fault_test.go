package fault

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPlanIsTheSameForTheSameSeedAndValid(t *testing.T) {
	seen := map[Kind]int{}
	for seed := range uint64(500) {
		o := Options{Nodes: 3 + int(seed%5), Duration: time.Minute}
		p := Draw(seed, o)
		if !reflect.DeepEqual(p, Draw(seed, o)) {
			t.Fatalf("seed %d gives two plans", seed)
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, f := range p.Faults {
			seen[f.Kind]++
		}
	}
	for _, k := range Kinds() {
		if seen[k] == 0 {
			t.Errorf("no plan has a %s", k)
		}
	}
}

func TestNoMoreThanAMinorityIsOutAtOnce(t *testing.T) {
	for seed := range uint64(500) {
		p := Draw(seed, Options{Nodes: 5, Duration: time.Minute, Every: time.Second})
		for _, at := range p.Faults {
			out := map[int]bool{}
			for _, f := range p.Faults {
				if reachless(f) && f.At <= at.At && f.End() > at.At {
					for _, n := range f.Nodes {
						out[n] = true
					}
				}
			}
			if len(out) > 2 {
				t.Fatalf("seed %d: %d nodes are out at %v", seed, len(out), at.At)
			}
		}
	}
}

func TestAPlanSurvivesBeingWrittenDown(t *testing.T) {
	p := Draw(7, Options{Nodes: 5})
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, back) {
		t.Fatalf("%v came back as %v", p, back)
	}
}

func TestAnImpossiblePlanIsRefused(t *testing.T) {
	for _, tc := range []struct {
		f   Fault
		why string
	}{
		{Fault{Kind: "flood"}, "of a kind that is none"},
		{Fault{Kind: Kill, At: time.Minute, For: 1, Nodes: []int{0}}, "not within the run of 1s"},
		{Fault{Kind: Kill}, "names 0 of 3 nodes; a kill needs 1"},
		{Fault{Kind: Kill, Nodes: []int{0, 1}}, "names 2 of 3 nodes; a kill needs 1"},
		{Fault{Kind: Kill, Nodes: []int{3}}, "a node that is not there"},
		{Fault{Kind: Kill, Nodes: []int{0}, Count: 5}, "a measure that a kill does not have"},
		{Fault{Kind: CutLink, Nodes: []int{1}}, "names 1 of 3 nodes; a cut-link needs 2"},
		{Fault{Kind: CutLink, Nodes: []int{1, 1}}, "one twice"},
		{Fault{Kind: OneWay, Nodes: []int{0, 1, 2}}, "names 3 of 3 nodes; a split-one-way needs 2"},
		{Fault{Kind: MajorityRing, Nodes: []int{0, 1}}, "names 2 of 3 nodes; a split-ring needs 3"},
		{Fault{Kind: Halves, Nodes: []int{0, 1, 2}}, "names 3 of 3 nodes; a split-halves needs from 1 to 2"},
		{Fault{Kind: Loss, Nodes: []int{1}, Share: 0.1}, "cannot strike some"},
		{Fault{Kind: Loss}, "needs a share above 0"},
		{Fault{Kind: Reorder, Share: 2}, "needs a share above 0 and not above 1"},
		{Fault{Kind: DiskError, Nodes: []int{0}}, "needs a share"},
		{Fault{Kind: Latency, Nodes: []int{0}}, "needs a delay above 0"},
		{Fault{Kind: DiskSlow, Nodes: []int{0}, Delay: -1}, "needs a delay above 0"},
		{Fault{Kind: Skew, Nodes: []int{0}}, "needs a delay other than 0"},
		{Fault{Kind: Bandwidth, Nodes: []int{0}}, "needs bytes_per_second above 0"},
		{Fault{Kind: Flip, Nodes: []int{0}}, "needs a count above 0"},
	} {
		err := Plan{Nodes: 3, Duration: time.Second, Faults: []Fault{tc.f}}.Validate()
		if err == nil || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%v: %v, want %q", tc.f, err, tc.why)
		}
	}
}

func TestASplitOfTooFewNodesIsNeitherDrawnNorAccepted(t *testing.T) {
	splits := []Kind{Halves, MajorityRing, OneWay, CutLink, Isolate}
	for nodes, possible := range map[int]int{1: 0, 2: 3, 3: 5} { // of two nodes a ring cuts nothing, and none can be out of reach
		seen := map[Kind]bool{}
		for seed := range uint64(100) {
			p := Draw(seed, Options{Nodes: nodes, Duration: time.Minute, Kinds: splits})
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			for _, f := range p.Faults {
				seen[f.Kind] = true
			}
		}
		if len(seen) != possible {
			t.Errorf("for %d nodes there are %v", nodes, seen)
		}
	}
	for _, f := range []Fault{{Kind: Isolate, Nodes: []int{0}}, {Kind: Halves, Nodes: []int{0}}, {Kind: MajorityRing, Nodes: []int{0}}} {
		if err := (Plan{Nodes: 1, Duration: time.Second, Faults: []Fault{f}}).Validate(); err == nil || !strings.Contains(err.Error(), "cuts nothing") {
			t.Errorf("%v: %v", f, err)
		}
	}
}

func TestShrinkKeepsWhatAFailureNeeds(t *testing.T) {
	p := Draw(3, Options{Nodes: 5, Duration: time.Minute, Every: time.Second})
	first, last := p.Faults[2], p.Faults[len(p.Faults)-2]
	same := func(a Fault) func(Fault) bool {
		return func(b Fault) bool { return a.Kind == b.Kind && a.At == b.At }
	}
	got := Shrink(p, 1000, func(p Plan) bool {
		return slices.ContainsFunc(p.Faults, same(first)) && slices.ContainsFunc(p.Faults, same(last))
	})
	if len(got.Faults) != 2 {
		t.Fatalf("%d faults are left of %d, 2 are needed", len(got.Faults), len(p.Faults))
	}
	tries := 0
	if got := Shrink(p, 3, func(Plan) bool { tries++; return false }); tries != 3 || len(got.Faults) != len(p.Faults) {
		t.Fatalf("%d tries, 3 were allowed; %d faults of %d", tries, len(got.Faults), len(p.Faults))
	}
}

func TestKindsAreReadFromText(t *testing.T) {
	if got, err := ParseKinds("kill, pause"); err != nil || !slices.Equal(got, []Kind{Kill, Pause}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseKinds("all"); err != nil || len(got) != len(Kinds()) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseKinds("kill,flood"); err == nil {
		t.Error("flood was accepted")
	}
	if got, err := ParseKinds("all,kill", Kill, Pause); err != nil || !slices.Equal(got, []Kind{Kill, Pause, Kill}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseKinds("wipe", Kill, Pause); err == nil || !strings.HasSuffix(err.Error(), "there are kill, pause") {
		t.Errorf("of a kind that there is not to choose from: %v", err)
	}
}
