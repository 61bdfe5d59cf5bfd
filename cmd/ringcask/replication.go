package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// printReplication prints a table of how far the nodes' partitions are from being held alike by all of their replicas. Nodes without peers
// have nothing to say of it.
func printReplication(w io.Writer, answers []answer, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	rows := 0
	for _, answer := range answers {
		if answer.err != nil || len(answer.status.Replication.Peers) == 0 {
			continue
		}
		if rows++; rows == 1 {
			fmt.Fprintln(table, "\nNODE\tPARTITIONS\tUNFILLED\tNO TREE\tUNREADABLE\tNEED REPAIR\tNEVER EXCHANGED\tOLDEST EXCHANGE\tLATEST\tUNDER-REPLICATED")
		}
		r := &answer.status.Replication
		x := exchangesOf(r)
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", answer.status.Node, r.Partitions, r.Unfilled, r.WithoutTree, r.Poisoned,
			x.Needs, x.Never, age(x.OldestComplete, now), age(x.NewestComplete, now), age(r.UnderReplicatedSince, now))
	}
	return table.Flush()
}

// exchangesOf is a node's exchanges with all peers together.
func exchangesOf(r *wire.ReplicationStatus) (sum wire.ExchangeStatus) {
	for _, p := range r.Peers {
		sum.Needs += p.Needs
		sum.Never += p.Never
		if p.OldestComplete != 0 && (sum.OldestComplete == 0 || p.OldestComplete < sum.OldestComplete) {
			sum.OldestComplete = p.OldestComplete
		}
		sum.NewestComplete = max(sum.NewestComplete, p.NewestComplete)
	}
	return sum
}

// age is how long ago a time in milliseconds since the epoch was; "-" for never.
func age(at int64, now time.Time) string {
	if at == 0 {
		return "-"
	}
	return max(now.Sub(time.UnixMilli(at)), 0).Round(time.Second).String()
}

// replicationComplaints are what keeps a node's partitions from being alike, and what an operator has turned off.
func replicationComplaints(r *wire.ReplicationStatus, now time.Time) (complaints []string) {
	if r.UnderReplicatedSince != 0 {
		complaints = append(complaints, fmt.Sprintf("a write of %s ago or later may not be on all of its replicas: %s",
			age(r.UnderReplicatedSince, now), r.UnderReplicatedWhy))
	}
	if r.Healing > 0 {
		complaints = append(complaints, plural(int(r.Healing), "key", "keys")+" cannot be read, and will be fetched from other replicas")
	}
	if r.Paused {
		complaints = append(complaints, "exchanges are paused")
	}
	return complaints
}
