package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/ring"
)

type ringCommand struct {
	Key string `arg:"" optional:"" help:"Show where this key lives."`
	keyFlags
	outputFlags
	connection
}

func (*ringCommand) Help() string {
	return `Without a key: the members, and of how many partitions each is the primary and a replica. With a key: its partition, and its
preference list: the nodes that hold it, primary first, then those that stand in for one that is away.

	ringcask ring
	ringcask ring debian/bookworm/0ad
`
}

func (r *ringCommand) Run(a *app) error {
	var key []byte
	if r.Key != "" {
		var err error
		if key, err = r.key(r.Key); err != nil {
			return err
		}
	}
	c, err := r.open()
	if err != nil {
		return err
	}
	defer c.Close()
	topology, err := c.Topology(a.ctx)
	if err != nil {
		return err
	}
	if key != nil {
		return r.printKey(a, topology, key)
	}
	return r.printTable(a, topology)
}

// memberCounts are a member's shares of the table.
type memberCounts struct {
	client.TopologyMember
	Primaries int `json:"primaries"`
	Replicas  int `json:"replicas"`
}

func (r *ringCommand) printTable(a *app, t *client.Topology) error {
	counts := make([]memberCounts, len(t.Members))
	for i, m := range t.Members {
		counts[i].TopologyMember = m
	}
	for _, row := range t.Table {
		for place, member := range row {
			counts[member].Replicas++
			if place == 0 {
				counts[member].Primaries++
			}
		}
	}
	if r.json() {
		var o object
		o.add("version", t.Version).add("fingerprint", t.Fingerprint).add("partitions", t.Partitions).add("replicas", t.Replicas)
		o.add("r", t.R).add("w", t.W).add("members", counts)
		return o.writeTo(a.stdout)
	}
	fmt.Fprintf(a.stdout, "table %s, version %d: %d partitions, N=%d, R=%d, W=%d\n",
		t.Fingerprint, t.Version, t.Partitions, t.Replicas, t.R, t.W)
	table := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBER\tZONE\tPRIMARIES\tREPLICAS\tHTTP\tRPC\tPEERS")
	for _, m := range counts {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", m.ID, m.Zone, m.Primaries, m.Replicas, m.HTTP, m.RPC, m.Peer)
	}
	return table.Flush()
}

func (r *ringCommand) printKey(a *app, t *client.Topology, key []byte) error {
	partition := ring.PartitionOf(key, t.Partitions)
	var replicas []string
	for _, member := range t.Table[partition] {
		replicas = append(replicas, t.Members[member].ID)
	}
	fallbacks := fallbacksOf(t, partition)
	if r.json() {
		var o object
		o.bytes("key", key).add("partition", partition).add("replicas", replicas)
		if fallbacks != nil {
			o.add("fallbacks", fallbacks)
		}
		return o.writeTo(a.stdout)
	}
	_, err := fmt.Fprintf(a.stdout, "key %s is in partition %d of %d\nreplicas, primary first: %s\n",
		brief(key), partition, t.Partitions, strings.Join(replicas, ", "))
	if err == nil && len(fallbacks) > 0 {
		_, err = fmt.Fprintf(a.stdout, "then, in this order: %s\n", strings.Join(fallbacks, ", "))
	}
	return err
}

// fallbacksOf are the members that stand in for a replica that is away, in order. A topology has the replicas only:
// the whole list comes from planning the same table again. It is nil if that gives another one, as it may for a
// cluster that has grown.
func fallbacksOf(t *client.Topology, partition ring.PartitionID) []string {
	members := make([]ring.Member, len(t.Members))
	for i, m := range t.Members {
		members[i] = ring.Member{ID: ring.NodeID(m.ID), Zone: m.Zone}
	}
	table, err := ring.Plan(nil, members, ring.Config{Partitions: t.Partitions, Replicas: t.Replicas})
	if err != nil || table.Fingerprint().String() != t.Fingerprint {
		return nil
	}
	fallbacks := []string{}
	for _, id := range table.Preference(partition)[t.Replicas:] {
		fallbacks = append(fallbacks, string(id))
	}
	return fallbacks
}
