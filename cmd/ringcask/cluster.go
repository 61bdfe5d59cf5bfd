package main

import (
	"fmt"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/convergence"
)

// clusterCommand groups what concerns all members.
type clusterCommand struct {
	Verify        verifyCommand        `cmd:"" help:"Compare what the replicas of each partition hold."`
	WaitConverged waitConvergedCommand `cmd:"" help:"Wait until all replicas hold the same and nothing is left to be repaired or delivered."`
}

type verifyCommand struct {
	Wait time.Duration `default:"10s" placeholder:"DURATION" help:"How long to look again at what differs or cannot be compared (default: 10s)."`
	outputFlags
	connection
}

func (*verifyCommand) Help() string {
	return `Asks all members for the Merkle roots of their partitions and compares them. A difference may be a write on its way, and a tree may just be
built: such partitions are looked at again for a while, and each has to be found equal once. Exits with 3, and names what is left, if one was not.

	ringcask cluster verify
	ringcask cluster verify --wait 1m -o json
`
}

func (v *verifyCommand) Run(a *app) error {
	if v.Wait < 0 {
		return usagef("--wait must not be negative")
	}
	c, err := v.open()
	if err != nil {
		return err
	}
	defer c.Close()
	admin := newAdminClient(v.Timeout)
	defer admin.close()
	s := &survey{topology: c.Topology, admin: admin}
	line := statusLine{w: a.stderr, terminal: a.stderrTerminal}
	best := make(map[int]convergence.Partition)
	_, err = s.until(a.ctx, v.Wait, func(now []convergence.Partition) bool {
		for _, p := range now {
			if best[p.Partition].State != convergence.Equal {
				best[p.Partition] = p
			}
		}
		sum := convergence.Sum(inOrder(best))
		line.set("%d of %s equal", sum.Equal, plural(sum.Partitions, "partition", "partitions"))
		return sum.Equal == sum.Partitions
	})
	line.clear()
	if err != nil {
		return err
	}
	return v.print(a, s, inOrder(best))
}

func inOrder(best map[int]convergence.Partition) []convergence.Partition {
	all := make([]convergence.Partition, len(best))
	for p := range all {
		all[p] = best[p]
	}
	return all
}

// print writes what was found. The error says that something is left.
func (v *verifyCommand) print(a *app, s *survey, found []convergence.Partition) error {
	sum := convergence.Sum(found)
	if v.json() {
		for i := range found {
			if found[i].State != convergence.Equal {
				if err := partitionObject(&found[i]).writeTo(a.stdout); err != nil {
					return err
				}
			}
		}
		var o object
		if err := o.add("equal", sum.Equal == sum.Partitions).add("summary", sum).add("paused", s.pausedOrNone()).writeTo(a.stdout); err != nil {
			return err
		}
	} else {
		for _, text := range convergence.Lines(found, false) {
			fmt.Fprintln(a.stdout, text)
		}
		if note := s.pausedNote(); note != "" {
			fmt.Fprintln(a.stdout, note)
		}
	}
	if sum.Equal < sum.Partitions {
		return fmt.Errorf("of %s %d differ, %d cannot be compared", plural(sum.Partitions, "partition", "partitions"), sum.Differ, sum.Unknown)
	}
	if v.json() {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "%s equal on all replicas, with %s\n",
		plural(sum.Partitions, "partition is", "partitions are"), plural(int(sum.Keys), "key", "keys"))
	return err
}

func (s *survey) pausedOrNone() []string { return append([]string{}, s.paused...) }

func partitionObject(p *convergence.Partition) *object {
	var o object
	o.add("partition", p.Partition).add("state", p.State).add("reasons", append([]string{}, p.Reasons...))
	return o.add("needs", append([]string{}, p.Needs...)).add("replicas", p.Replicas)
}

type waitConvergedCommand struct {
	Timeout time.Duration `default:"60s" placeholder:"DURATION" help:"How long to wait at most (default: 60s)."`
	outputFlags
	addresses
}

func (*waitConvergedCommand) Help() string {
	return `Returns once all members say of all their partitions, at the same time, that these are complete and have the same Merkle root, and that nothing is
known to need repair; and that no hints are left that one keeps for another. As all members have to answer for that, those that hints are kept
for are there to take them. Exits with 3, and says what is left, if that is not so when the time is over.

	ringcask cluster wait-converged
	ringcask cluster wait-converged --timeout 10m -o json
`
}

// waitRequestMax bounds one request while waiting.
const waitRequestMax = 5 * time.Second

func (w *waitConvergedCommand) Run(a *app) error {
	limit := min(w.Timeout, waitRequestMax)
	c, err := w.dialFor(len(w.Addr) == 1, limit)
	if err != nil {
		return err
	}
	defer c.Close()
	return w.wait(a, c, limit)
}

func (w *waitConvergedCommand) wait(a *app, c *client.Client, limit time.Duration) error {
	admin := newAdminClient(limit)
	defer admin.close()
	s := &survey{topology: c.Topology, admin: admin}
	line := statusLine{w: a.stderr, terminal: a.stderrTerminal}
	began := time.Now()
	last, err := s.until(a.ctx, w.Timeout, func(now []convergence.Partition) bool {
		left := leftOf(now)
		line.set("%d of %s to converge", len(left), plural(len(now), "partition", "partitions"))
		return len(left)+len(s.undelivered) == 0
	})
	line.clear()
	if err != nil {
		return err
	}
	return w.print(a, s, last, time.Since(began))
}

// leftOf are the partitions that have not converged.
func leftOf(all []convergence.Partition) (left []convergence.Partition) {
	for i := range all {
		if !all[i].Converged() {
			left = append(left, all[i])
		}
	}
	return left
}

func (w *waitConvergedCommand) print(a *app, s *survey, last []convergence.Partition, took time.Duration) error {
	left := leftOf(last)
	if w.json() {
		for i := range left {
			if err := partitionObject(&left[i]).writeTo(a.stdout); err != nil {
				return err
			}
		}
		var o object
		o.add("converged", len(left)+len(s.undelivered) == 0).add("seconds", roundTo(took.Seconds(), 1000))
		o.add("summary", convergence.Sum(last)).add("hints", append([]string{}, s.undelivered...))
		if err := o.add("paused", s.pausedOrNone()).writeTo(a.stdout); err != nil {
			return err
		}
	} else {
		for _, text := range append(convergence.Lines(left, true), s.undelivered...) {
			fmt.Fprintln(a.stdout, text)
		}
		if note := s.pausedNote(); note != "" {
			fmt.Fprintln(a.stdout, note)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("%d of %s have not converged after %v", len(left), plural(len(last), "partition", "partitions"), took.Round(time.Second/10))
	}
	if len(s.undelivered) > 0 {
		return fmt.Errorf("hints are left after %v", took.Round(time.Second/10))
	}
	if w.json() {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "converged: %s equal on all replicas, and no hints are left\n", plural(len(last), "partition is", "partitions are"))
	return err
}
