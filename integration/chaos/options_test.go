package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/workload"
)

func TestWhatProcessesCannotHaveIsRefusedByName(t *testing.T) {
	w, err := workload.New("set")
	if err != nil {
		t.Fatal(err)
	}
	for namespaces, count := range map[bool]int{false: len(fault.Kinds()) - 4, true: len(fault.Kinds()) - 1} {
		possible := map[fault.Kind]bool{}
		for _, k := range Possible(namespaces) {
			possible[k] = true
		}
		if len(possible) != count {
			t.Errorf("%d kinds are possible, want %d", len(possible), count)
		}
		for _, k := range fault.Kinds() {
			o := Options{Binary: "b", Dir: "d", Workloads: []workload.Workload{w}, Namespaces: namespaces}
			o.Plan = fault.Draw(1, fault.Options{Kinds: []fault.Kind{k}})
			if _, err := New(o); len(o.Plan.Faults) == 0 || possible[k] == refuses(err, k) || possible[k] && err != nil && !namespaces {
				t.Errorf("%s: %v", k, err)
			}
		}
	}
}

// refuses says that an error is about a kind of fault, and not about what this machine cannot do.
func refuses(err error, k fault.Kind) bool {
	return err != nil && strings.Contains(err.Error(), "chaos: "+string(k)+" cannot be done")
}

func TestOnlyFinishedFilesAreFlipped(t *testing.T) {
	engine := t.TempDir()
	write := func(name string, bytes int) {
		if err := os.WriteFile(filepath.Join(engine, name), make([]byte, bytes), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("0000000003.seg", 1000)
	if err := flipBytes(engine, 10, 1); err == nil {
		t.Error("bytes of the only segment were flipped, or of none")
	}
	write("0000000001.seg", 20)
	write("0000000002.run", 30)
	write("0000000004.run", 0)
	const count = 45
	if err := flipBytes(engine, count, 1); err != nil {
		t.Error(err)
	}
	flipped := 0
	for _, name := range []string{"0000000001.seg", "0000000002.run", "0000000003.seg"} {
		text, err := os.ReadFile(filepath.Join(engine, name))
		if err != nil {
			t.Fatal(err)
		}
		n := len(text) - strings.Count(string(text), "\x00")
		if flipped += n; name == "0000000003.seg" && n > 0 {
			t.Error("the segment that is written to was struck")
		}
	}
	if flipped != count {
		t.Errorf("%d bytes differ, want %d: places were struck twice", flipped, count)
	}
	if err := flipBytes(engine, 1000, 2); err != nil {
		t.Errorf("more than there are: %v", err)
	}
}

func TestAFaultIsDescribedByTheNamesOfItsNodes(t *testing.T) {
	for want, f := range map[string]fault.Fault{
		"kill n1":            {Kind: fault.Kill, At: time.Second, For: time.Second, Nodes: []int{0}},
		"cut-link n2 n1":     {Kind: fault.CutLink, Nodes: []int{1, 0}},
		"latency n3 by 12ms": {Kind: fault.Latency, Nodes: []int{2}, Delay: 12345 * time.Microsecond},
	} {
		if got := describe(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
