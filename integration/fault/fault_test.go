package fault

import (
	"encoding/json"
	"reflect"
	"slices"
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
	for name, f := range map[string]Fault{
		"kind":     {Kind: "flood"},
		"late":     {Kind: Kill, At: time.Minute, For: 1, Nodes: []int{0}},
		"nobody":   {Kind: Kill},
		"stranger": {Kind: Kill, Nodes: []int{3}},
		"twice":    {Kind: CutLink, Nodes: []int{1, 1}},
		"share":    {Kind: Loss, Share: 2},
		"all":      {Kind: Loss, Nodes: []int{1}},
	} {
		if (Plan{Nodes: 3, Duration: time.Second, Faults: []Fault{f}}).Validate() == nil {
			t.Errorf("%s: accepted", name)
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
}
