package workload

import (
	"testing"

	"github.com/ringcask/ringcask/integration/history"
)

func TestEachWorkloadJudgesItsOwnOperations(t *testing.T) {
	h := history.New()
	for _, text := range []string{"0 0-9 put a=a", "1 10-20 read a=-"} {
		for i, name := range []string{"set", "deletes"} {
			op := parse(t, text)[0]
			if op.Workload = name; i == 0 {
				op.Items[0].Key = "other" + text[:1]
			}
			h.Add(op)
		}
	}
	results := Judge([]Workload{&set{}, newDeletes()}, h)
	if len(results) != 2 || !results[0].Passed() || results[1].Violations["lost"] != 1 {
		t.Errorf("%+v", results)
	}
}

func TestOnlyAcknowledgedWritesCountAsAcknowledged(t *testing.T) {
	refused := "0 0-9 put a=a failed\n0 10-19 delete a=- unknown\n0 20-29 batch b=b c=c failed\n1 30-31 read a=-\n1 40-41 scan a=a\n1 90-99 reads a=- b=- c=- final"
	for _, name := range Names() {
		w, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		if r := w.Check(parse(t, refused)); r.Acknowledged != 0 || r.Ok != 3 {
			t.Errorf("%s: %d writes were acknowledged of none, and %d operations answered, want 3", name, r.Acknowledged, r.Ok)
		}
		if r := w.Check(parse(t, refused+"\n0 50-51 put d=d\n0 52-53 batch e=e f=f\n0 54-55 delete g=-")); r.Acknowledged != 3 {
			t.Errorf("%s: %d writes were acknowledged, want 3", name, r.Acknowledged)
		}
	}
}

func TestEveryNameIsAWorkload(t *testing.T) {
	for _, name := range Names() {
		if w, err := New(name); err != nil || w.Name() != name {
			t.Errorf("%s: %v, %v", name, w, err)
		}
	}
	if _, err := New("nothing"); err == nil {
		t.Error("there is a workload called nothing")
	}
}
