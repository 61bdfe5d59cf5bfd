package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ringcask/ringcask/integration/chaos"
	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/report"
	"github.com/ringcask/ringcask/integration/workload"
)

type chaosCommand struct {
	Seed     *uint64       `placeholder:"N" help:"What faults, keys and choices are drawn from (default: drawn, and printed)."`
	Duration time.Duration `default:"60s" placeholder:"DURATION" help:"How long the workloads run (default: 60s)."`
	Nodes    int           `default:"3" placeholder:"N" help:"How many nodes (default: 3)."`
	Faults   string        `default:"all" placeholder:"KIND,..." help:"Kinds of faults to draw from, or none: ${faults}; with --netns also ${packet_faults} (default: all of them)."`
	Every    time.Duration `placeholder:"DURATION" help:"Mean time from the beginning of one fault to that of the next (default: a twentieth of the duration, but at most 5s)."`
	Netns    bool          `help:"Run each node in a network namespace of its own, in place of behind proxies (Linux, root)."`
	Plan     string        `type:"path" placeholder:"FILE" help:"Carry out the plan that another run has left in this file, instead of drawing one. It has the seed, the nodes, the duration and the faults."`
	Workload string        `default:"all" placeholder:"NAME,..." help:"What clients do: ${workloads} (default: all)."`
	Clients  int           `default:"4" placeholder:"N" help:"Clients of each workload (default: 4)."`
	Rate     float64       `default:"300" placeholder:"N" help:"Most operations of each workload in a second; 0 is no bound (default: 300)."`
	Report   string        `type:"path" placeholder:"FILE" help:"Write a report with a timeline to this HTML file."`
	JSON     bool          `name:"json" help:"Print what came of it as one JSON object."`
	Binary   string        `type:"path" placeholder:"FILE" help:"The ringcask to test (default: this one)."`
	Dir      string        `type:"path" placeholder:"DIR" help:"Where the nodes keep data and logs; it must be empty or missing (default: a temporary directory)."`
	Keep     bool          `help:"Keep that directory also when all is well."`

	// tested is the version of the program under test.
	tested string
}

func (*chaosCommand) Help() string {
	return `Starts node processes whose links run through proxies or, with --netns, through a router between network namespaces, has clients read
and write, and lets things go wrong meanwhile: nodes are killed, paused and wiped, the network is split, disks get full, clocks are wrong.
Then everything is healed, and checkers judge whether an acknowledged write was lost, a deleted key is back, or replicas differ.
docs/chaos.md has the whole of it.

Exits with 4 if something was violated or nothing proven. Ctrl-C ends the run early, and what was done until then is judged. The same seed and flags give the
same faults and choices, though not the same timing.

	ringcask chaos
	ringcask chaos --seed 7 --nodes 5 --duration 10m --report seed7.html
	ringcask chaos --faults kill,pause,split-halves --workload set,deletes
`
}

// drawing are the flags by which a plan is drawn.
var drawing = []string{"seed", "duration", "nodes", "faults", "every"}

// AfterApply is kong's. It refuses what a given plan would not obey.
func (c *chaosCommand) AfterApply(line *kong.Context) error {
	for _, given := range line.Path {
		if f := given.Flag; c.Plan != "" && f != nil && slices.Contains(drawing, f.Name) {
			return fmt.Errorf("--%s cannot be used with --plan: it is for a plan that is drawn", f.Name)
		}
	}
	return nil
}

// chaosNames are the names in the help of the flags, by what they stand for.
func chaosNames() kong.Vars {
	behindProxies := chaos.Possible(false)
	packets := slices.DeleteFunc(chaos.Possible(true), func(k fault.Kind) bool { return slices.Contains(behindProxies, k) })
	return kong.Vars{
		"faults": fault.Listed(behindProxies), "packet_faults": fault.Listed(packets), "workloads": strings.Join(workload.Names(), ", "),
	}
}

// violatedError says that a run found what must not be.
type violatedError struct{ text string }

func (e *violatedError) Error() string { return e.text }

func (c *chaosCommand) Run(a *app) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	a, release := a.underGoRun()
	defer release()
	made, err := c.makeDir(&o)
	if err != nil {
		return err
	}
	shown := newChaosProgress(a, o.Plan.Duration)
	o.Events = shown.event
	harness, err := chaos.New(o)
	if err == nil {
		err = c.touchReport()
	}
	if err != nil {
		if made {
			err = errors.Join(err, os.RemoveAll(o.Dir))
		}
		return &usageError{err}
	}
	if err := savePlan(o.Dir, o.Plan); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "seed %d, %s, %v, %s; nodes in %s\n", o.Plan.Seed, plural(o.Plan.Nodes, "node", "nodes"), o.Plan.Duration,
		plural(len(o.Plan.Faults), "fault", "faults"), o.Dir)
	shown.start(harness.Progress)
	outcome, err := harness.Run(a.ctx)
	shown.stop()
	if err != nil {
		return fmt.Errorf("%w; the nodes' logs are in %s", err, o.Dir)
	}
	summary, err := c.sumUp(outcome, o)
	if err != nil {
		return err
	}
	if err := c.tell(a, summary); err != nil {
		return err
	}
	if !summary.Verdict.Passed {
		return &violatedError{summary.Verdict.Text + " What is left is in " + o.Dir}
	}
	if made && !c.Keep {
		return os.RemoveAll(o.Dir)
	}
	return nil
}

// options are the run's, but for what it is told with.
func (c *chaosCommand) options() (o chaos.Options, err error) {
	if o.Plan, err = c.plan(); err != nil {
		return o, err
	}
	if c.Clients < 1 {
		return o, usagef("--clients must be positive")
	}
	o.Clients, o.Rate, o.Binary, o.Namespaces = c.Clients, c.Rate, c.Binary, c.Netns
	c.tested = version()
	if o.Binary == "" {
		o.Binary, err = os.Executable()
	} else {
		c.tested, err = versionOf(o.Binary)
	}
	if err != nil {
		return o, err
	}
	names := workload.Names()
	if c.Workload != "all" {
		names = strings.Split(c.Workload, ",")
	}
	for _, name := range names {
		w, err := workload.New(strings.TrimSpace(name))
		if err != nil {
			return o, &usageError{err}
		}
		o.Workloads = append(o.Workloads, w)
	}
	return o, nil
}

// versionWithin is how long a program may take to tell its version.
const versionWithin = 10 * time.Second

// versionOf is what a program says of its version. One that says nothing is none that could be tested.
func versionOf(binary string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), versionWithin)
	defer cancel()
	ask := exec.CommandContext(ctx, binary, "--version")
	ask.WaitDelay = time.Second
	said, err := ask.Output()
	line, _, _ := strings.Cut(string(said), "\n")
	if line = strings.TrimSpace(line); err == nil && line == "" {
		err = errors.New("it says nothing")
	}
	if err != nil {
		return "", usagef("--binary %s does not tell its --version: %w", binary, err)
	}
	return line, nil
}

// plan is the given one, or drawn.
func (c *chaosCommand) plan() (p fault.Plan, err error) {
	if c.Plan != "" {
		return readPlan(c.Plan)
	}
	if c.Nodes < 1 || c.Nodes > chaos.NodesMax || c.Duration <= 0 || c.Every < 0 {
		return p, usagef("--nodes must be between 1 and %d, and --duration and --every positive", chaos.NodesMax)
	}
	seed := uint64(rand.Uint32())
	if c.Seed != nil {
		seed = *c.Seed
	}
	kinds, err := c.kinds()
	if err != nil {
		return p, err
	}
	p = fault.Plan{Seed: seed, Nodes: c.Nodes, Duration: c.Duration}
	if len(kinds) == 0 && (c.Faults == "all" || c.Faults == "none") {
		return p, nil
	}
	o := fault.Options{Nodes: c.Nodes, Duration: c.Duration, Kinds: kinds, Every: c.Every}
	o.ForMin, o.ForMax = min(c.Duration/60, faultMin), min(c.Duration/6, faultMax)
	if o.Every == 0 {
		o.Every = min(c.Duration/20, everyMax)
	}
	if len(kinds) > 0 {
		p = fault.Draw(seed, o)
	}
	if len(p.Faults) == 0 && c.Faults != "all" {
		return p, usagef("--faults %s: none was drawn for %s and %v; fewer than half of the nodes may be out at once, and one node's data has no copy",
			c.Faults, plural(c.Nodes, "node", "nodes"), c.Duration)
	}
	return p, nil
}

func readPlan(path string) (p fault.Plan, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		plan := json.NewDecoder(bytes.NewReader(text))
		plan.DisallowUnknownFields() // what is misspelt would not happen
		err = plan.Decode(&p)
	}
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return p, usagef("%s: %w", path, err)
	}
	return p, nil
}

// In long runs faults come every few seconds, and last as long as in a run of some minutes.
const (
	everyMax = 5 * time.Second
	faultMin = time.Second
	faultMax = 30 * time.Second
)

// kinds are what to draw faults from, in the one order that makes the same seed give the same plan.
func (c *chaosCommand) kinds() ([]fault.Kind, error) {
	switch c.Faults {
	case "all":
		return c.survivable(chaos.Possible(c.Netns)), nil
	case "none":
		return nil, nil
	}
	for _, name := range strings.Split(c.Faults, ",") {
		k := fault.Kind(strings.TrimSpace(name))
		if why := chaos.Impossible(k, c.Netns); why != "" {
			return nil, usagef("--faults %s: that cannot be done to real processes: %s", k, why)
		}
	}
	named, err := fault.ParseKinds(c.Faults, chaos.Possible(c.Netns)...)
	if err != nil {
		return nil, &usageError{err}
	}
	return c.survivable(slices.DeleteFunc(chaos.Possible(c.Netns), func(k fault.Kind) bool { return !slices.Contains(named, k) })), nil
}

// survivable leaves out what destroys data where there is only one copy of it.
func (c *chaosCommand) survivable(kinds []fault.Kind) []fault.Kind {
	return slices.DeleteFunc(kinds, func(k fault.Kind) bool { return c.Nodes == 1 && k.Destroys() })
}

// makeDir makes sure that there is a directory with nothing in it, and says whether it was made for this run.
func (c *chaosCommand) makeDir(o *chaos.Options) (made bool, err error) {
	if c.Dir == "" {
		o.Dir, err = os.MkdirTemp("", "ringcask-chaos-")
		return true, err
	}
	o.Dir = c.Dir
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return false, err
	}
	entries, err := os.ReadDir(c.Dir)
	if err == nil && len(entries) > 0 {
		err = usagef("--dir %s is not empty", c.Dir)
	}
	return false, err
}

// savePlan leaves the plan beside the data, for --plan.
func savePlan(dir string, p fault.Plan) error {
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "plan.json"), append(text, '\n'), 0o644)
}

// sumUp sums a run up, and leaves what its clients did where somebody will look.
func (c *chaosCommand) sumUp(outcome report.Run, o chaos.Options) (report.Summary, error) {
	outcome.Replay = c.replay(o)
	outcome.Version = c.tested
	summary := report.Summarize(outcome)
	if c.Keep || !summary.Verdict.Passed {
		return summary, saveOperations(o.Dir, outcome.Operations)
	}
	return summary, nil
}

// saveOperations leaves everything that clients did beside the data, for whoever looks for the cause of a violation.
func saveOperations(dir string, ops []history.Operation) (err error) {
	f, err := os.Create(filepath.Join(dir, "operations.jsonl"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return buffered(f, func(w *bufio.Writer) error {
		lines := json.NewEncoder(w)
		for i := range ops {
			if err := lines.Encode(&ops[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// replay is the command that does the same again.
func (c *chaosCommand) replay(o chaos.Options) string {
	args := []string{invocation(), "chaos"}
	if c.Plan != "" {
		args = append(args, "--plan", c.Plan)
	} else {
		args = append(args, "--seed", fmt.Sprint(o.Plan.Seed), "--duration", c.Duration.String(), "--nodes", fmt.Sprint(c.Nodes), "--faults", c.Faults)
		if c.Every > 0 {
			args = append(args, "--every", c.Every.String())
		}
	}
	if c.Netns {
		args = append(args, "--netns")
	}
	args = append(args, "--workload", c.Workload, "--clients", fmt.Sprint(c.Clients), "--rate", fmt.Sprint(c.Rate))
	if c.Binary != "" {
		args = append(args, "--binary", c.Binary)
	}
	return shellCommand(args)
}

// touchReport makes sure, before all the work, that there can be a report at the end of it.
func (c *chaosCommand) touchReport() error {
	if c.Report == "" {
		return nil
	}
	f, err := os.OpenFile(c.Report, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// tell writes the report and prints what came of the run; the one is not kept from by the other.
func (c *chaosCommand) tell(a *app, s report.Summary) error {
	var err error
	if c.Report != "" {
		if err = writeReport(c.Report, s); err == nil {
			fmt.Fprintf(a.stderr, "the report is in %s\n", c.Report)
		}
	}
	if c.JSON {
		return errors.Join(err, json.NewEncoder(a.stdout).Encode(s))
	}
	return errors.Join(err, printChaos(a.stdout, s))
}

func writeReport(path string, s report.Summary) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return report.Write(f, s)
}
