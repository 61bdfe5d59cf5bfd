package chaos

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/workload"
)

// Options say what to run. Fields without a default are required.
type Options struct {
	// Binary is the program under test, Dir where its nodes keep data and logs. Dir must be empty or missing.
	Binary, Dir string
	// Namespaces has each node run in a network namespace of its own, in place of behind proxies. It takes Linux and root.
	Namespaces bool
	// Plan is what goes wrong, when, on how many nodes, and for how long the workloads run.
	Plan fault.Plan
	// Workloads are what clients do, all at once, each of them once.
	Workloads []workload.Workload
	// Clients are the workers of each workload (default 4), Rate the most operations of each in a second (default no bound).
	Clients int
	Rate    float64
	// ReadyWithin is how long a node may take to serve after it was started (default 30 s), ConvergeWithin how long all replicas may take
	// to be equal after everything was healed (default 60 s).
	ReadyWithin, ConvergeWithin time.Duration
	// DestroyWait is how long a fault that destroys data waits for everything else to be whole before it is skipped (default 20 s).
	DestroyWait time.Duration
	// Events is told what happens, by one goroutine at a time; nil is nobody.
	Events func(Event)
}

// Event is something that happened, in words, at a time after the beginning of the workloads.
type Event struct {
	At   time.Duration
	Text string
}

// NodesMax bounds the nodes of a run: each pair of them has proxies.
const NodesMax = 15

func (o Options) withDefaults() Options {
	if o.Clients == 0 {
		o.Clients = 4
	}
	for field, value := range map[*time.Duration]time.Duration{
		&o.ReadyWithin: 30 * time.Second, &o.ConvergeWithin: 60 * time.Second, &o.DestroyWait: 20 * time.Second,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	return o
}

func (o Options) validate() error {
	switch {
	case o.Binary == "" || o.Dir == "":
		return errors.New("chaos: a binary and a directory are required")
	case o.Plan.Nodes < 1 || o.Plan.Nodes > NodesMax:
		return fmt.Errorf("chaos: %d nodes, must be from 1 to %d", o.Plan.Nodes, NodesMax)
	case o.Plan.Duration <= 0 || min(o.ReadyWithin, o.ConvergeWithin, o.DestroyWait) < 0:
		return errors.New("chaos: durations must be positive")
	case len(o.Workloads) == 0 || o.Clients < 0 || o.Rate < 0:
		return errors.New("chaos: a workload is required, and clients and rate must not be negative")
	}
	for i, w := range o.Workloads {
		if slices.ContainsFunc(o.Workloads[:i], func(other workload.Workload) bool { return other.Name() == w.Name() }) {
			return fmt.Errorf("chaos: workload %s is there twice: it would take the one's keys for the other's", w.Name())
		}
	}
	for _, f := range o.Plan.Faults {
		if why := Impossible(f.Kind, o.Namespaces); why != "" {
			return fmt.Errorf("chaos: %s cannot be done to real processes: %s", f.Kind, why)
		}
	}
	if err := o.Plan.Validate(); err != nil {
		return fmt.Errorf("chaos: plan: %w", err)
	}
	if o.Namespaces {
		return NamespacesImpossible()
	}
	return nil
}

// Impossible is why a kind of fault cannot be done to real processes, in network namespaces or behind proxies; empty if it can.
func Impossible(k fault.Kind, namespaces bool) string {
	switch k {
	case fault.PowerLoss:
		return "what a process has written stays with the operating system when the process ends, synced or not"
	case fault.Loss, fault.Duplicate, fault.Reorder:
		if !namespaces {
			return "it strikes packets, and proxies have none; there are some with --netns"
		}
	}
	return ""
}

// Possible are the kinds of faults that can be done to real processes, in network namespaces or behind proxies.
func Possible(namespaces bool) []fault.Kind {
	return slices.DeleteFunc(fault.Kinds(), func(k fault.Kind) bool { return Impossible(k, namespaces) != "" })
}
