package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

type explainCommand struct {
	Key string `arg:"" help:"The key."`
	keyFlags
	outputFlags
	connection
}

func (*explainCommand) Help() string {
	return `Shows where a key lives, and for each of its replicas what that one holds, without asking a quorum: versions, deletions, what they have seen and
what is stable, why the record is or is not reclaimed, and the hints of the key that it keeps for others. Members that are no replicas are shown
if they keep hints of it, or do not answer. Exits with 3 if a replica does not answer.

	ringcask explain debian/bookworm/0ad
	ringcask explain cart -o json
`
}

// explanation is what there is to say of a key.
type explanation struct {
	key       []byte
	topology  *client.Topology
	partition ring.PartitionID
	// liveness is what one node's gossip says of the members.
	liveness map[string]string
	replicas []told[wire.KeyReport]
	// others are no replicas; they keep hints, or do not answer.
	others []told[wire.KeyReport]
}

func (e *explainCommand) Run(a *app) error {
	key, err := e.key(e.Key)
	if err != nil {
		return err
	}
	c, err := e.open()
	if err != nil {
		return err
	}
	defer c.Close()
	x := explanation{key: key, liveness: make(map[string]string)}
	if x.topology, err = c.Topology(a.ctx); err != nil {
		return err
	}
	status, err := c.Status(a.ctx, "")
	if err != nil {
		return err
	}
	for _, m := range status.Members {
		x.liveness[m.ID] = m.Liveness
	}
	x.partition = ring.PartitionOf(key, x.topology.Partitions)
	admin := newAdminClient(e.Timeout)
	defer admin.close()
	x.ask(a.ctx, admin)
	print := x.print
	if e.json() {
		print = x.printJSON
	}
	if err := print(a.stdout); err != nil {
		return err
	}
	return x.silent()
}

// ask asks all members: any may keep hints.
func (x *explanation) ask(ctx context.Context, admin *adminClient) {
	replicas := x.topology.Table[x.partition]
	var members []client.TopologyMember
	for _, m := range replicas {
		members = append(members, x.topology.Members[m])
	}
	for i, m := range x.topology.Members {
		if !slices.Contains(replicas, i) {
			members = append(members, m)
		}
	}
	all := fetchAll[wire.KeyReport](ctx, admin, members, "/admin/key/"+url.PathEscape(string(x.key)))
	x.replicas = all[:len(replicas)]
	for _, t := range all[len(replicas):] {
		if t.err != nil || len(t.report.Hints) > 0 || t.report.HintsError != "" {
			x.others = append(x.others, t)
		}
	}
}

// silent is the error that replicas did not answer, nil if all did.
func (x *explanation) silent() error {
	silent := 0
	for _, r := range x.replicas {
		if r.err != nil {
			silent++
		}
	}
	if silent == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s did not answer", silent, plural(len(x.replicas), "replica", "replicas"))
}

// withLiveness are members, each with what the gossip says of it.
func (x *explanation) withLiveness(ids []string) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprintf("%s (%s)", id, x.liveness[id])
	}
	return strings.Join(texts, ", ")
}

func (x *explanation) replicaIDs() (ids []string) {
	for _, r := range x.replicas {
		ids = append(ids, r.member.ID)
	}
	return ids
}

func (x *explanation) print(w io.Writer) error {
	fmt.Fprintf(w, "key %s is in partition %d of %d", brief(x.key), x.partition, x.topology.Partitions)
	for _, r := range x.replicas {
		if r.report != nil {
			fmt.Fprintf(w, ", leaf %d of its tree", r.report.Leaf)
			break
		}
	}
	fmt.Fprintf(w, "\nreplicas, primary first: %s\n", x.withLiveness(x.replicaIDs()))
	if fallbacks := fallbacksOf(x.topology, x.partition); len(fallbacks) > 0 {
		fmt.Fprintf(w, "then, in this order: %s\n", x.withLiveness(fallbacks))
	}
	for _, r := range x.replicas {
		if r.err != nil {
			if _, err := fmt.Fprintf(w, "\n%s does not answer: %v\n", r.member.ID, r.err); err != nil {
				return err
			}
			continue
		}
		if err := printKeyReport(w, r.report); err != nil {
			return err
		}
	}
	for _, r := range x.others {
		if r.err != nil {
			fmt.Fprintf(w, "\n%s is no replica, and does not answer: it may keep hints. %v\n", r.member.ID, r.err)
			continue
		}
		fmt.Fprintf(w, "\n%s is no replica\n", r.member.ID)
		if err := printHints(w, r.report); err != nil {
			return err
		}
	}
	return nil
}

func printKeyReport(w io.Writer, r *wire.KeyReport) error {
	notes := ""
	if !r.Filled {
		notes += ", partition not filled"
	}
	if r.Healing {
		notes += ", waits to be fetched from other replicas"
	}
	fmt.Fprintf(w, "\n%s: %s%s\n", r.Node, r.State, notes)
	for i := range r.Siblings {
		fmt.Fprintf(w, "  %s\n", siblingText(&r.Siblings[i]))
	}
	fmt.Fprintf(w, "  seen: %s\n  stored of that: %s\n  stable: %s\n", listText(r.Seen), listText(r.Stored), listText(r.Stable))
	for i, reason := range r.Reasons {
		label := r.Reclaim + ":"
		if i > 0 {
			label = "and"
		}
		if _, err := fmt.Fprintf(w, "  %s %s\n", label, reason); err != nil {
			return err
		}
	}
	return printHints(w, r)
}

// printHints says what a node keeps of the key for others.
func printHints(w io.Writer, r *wire.KeyReport) error {
	for _, h := range r.Hints {
		note := ""
		if h.Counted {
			note = ", a copy that a sloppy write counted"
		}
		_, err := fmt.Fprintf(w, "  hint for %s: since %s, %s%s\n",
			h.Node, time.UnixMilli(h.Since).UTC().Format(time.RFC3339), plural(int(h.Bytes), "byte", "bytes"), note)
		if err != nil {
			return err
		}
	}
	if r.HintsError == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "  its hints cannot be told: %s\n", r.HintsError)
	return err
}

func siblingText(s *wire.SiblingReport) string {
	text := s.Dot
	switch {
	case s.Tombstone:
		text += ", deleted"
	case s.Expired:
		text += ", expired"
	default:
		text += fmt.Sprintf(", a value of %s", plural(s.ValueBytes, "byte", "bytes"))
	}
	if s.ExpiresAt != 0 {
		text += ", expires " + time.UnixMilli(s.ExpiresAt).UTC().Format(time.RFC3339)
	}
	return text
}

func listText(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// memberLiveness is a member as JSON has it.
type memberLiveness struct {
	ID       string `json:"id"`
	Liveness string `json:"liveness"`
}

func (x *explanation) printJSON(w io.Writer) error {
	var preference []memberLiveness
	for _, id := range append(x.replicaIDs(), fallbacksOf(x.topology, x.partition)...) {
		preference = append(preference, memberLiveness{id, x.liveness[id]})
	}
	var o object
	o.bytes("key", x.key).add("partition", x.partition).add("preference", preference)
	return o.add("replicas", reportLines(x.replicas)).add("others", reportLines(x.others)).writeTo(w)
}

func reportLines(all []told[wire.KeyReport]) []jsonLine {
	lines := make([]jsonLine, len(all))
	for i, r := range all {
		var o object
		if o.add("node", r.member.ID); r.err != nil {
			o.add("error", describe(r.err))
		} else {
			o.add("report", r.report)
		}
		lines[i] = o.end()
	}
	return lines
}
