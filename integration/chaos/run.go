package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/report"
	"github.com/ringcask/ringcask/integration/workload"
)

// Harness carries out one run.
type Harness struct {
	opts Options

	mu       sync.Mutex
	phase    string
	history  *history.History
	underWay []fault.Kind
}

// New prepares a run. It starts nothing. Errors: what is wrong with the options.
func New(o Options) (*Harness, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Harness{opts: o, phase: "starting"}, nil
}

// PhaseWork is the phase in which clients work and faults happen.
const PhaseWork = "working"

// Progress is how far a run is.
type Progress struct {
	// Phase is what is done now, in a word or two.
	Phase string
	// Elapsed is the time since the workloads began; zero before.
	Elapsed time.Duration
	// Operations have ended; Acknowledged of them were.
	Operations, Acknowledged int
	// Faults are under way.
	Faults []fault.Kind
}

// Progress says how far the run is. It may be called at any time.
func (h *Harness) Progress() Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := Progress{Phase: h.phase, Faults: slices.Clone(h.underWay)}
	if h.history != nil {
		p.Elapsed = h.history.Now()
		p.Operations, p.Acknowledged = h.history.Counts()
	}
	return p
}

func (h *Harness) enter(phase string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = phase
}

// run is what a run has while it lasts.
type run struct {
	Options
	*Harness
	cluster *cluster
	// after is the context of what has to be done even if the run is interrupted.
	after context.Context
	nodes nodeFindings
	// strikes has what became of each fault of the plan.
	strikes []report.Strike
	said    sync.Mutex
}

// Run carries out the run and returns what came of it. When ctx ends early, what was done until then is judged all the same. The error is
// for what keeps anything from being judged. Run may be called once.
func (h *Harness) Run(ctx context.Context) (_ report.Run, err error) {
	r := &run{Options: h.opts, Harness: h, after: context.WithoutCancel(ctx)}
	r.strikes = make([]report.Strike, len(r.Plan.Faults))
	if r.cluster, err = newCluster(h.opts, r.died); err != nil {
		return report.Run{}, err
	}
	defer func() { err = errors.Join(err, r.cluster.close()) }()
	if err := r.cluster.start(ctx, r.ReadyWithin); err != nil {
		return report.Run{}, errors.Join(context.Cause(ctx), err)
	}
	clients, err := r.openClients()
	if err != nil {
		return report.Run{}, err
	}
	defer func() { err = errors.Join(err, clients.close()) }()
	return r.carryOut(ctx, clients)
}

// carryOut is all of the run with a cluster that serves.
func (r *run) carryOut(ctx context.Context, clients clientSets) (report.Run, error) {
	began := time.Now()
	r.begin()
	took, err := r.work(ctx, clients)
	if err != nil {
		return report.Run{}, err
	}
	interrupted := ctx.Err() != nil
	conv := r.heal(clients)
	results := append(workload.Judge(r.Workloads, r.history), r.nodes.result(), conv.result())
	out := report.Run{
		Seed: r.Plan.Seed, Began: began, Duration: took, Faults: r.strikes, Operations: r.history.Operations(), Results: results,
		Convergence: &conv.Convergence, Settings: settings(r.Options),
	}
	for _, p := range r.cluster.nodes {
		out.Nodes = append(out.Nodes, p.id)
	}
	if interrupted {
		out.Planned = r.Plan.Duration
		out.Notes = append(out.Notes, fmt.Sprintf("The run was interrupted after %v of %v.", took.Round(time.Second), r.Plan.Duration))
	}
	return out, nil
}

// begin starts the clock of the run.
func (h *Harness) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.history = PhaseWork, history.New()
}

// settings are those that matter to a reader.
func settings(o Options) map[string]string {
	between := "proxies"
	if o.Namespaces {
		between = "namespaces"
	}
	return map[string]string{
		"network": between, "n": fmt.Sprint(min(3, o.Plan.Nodes)), "r": "quorum", "w": "quorum", "sync": "always", "partitions": fmt.Sprint(partitions),
		"segment-bytes-max": segmentBytesMax, "scrub-interval": scrubInterval, "exchange-period": exchangePeriod,
		"clients of each workload": fmt.Sprint(o.Clients),
	}
}

// work runs the workloads and the faults until the plan's time is over or ctx ends, and returns when all have ended.
func (r *run) work(ctx context.Context, clients clientSets) (took time.Duration, err error) {
	working, stop := context.WithTimeout(ctx, r.Plan.Duration)
	defer stop()
	errs := make([]error, len(r.Workloads))
	var running sync.WaitGroup
	for i, w := range r.Workloads {
		running.Go(func() {
			if errs[i] = w.Run(working, r.env(clients[i])); errs[i] != nil {
				errs[i] = fmt.Errorf("workload %s: %w", w.Name(), errs[i])
				stop()
			}
		})
	}
	var striking sync.WaitGroup
	striking.Go(func() { r.schedule(working) })
	running.Wait()
	took = r.history.Now()
	striking.Wait()
	return took, errors.Join(errs...)
}

func (r *run) env(clients []*client.Client) workload.Env {
	return workload.Env{History: r.history, Clients: clients, Seed: r.Plan.Seed, Rate: r.Rate}
}

// clientSets has the clients of each workload.
type clientSets [][]*client.Client

func (r *run) openClients() (sets clientSets, err error) {
	sets = make(clientSets, len(r.Workloads))
	for i := range sets {
		for range r.Clients {
			c, err := r.cluster.client()
			if err != nil {
				return nil, errors.Join(err, sets.close())
			}
			sets[i] = append(sets[i], c)
		}
	}
	return sets, nil
}

func (s clientSets) close() error {
	var errs []error
	for _, set := range s {
		for _, c := range set {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// say tells of an event.
func (r *run) say(format string, args ...any) {
	e := Event{At: r.Progress().Elapsed, Text: fmt.Sprintf(format, args...)}
	r.said.Lock()
	defer r.said.Unlock()
	r.Events(e)
}
