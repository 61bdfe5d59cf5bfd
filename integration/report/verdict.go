package report

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

// judge says what came of a run. A run that proves nothing has not passed.
func judge(run Run) Verdict {
	limits := run.Limits.withDefaults()
	violated := violations(run, limits)
	switch {
	case len(violated) > 0:
		return Verdict{Text: "Violated: " + listed(violated) + "."}
	case !slices.ContainsFunc(run.Operations, func(op history.Operation) bool { return op.AcknowledgedWrite() }):
		return Verdict{Text: "Nothing proven: no write was acknowledged."}
	case len(run.Results) == 0:
		return Verdict{Text: "Nothing proven: no checker looked at what was done."}
	case len(run.Faults) > 0 && skipped(run.Faults) == len(run.Faults):
		return Verdict{Text: "Nothing proven: none of the planned faults was carried out."}
	}
	if idle := unacknowledged(run.Results); len(idle) > 0 {
		return Verdict{Text: "Nothing proven by " + limits.text(listed(idle)) + ": none of its writes was acknowledged."}
	}
	return Verdict{Passed: true, Text: praise(run)}
}

// unacknowledged are the workloads that did something and were never acknowledged a write: their checkers had nothing to look at. That reads
// were answered, also those of the end, is no proof: what was never written is rightly absent.
func unacknowledged(results []workload.Result) (names []string) {
	for _, r := range results {
		if r.Acknowledged == 0 && r.Ok+r.Failed+r.Unknown > 0 {
			names = append(names, r.Workload)
		}
	}
	return names
}

// NotConverged is the kind of violation by which a checker says the same as Convergence.Reached does not: the verdict says it once.
const NotConverged = "not converged"

// violations are phrases, one for each kind of violation of each workload.
func violations(run Run, limits Limits) []string {
	var all []string
	differed := run.Convergence != nil && !run.Convergence.Reached
	for _, r := range run.Results {
		for _, kind := range slices.Sorted(maps.Keys(r.Violations)) {
			if differed && kind == NotConverged {
				continue
			}
			all = append(all, fmt.Sprintf("%s %s (%s)", grouped(r.Violations[kind]), limits.text(kind), limits.text(r.Workload)))
		}
	}
	if differed {
		all = append(all, fmt.Sprintf("replicas still differed %s after the last fault was healed", brief(run.Convergence.Took)))
	}
	if more := len(all) - limits.Entries; more > 0 {
		all = append(all[:limits.Entries], fmt.Sprintf("%d more kinds of violations", more))
	}
	return all
}

func skipped(faults []Strike) (n int) {
	for _, f := range faults {
		if f.Skipped {
			n++
		}
	}
	return n
}

func praise(run Run) string {
	left := skipped(run.Faults)
	faults := counted(len(run.Faults)-left, "fault")
	if left > 0 {
		faults += fmt.Sprintf(" (%d skipped)", left)
	}
	what := ""
	if run.Planned > run.Duration {
		what = fmt.Sprintf(" what was done in %s of %s", brief(run.Duration), brief(run.Planned))
	}
	text := fmt.Sprintf("Passed%s: %s on %s under %s; %s found no violation",
		what, counted(len(run.Operations), "operation"), counted(len(run.Nodes), "node"), faults, counted(len(run.Results), "checker"))
	if c := run.Convergence; c != nil {
		text += fmt.Sprintf(", and all replicas were equal %s after the last fault was healed", brief(c.Took))
	}
	return text + "."
}
