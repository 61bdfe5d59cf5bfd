package sim

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
)

func TestAReplayIsTheJobOfItsSeed(t *testing.T) {
	for name, c := range map[string]struct {
		j    job
		want string
	}{
		"as drawn": {job{seed: 7, count: 1, faults: "all", settings: "{}"}, ""},
		"no faults, other settings": {
			job{seed: 7, faults: "", settings: `{"Nodes": 5, "Workloads": ["set"]}`}, "\n-sim.faults\n\n-sim.set\n" + `{"Nodes": 5, "Workloads": ["set"]}`,
		},
		"a plan":  {job{seed: 7, faults: "kill,wipe", settings: "{}", plan: "/tmp/it's mine.json"}, "\n-sim.faults\nkill,wipe\n-sim.plan\n/tmp/it's mine.json"},
		"a chunk": {job{seed: 7, count: 10, faults: "all", settings: "{}"}, ""},
	} {
		const shown = `go() { echo $GOMAXPROCS $GODEBUG $GOGC; printf '%s\n' "$@"; }; `
		got, err := exec.Command("sh", "-c", shown+c.j.replay()).CombinedOutput()
		want := "1 asyncpreemptoff=1 400\ntest\n./integration/sim\n-count=1\n-v\n-run\n^TestSeeds$\n-sim.seed\n7" + c.want + "\n"
		if err != nil || string(got) != want {
			t.Errorf("%s: a shell makes of %s\n%s%v, want\n%s", name, c.j.replay(), got, err, want)
		}
	}
}

func TestASeedThatTakesItsProcessWithItIsToldOf(t *testing.T) {
	const patience = 500 * time.Millisecond
	for name, c := range map[string]struct{ script, want string }{
		"died":  {`echo boom >&2; exit 3`, "boom"},
		"stuck": {`exec sleep 1000`, errStuck.Error()},
	} {
		script := func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, "sh", "-c", `echo '`+reportMark+`{"outcome":{}}'; `+c.script)
		}
		var last report
		seeds := uint64(0)
		told := listen(t.Context(), job{seed: 5, count: 1 << 20}, script, patience, func(seed uint64, r report) { seeds, last = seed, r })
		if told < 1 || told > 2 || seeds != uint64(4+told) || last.passed() || !strings.Contains(last.Error, c.want) {
			t.Errorf("%s: told of %d seeds, at last of %d: %+v", name, told, seeds, last)
		}
	}
}

func TestWhatWasDrawnIsToldOfASeedWithoutAnOutcome(t *testing.T) {
	died := report{Error: "the process has died: panic: deadlock"}
	plan, text := died.text(3, Options{Kinds: []fault.Kind{fault.Kill}})
	settings, want := draw(3, Options{Kinds: []fault.Kind{fault.Kill}})
	if len(plan.Faults) == 0 || len(plan.Faults) != len(want.Faults) {
		t.Fatalf("%d faults, want %d", len(plan.Faults), len(want.Faults))
	}
	for _, part := range []string{"seed 3", settings.String(), want.Faults[0].String(), "panic: deadlock"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing:\n%s", part, text)
		}
	}
}

func TestAPlanThatDoesNotFailAgainIsNotShrunk(t *testing.T) {
	plan := fault.Plan{Faults: []fault.Fault{{Kind: fault.Kill}, {Kind: fault.Wipe}, {Kind: fault.Pause}}}
	tried := 0
	if _, again := smallestFailing(plan, func(fault.Plan) bool { tried++; return false }); again || tried != 1 {
		t.Errorf("it fails again: %t, after %d runs", again, tried)
	}
	wipes := func(p fault.Plan) bool {
		return slices.ContainsFunc(p.Faults, func(f fault.Fault) bool { return f.Kind == fault.Wipe })
	}
	if smallest, again := smallestFailing(plan, wipes); !again || len(smallest.Faults) != 1 || !wipes(smallest) {
		t.Errorf("it fails again: %t, with %v", again, smallest.Faults)
	}
}

func TestAFailureIsLikeAnother(t *testing.T) {
	died := report{Error: "died"}
	worthless := report{Outcome: &Outcome{}, Error: "settle"}
	passed := report{Outcome: &Outcome{}}
	violated := func(kinds ...string) report {
		o := &Outcome{Violations: make(map[string]int)}
		for _, kind := range kinds {
			o.Violations[kind]++
		}
		return report{Outcome: o}
	}
	for name, c := range map[string]struct {
		a, b report
		like bool
	}{
		"both died":          {died, report{Error: "stuck"}, true},
		"one died":           {died, violated("lost"), false},
		"both worthless":     {worthless, worthless, true},
		"one worthless":      {worthless, violated("lost"), false},
		"a kind in common":   {violated("lost", "stale"), violated("stale", "differs"), true},
		"no kind in common":  {violated("lost"), violated("stale"), false},
		"one of them passed": {passed, violated("lost"), false},
	} {
		if c.a.failsLike(c.b) != c.like || c.b.failsLike(c.a) != c.like {
			t.Errorf("%s: want %t", name, c.like)
		}
	}
}
