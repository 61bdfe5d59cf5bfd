package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ringcask/ringcask/integration/report"
	"github.com/ringcask/ringcask/integration/workload"
)

// printChaos prints what came of a chaos run: faults by kind, the checkers' verdicts, examples of what they found, and how to do it again.
func printChaos(w io.Writer, s report.Summary) error {
	fmt.Fprintf(w, "\n%s operations in %v: %s acknowledged, %s failed, %s unknown; longest gap without an acknowledgement %v\n",
		thousands(int64(s.Counts.All())), s.Duration.Round(100*time.Millisecond), thousands(int64(s.Counts.Ok)), thousands(int64(s.Counts.Failed)),
		thousands(int64(s.Counts.Unknown)), s.Gap.Length().Round(10*time.Millisecond))
	fmt.Fprintf(w, "lost %s, revived %s, stale %s\n", thousands(int64(s.Lost)), thousands(int64(s.Revived)), thousands(int64(s.Stale)))
	if errors := errorCounts(s); errors != "" {
		fmt.Fprintf(w, "errors: %s\n", errors)
	}
	var faults []string
	for _, f := range s.FaultKinds {
		faults = append(faults, faultCount(f))
	}
	if len(faults) > 0 {
		fmt.Fprintf(w, "faults: %s\n", strings.Join(faults, ", "))
	}
	if s.Convergence != nil && s.Convergence.Reached {
		fmt.Fprintf(w, "all replicas equal %v after everything was healed\n", s.Convergence.Took.Round(10*time.Millisecond))
	}
	fmt.Fprintln(w)
	printResults(w, s.Workloads)
	for _, r := range s.Workloads {
		for _, example := range r.Examples {
			fmt.Fprintf(w, "%s: %s\n", r.Workload, example)
		}
	}
	for _, note := range s.Notes {
		fmt.Fprintln(w, note)
	}
	_, err := fmt.Fprintf(w, "\n%s\nseed %d; to do it again:\n  %s\n", s.Verdict.Text, s.Seed, s.Replay)
	return err
}

// errorCounts are the errors that clients were answered, by code.
func errorCounts(s report.Summary) string {
	var counts []string
	for _, e := range s.Errors {
		counts = append(counts, fmt.Sprintf("%s %s", thousands(int64(e.All())), e.Code))
	}
	if s.ErrorsOther > 0 {
		counts = append(counts, fmt.Sprintf("%s others", thousands(int64(s.ErrorsOther))))
	}
	return strings.Join(counts, ", ")
}

func faultCount(f report.FaultCount) string {
	text := fmt.Sprintf("%d %s", f.Count, f.Kind)
	if f.Skipped > 0 {
		text += fmt.Sprintf(" (%d skipped)", f.Skipped)
	}
	return text
}

// printResults prints a line for each checker.
func printResults(w io.Writer, results []workload.Result) {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "CHECKER\tOK\tFAILED\tUNKNOWN\tVERDICT\tMEASURED")
	for _, r := range results {
		verdict := "passed"
		if !r.Passed() {
			verdict = "VIOLATED: " + counted(r.Violations)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\n", r.Workload, r.Ok, r.Failed, r.Unknown, verdict, counted(r.Measures))
	}
	table.Flush()
}

// counted lists what was counted, by name.
func counted[N int | float64](counts map[string]N) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%.6g %s", float64(counts[name]), name))
	}
	return strings.Join(parts, ", ")
}
