package workload

import (
	"maps"
	"testing"

	"github.com/ringcask/ringcask/integration/history"
)

func TestMeasureTellsGapsLatenciesAndErrors(t *testing.T) {
	ops := parse(t, `
		0 100-110 put a=a
		1 100-130 put b=b
		0 120-200 put c=c unknown
		1 140-150 read a=a
		0 430-440 put d=d
		1 440-500 put e=e failed
		1 600-700 put f=f unknown
		1 900-999 reads a=a final`)
	ops[2].Error, ops[5].Error, ops[6].Error = "timeout", "overloaded", codeCancelled
	got := Measure(ops)
	want := map[string]float64{
		"longest gap ms": 290, "put ok": 3, "put unknown": 1, "put failed": 1, "read ok": 1, "errors timeout": 1, "errors overloaded": 1,
		"put p50 ms": 10, "put p99 ms": 30, "put p99.9 ms": 30, "put max ms": 30,
		"read p50 ms": 10, "read p99 ms": 10, "read p99.9 ms": 10, "read max ms": 10,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

func TestAGapCountsFromTheBeginningAndToTheEnd(t *testing.T) {
	for text, want := range map[string]float64{
		"0 0-50 read a=a\n0 60-70 read a=a":               50,
		"0 0-1 read a=a\n0 2-100 read a= failed":          99,
		"0 0-100 read a= failed":                          100,
		"0 900-910 read a=a\n0 2000-3000 reads a=a final": 10,
		"": 0,
	} {
		if got := Measure(parse(t, text))["longest gap ms"]; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestResultsOfManyRunsAddUp(t *testing.T) {
	a := (&set{}).Check(parse(t, "0 0-9 put a=a\n1 10-20 read a=-"))
	b := (&set{}).Check(parse(t, "0 0-9 put a=a\n1 30-31 read a=-\n1 33-34 read a=a"))
	c := newDeletes().Check(parse(t, "0 0-9 put a=a unknown"))
	all := Merge(a, c, b)
	if len(all) != 2 || all[0].Workload != "set" || all[1].Unknown != 1 {
		t.Fatalf("%+v", all)
	}
	if s := all[0]; s.Ok != 5 || s.Violations["stale"] != 2 || len(s.Examples) != 2 || s.Measures["reads"] != 3 || s.Measures["longest staleness ms"] != 21 {
		t.Errorf("%+v", s)
	}
	if Passed(all) || !Passed([]Result{c}) {
		t.Error("the verdict of all is not that of each")
	}
}

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
