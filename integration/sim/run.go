package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
	"github.com/ringcask/ringcask/ring"
)

const (
	// startWait is how long a new cluster may take until it serves, convergeWait one whose faults are healed until all replicas are equal.
	startWait    = 30 * time.Second
	convergeWait = 5 * time.Minute
	// convergeInterval is how often it is looked.
	convergeInterval = 500 * time.Millisecond
	// settleWait is how long all reads of the end may take.
	settleWait = 2 * time.Minute
	// violationsMax bounds the examples of each kind of violation.
	violationsMax = 5
	// trailMax bounds the operations that are shown of the keys concerned.
	trailMax = 200
)

// Options are what a run is made of, besides its seed.
type Options struct {
	// Adjust, unless nil, changes the settings that were drawn.
	Adjust func(*Settings)
	// Plan is that of the seed if it is nil.
	Plan *fault.Plan
	// Kinds are the faults that a plan is drawn of; empty is all.
	Kinds []fault.Kind
	// Logger takes what the nodes have to say; nil discards it.
	Logger *slog.Logger
}

// Outcome is what came of a run.
type Outcome struct {
	Seed     uint64     `json:"seed"`
	Settings Settings   `json:"settings"`
	Plan     fault.Plan `json:"plan"`
	// Faults counts those that were carried out, Skipped those that were not because they would have destroyed the last copy of something.
	Faults  map[fault.Kind]int `json:"faults"`
	Skipped int                `json:"skipped"`
	// Results are the judgements of the workloads' checkers.
	Results []workload.Result `json:"results"`
	// Violations are counted by kind, over all checkers and the cluster itself; Examples are some of them.
	Violations map[string]int `json:"violations,omitempty"`
	Examples   []string       `json:"examples,omitempty"`
	// Trail is what was done to the keys of the examples.
	Trail []string `json:"trail,omitempty"`
	// Converged is how long it took until all replicas were equal, after all faults had been healed; Simulated how long all of it took, in fake time.
	Converged time.Duration `json:"converged"`
	Simulated time.Duration `json:"simulated"`
}

// Passed says that nothing was violated.
func (o *Outcome) Passed() bool { return len(o.Violations) == 0 }

func (o *Outcome) violate(kind, format string, args ...any) {
	if o.Violations[kind]++; o.Violations[kind] <= violationsMax {
		o.Examples = append(o.Examples, kind+": "+fmt.Sprintf(format, args...))
	}
}

// Run runs the cluster of a seed through its faults, and judges what came of it. It must be called in a bubble. Errors are of what makes the run
// worthless; whatever the cluster did wrong is in the outcome.
func Run(ctx context.Context, seed uint64, o Options) (*Outcome, error) {
	r := newRun(seed, o)
	err := r.makeWorkloads()
	if err != nil {
		return nil, err
	}
	if err := within(ctx, startWait, r.cluster.Start); err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), r.cluster.Stop())
	}
	err = r.work(ctx)
	if err == nil {
		r.out.Converged = r.await(ctx)
		err = r.settle(ctx)
		// Writes whose clients had given up may have been carried out meanwhile, and reads may have repaired something.
		r.await(ctx)
	}
	r.end()
	r.out.Simulated = time.Since(r.began)
	return r.out, err
}

// within does something in a bounded time.
func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return do(ctx)
}

// run is one run under way.
type run struct {
	o         Options
	out       *Outcome
	cluster   *Cluster
	injector  *injector
	history   *history.History
	began     time.Time
	workloads []workload.Workload
	envs      []workload.Env
}

func (r *run) makeWorkloads() error {
	for _, name := range r.out.Settings.Workloads {
		w, err := workload.New(name)
		if err != nil {
			return err
		}
		r.workloads = append(r.workloads, w)
	}
	return nil
}

// draw is what a seed fixes before anything runs, where the options have nothing else.
func draw(seed uint64, o Options) (Settings, fault.Plan) {
	settings := DrawSettings(seed)
	if o.Adjust != nil {
		o.Adjust(&settings)
	}
	if o.Plan != nil {
		return settings, *o.Plan
	}
	return settings, fault.Draw(seed, fault.Options{
		Nodes: settings.Nodes, Duration: settings.Duration, Kinds: o.Kinds, Every: settings.FaultEvery,
	})
}

func newRun(seed uint64, o Options) *run {
	settings, plan := draw(seed, o)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	net := NewNetwork(settings.Nodes, seed, settings.Delay, settings.Jitter)
	c := NewCluster(seed, settings.Nodes, net, o.Logger, settings.apply)
	i := newInjector(c, seed)
	i.autopsies = slices.Contains(settings.Workloads, "batch")
	return &run{
		o: o, cluster: c, injector: i, history: history.New(), began: time.Now(),
		out: &Outcome{Seed: seed, Settings: settings, Plan: plan, Violations: make(map[string]int)},
	}
}

// work runs the workloads while the plan's faults strike.
func (r *run) work(ctx context.Context) error {
	working, stop := context.WithTimeout(ctx, r.out.Settings.Duration)
	defer stop()
	var all sync.WaitGroup
	errs := make([]error, len(r.workloads))
	for i, w := range r.workloads {
		env := workload.Env{
			History: r.history, Seed: r.out.Seed + uint64(i), Rate: r.out.Settings.Rate / float64(len(r.workloads)), Weak: r.out.Settings.Sloppy,
		}
		for range r.out.Settings.Workers {
			c, err := r.cluster.Client()
			if err != nil {
				return err
			}
			env.Clients = append(env.Clients, c)
		}
		r.envs = append(r.envs, env)
		all.Go(func() { errs[i] = w.Run(working, env) })
	}
	all.Go(func() { r.injector.run(ctx, r.out.Plan) })
	all.Wait()
	for _, err := range r.injector.errs {
		r.out.violate("node", "%v", err)
	}
	r.out.Faults, r.out.Skipped = r.injector.struck, r.injector.skipped
	return errors.Join(errs...)
}

// await waits until the cluster has made up for all faults.
func (r *run) await(ctx context.Context) (took time.Duration) {
	began := time.Now()
	err := within(ctx, convergeWait, func(ctx context.Context) error {
		return poll(ctx, convergeInterval, func() error {
			if err := r.injector.whole(); err != nil {
				return err
			}
			return r.cluster.converged(ctx)
		})
	})
	if err != nil {
		r.out.violate("not converged", "%v", err)
		r.out.Trail = append(r.out.Trail, r.cluster.states()...)
	}
	return time.Since(began)
}

// settle reads everything back, and has the checkers judge.
func (r *run) settle(ctx context.Context) error {
	for i, w := range r.workloads {
		settle := func(ctx context.Context) error { return w.Settle(ctx, r.envs[i]) }
		if err := within(ctx, settleWait, settle); err != nil {
			return fmt.Errorf("settle %s: %w", w.Name(), err)
		}
	}
	r.out.take(workload.Judge(r.workloads, r.history))
	ops := r.history.Operations()
	for _, batch := range tornBatches(r.injector.left, ops) {
		r.out.violate("torn", "%s", batch)
	}
	r.out.follow(ops)
	return nil
}

// take adds what the workloads' checkers say. Where no write was acknowledged they had nothing to judge: a store that refuses everything shows rightly
// nothing.
func (o *Outcome) take(results []workload.Result) {
	o.Results = results
	if len(results) == 0 {
		o.violate("nothing proven", "no workload was run")
	}
	for _, result := range results {
		for kind, n := range result.Violations {
			o.Violations[kind] += n
		}
		o.Examples = append(o.Examples, result.Examples...)
		if result.Acknowledged == 0 {
			o.violate("nothing proven", "no write of %s was acknowledged", result.Workload)
		}
	}
}

// follow gathers what was done to the keys of the examples.
func (o *Outcome) follow(ops []history.Operation) {
	if o.Passed() {
		return
	}
	examples := strings.Join(o.Examples, "\n")
	for i := range ops {
		op := &ops[i]
		for _, item := range op.Items {
			if len(o.Trail) < trailMax && strings.Contains(examples, item.Key+":") {
				o.Trail = append(o.Trail, fmt.Sprintf("%v–%v client %d %s of %d (%s %s) %s: %q absent %t at %d retried %t %s",
					op.Start, op.End, op.Client, op.Kind, len(op.Items), op.Outcome, op.Error, item.Key, item.Value, item.Absent, item.Time, item.Retried, item.Outcome))
			}
		}
	}
}

// end stops the cluster and compares what its disks hold.
func (r *run) end() {
	var table [][]int
	if p := r.cluster.servers[0].process(); p != nil {
		table = p.node.Topology().Table
	}
	if err := r.cluster.Stop(); err != nil {
		r.out.violate("stop", "%v", err)
	}
	for _, s := range r.cluster.servers {
		if err := s.endedEarly(); err != nil {
			r.out.violate("ended", "%s: %v", s.cfg.ID, err)
		}
	}
	if table == nil || r.out.Violations["not converged"] > 0 {
		return
	}
	held := make([]contents, len(r.cluster.servers))
	for i, s := range r.cluster.servers {
		var err error
		if held[i], err = readDisk(s.disk); err != nil {
			r.out.violate("unreadable", "%s: %v", s.cfg.ID, err)
			return
		}
	}
	replicas := func(key string) []int {
		return table[ring.PartitionOf([]byte(key), len(table))]
	}
	for _, d := range differences(held, replicas) {
		r.out.violate("differs", "%s", d)
	}
}
