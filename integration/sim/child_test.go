package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// reportMark begins a child's lines of JSON.
	reportMark = "sim-outcome "
	// seedTime is how long a seed may take in real time before its process is taken for stuck.
	seedTime = 2 * time.Minute
)

// childEnv is what lets a seed's runs be much alike: one processor, and goroutines that are not interrupted.
var childEnv = []string{"GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=400"}

// errStuck is why a process is ended that has not told of its next seed for too long.
var errStuck = errors.New("the process was stuck")

// report is what a child says of a seed.
type report struct {
	Outcome *Outcome `json:"outcome"`
	// Error is why the run is worthless; the parent sets it, too, where the child has died of the seed.
	Error string `json:"error,omitempty"`
}

func (r *report) passed() bool { return r.Error == "" && r.Outcome.Passed() }

// complaint is what is wrong, in short.
func (r *report) complaint() string {
	if r.Outcome == nil || len(r.Outcome.Examples) == 0 {
		return r.Error
	}
	return fmt.Sprintf("%v, such as %q %s", r.Outcome.Violations, r.Outcome.Examples[0], r.Error)
}

// beChild runs seeds one after the other and reports each.
func beChild(t *testing.T) {
	for n := range max(*seedsFlag, 1) {
		out, err := simulate(t, *seedFlag+uint64(n), options(t))
		r := report{Outcome: out}
		if err != nil {
			r.Error = err.Error()
		}
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s%s\n", reportMark, line)
	}
}

// job is what a child is told to run.
type job struct {
	seed  uint64
	count int
	// faults, plan and settings are as the flags; plant is a mistake that the nodes make.
	faults, plan, settings, plant string
}

// flagged is a job as the flags want it.
func flagged(seed uint64, count int) job {
	return job{seed: seed, count: count, faults: *kindsFlag, settings: *setFlag}
}

// replay is the command that runs the first seed of a job again, as a child does.
func (j job) replay() string {
	args := slices.Concat(childEnv, []string{"go test ./integration/sim -count=1 -v -run '^TestSeeds$' -sim.seed", strconv.FormatUint(j.seed, 10)})
	for _, f := range []struct{ name, value string }{{"sim.faults", j.faults}, {"sim.set", j.settings}, {"sim.plan", j.plan}} {
		if f.value != flag.Lookup(f.name).DefValue {
			args = append(args, "-"+f.name, "'"+strings.ReplaceAll(f.value, "'", `'\''`)+"'")
		}
	}
	return strings.Join(args, " ")
}

func (j job) command(ctx context.Context) *exec.Cmd {
	args := []string{
		"-test.run=^TestSeeds$", "-test.timeout=0", "-sim.child", "-sim.seed=" + strconv.FormatUint(j.seed, 10), "-sim.seeds=" + strconv.Itoa(j.count),
		"-sim.faults=" + j.faults, "-sim.plan=" + j.plan, "-sim.set=" + j.settings,
	}
	if j.plant != "" {
		args = append(args, "-sim.plant="+j.plant)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv...)
	return cmd
}

// child runs seeds in a process of their own, with one processor: fewer orders in which goroutines may run, and a seed that ends in a panic takes no
// others with it. It tells done of each seed, and returns how many it has told of: more need another process.
func child(ctx context.Context, j job, done func(uint64, report)) int {
	return listen(ctx, j, j.command, seedTime, done)
}

// listen is child for a command of which every outcome comes within some time after the one before it.
func listen(ctx context.Context, j job, command func(context.Context) *exec.Cmd, patience time.Duration, done func(uint64, report)) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stuck := time.AfterFunc(patience, func() { cancel(fmt.Errorf("%w: it told of no seed for %v", errStuck, patience)) })
	defer stuck.Stop()
	cmd := command(ctx)
	var last tail
	cmd.Stderr = &last
	told := 0
	tell := func(r report) {
		stuck.Reset(patience)
		done(j.seed+uint64(told), r)
		told++
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tell(report{Error: err.Error()})
		return told
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		text, is := strings.CutPrefix(lines.Text(), reportMark)
		if !is {
			last.Write(append(lines.Bytes(), '\n'))
			continue
		}
		var r report
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			r.Error = err.Error()
		}
		tell(r)
	}
	err = cmd.Wait()
	switch why := context.Cause(ctx); {
	case told >= j.count:
	case why == nil:
		tell(report{Error: fmt.Sprintf("the process has died: %v\n%s", err, last.text())})
	default:
		tell(report{Error: fmt.Sprintf("%v\n%s", why, last.text())})
	}
	return told
}

// tailBytes is how much is kept of what a child says before it dies.
const tailBytes = 8 << 10

// tail keeps the first bytes that were written to it: a panic says at first what is wrong.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), max(0, tailBytes-t.b.Len()))])
	return len(p), nil
}

func (t *tail) text() string { return t.b.String() }
