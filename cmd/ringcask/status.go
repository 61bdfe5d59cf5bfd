package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/bytesize"
)

type statusCommand struct {
	outputFlags
	connection
}

func (*statusCommand) Help() string {
	return `With one address all members that its node knows are asked, so that one sees at a glance who does not answer; with several
addresses, those. Exits with 3 if one did not answer.

	ringcask status
	ringcask status -o json
`
}

// stateServing is the state of a node that takes requests.
const stateServing = "serving"

// answer is what asking one node came to.
type answer struct {
	name, addr string
	status     *client.Status
	err        error
}

func (s *statusCommand) Run(a *app) error {
	c, err := s.dial(true)
	if err != nil {
		return err
	}
	defer c.Close()
	answers, err := s.nodes(a.ctx, c)
	if err != nil {
		return err
	}
	var asking sync.WaitGroup
	for i := range answers {
		asking.Go(func() { answers[i].status, answers[i].err = s.ask(a.ctx, answers[i].addr) })
	}
	asking.Wait()
	print := printStatus
	if s.json() {
		print = printStatusJSON
	}
	if err := print(a.stdout, answers); err != nil {
		return err
	}
	silent := 0
	for _, answer := range answers {
		if answer.err != nil {
			silent++
		}
	}
	if silent > 0 {
		return fmt.Errorf("%d of %s did not answer", silent, plural(len(answers), "node", "nodes"))
	}
	return nil
}

// nodes are whom to ask.
func (s *statusCommand) nodes(ctx context.Context, c *client.Client) ([]answer, error) {
	var nodes []answer
	if len(s.Addr) > 1 {
		for _, addr := range s.Addr {
			nodes = append(nodes, answer{name: addr, addr: addr})
		}
		return nodes, nil
	}
	topology, err := c.Topology(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range topology.Members {
		nodes = append(nodes, answer{name: m.ID, addr: m.RPC})
	}
	return nodes, nil
}

// ask asks one node, once.
func (s *statusCommand) ask(ctx context.Context, addr string) (*client.Status, error) {
	if addr == "" {
		return nil, errNotMet
	}
	c, err := client.New(client.Options{Addrs: []string{addr}, Direct: true, Timeout: s.Timeout, RetriesMax: -1})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Status(ctx, addr)
}

func printStatusJSON(w io.Writer, answers []answer) error {
	for _, answer := range answers {
		var o object
		o.add("addr", answer.addr)
		if answer.err != nil {
			o.add("node", answer.name).add("error", describe(answer.err))
		} else {
			o.add("node", answer.status.Node).add("status", answer.status)
		}
		if err := o.writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

// printStatus prints a table of the nodes and then what each says against another.
func printStatus(w io.Writer, answers []answer) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tADDRESS\tSTATE\tUP\tKEYS\tDISK\tREQUESTS\tIN FLIGHT\tREFUSED\tCLOCK\tREACHES")
	for _, answer := range answers {
		s := answer.status
		if answer.err != nil {
			fmt.Fprintf(table, "%s\t%s\tno answer\t\t\t\t\t\t\t\t\n", answer.name, answer.addr)
			continue
		}
		reached := 0
		for _, m := range s.Members {
			if m.Reachable {
				reached++
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%s\t%s\t%s\t%s\t%s\t%+.1f ms\t%d/%d\n", s.Node, answer.addr, stateWord(s.State),
			time.Since(s.StartedAt).Round(time.Second), thousands(s.Storage.Keys),
			bytesize.Approximate(float64(s.Storage.DiskBytes)), thousands(s.Requests.Total), thousands(s.Requests.InFlight),
			thousands(s.Requests.Refused), s.ClockOffsetMillis, reached, len(s.Members))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printReplication(w, answers, time.Now()); err != nil {
		return err
	}
	for _, answer := range answers {
		if err := printComplaints(w, answer); err != nil {
			return err
		}
	}
	return nil
}

// stateWord is a node's state in a word or two: why it does not serve can be a long story.
func stateWord(state string) string {
	switch word, _, _ := strings.Cut(state, ":"); word {
	case stateServing, "starting", "draining":
		return word
	}
	return "not serving"
}

// printComplaints prints what is wrong with a node, and what it finds wrong with others.
func printComplaints(w io.Writer, answer answer) error {
	if answer.err != nil {
		_, err := fmt.Fprintf(w, "%s: %v\n", answer.name, answer.err)
		return err
	}
	s := answer.status
	if s.State != stateServing {
		fmt.Fprintf(w, "%s: does not serve: %s\n", s.Node, s.State)
	}
	if s.Storage.ReadOnly != "" {
		fmt.Fprintf(w, "%s: read-only: %s\n", s.Node, s.Storage.ReadOnly)
	}
	if s.Hints.ReadOnly != "" {
		fmt.Fprintf(w, "%s: keeps no hints for others: %s\n", s.Node, s.Hints.ReadOnly)
	}
	if s.Storage.Damage > 0 {
		fmt.Fprintf(w, "%s: %s in its data\n", s.Node, plural(int(s.Storage.Damage), "unreadable place", "unreadable places"))
	}
	for _, complaint := range replicationComplaints(&s.Replication, time.Now()) {
		fmt.Fprintf(w, "%s: %s\n", s.Node, complaint)
	}
	for _, m := range s.Members {
		if complaint := complaintOf(m); complaint != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", s.Node, complaint); err != nil {
				return err
			}
		}
	}
	return nil
}

// complaintOf is what a node finds wrong with another one; empty if nothing.
func complaintOf(m client.MemberStatus) string {
	since := time.UnixMilli(m.LivenessSince).UTC().Format(time.RFC3339)
	switch {
	case !m.Reachable && m.Liveness != "":
		return fmt.Sprintf("cannot reach %s: %s (%s since %s)", m.ID, m.Reason, m.Liveness, since)
	case !m.Reachable:
		return fmt.Sprintf("cannot reach %s: %s", m.ID, m.Reason)
	case m.Slow:
		return fmt.Sprintf("finds %s slow, and asks others first", m.ID)
	case m.Liveness == "suspect", m.Liveness == "dead", m.Liveness == "unseen":
		return fmt.Sprintf("reaches %s, which the gossip holds for %s since %s: does its gossip port answer?", m.ID, m.Liveness, since)
	}
	return ""
}
