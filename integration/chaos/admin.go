package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ringcask/ringcask/internal/convergence"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

const (
	// adminTimeout bounds one question to a node, and adminBytesMax its answer.
	adminTimeout  = 5 * time.Second
	adminBytesMax = 64 << 20
)

// ask asks a node over HTTP how it is, and decodes its answer into report unless that is nil.
func (p *process) ask(ctx context.Context, path string, report any) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http+path, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: p.dial} // whom a connection belongs to changes with each start
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, adminBytesMax))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.200s", answer.Status, body)
	}
	if report == nil {
		return nil
	}
	return json.Unmarshal(body, report)
}

func (p *process) ready(ctx context.Context) error { return p.ask(ctx, "/ready", nil) }

// unwhole is why a node is not whole: it must serve, hold all that it should, and know of nothing that is under-replicated. What it holds
// must have been read and checked after a moment. Nil if it is whole.
func (p *process) unwhole(ctx context.Context, checkedAfter time.Time) error {
	var s wire.Status
	if err := p.ask(ctx, "/status", &s); err != nil {
		return fmt.Errorf("%s: %w", p.id, err)
	}
	r, st := &s.Replication, &s.Storage
	for _, c := range []struct {
		is  bool
		why string
	}{
		{s.State != "serving", "is " + s.State},
		{st.ReadOnly != "" || st.DiskFull, "cannot write"},
		{r.Unfilled > 0, fmt.Sprintf("has %d partitions that are not filled", r.Unfilled)},
		{r.WithoutTree > 0, fmt.Sprintf("has %d partitions without a tree", r.WithoutTree)},
		{r.Poisoned > 0 || r.Mending || r.Healing > 0, fmt.Sprintf("cannot read everything: %d places were found, %d keys are to be healed", st.Damage, r.Healing)},
		{r.UnderReplicatedSince > 0, "says that something is under-replicated: " + r.UnderReplicatedWhy},
		{s.Hints.Count > 0, fmt.Sprintf("has %d hints", s.Hints.Count)},
		{st.ScrubbedAt <= checkedAfter.UnixMilli() && !checkedAfter.IsZero(), "has not checked what it stores"},
	} {
		if c.is {
			return fmt.Errorf("%s %s", p.id, c.why)
		}
	}
	return nil
}

// unwhole is why the cluster is not whole.
func (c *cluster) unwhole(ctx context.Context, checkedAfter time.Time) error {
	for _, p := range c.nodes {
		if err := p.unwhole(ctx, checkedAfter); err != nil {
			return err
		}
	}
	return nil
}

// table is the cluster's partition table, which is the same on all nodes.
func (c *cluster) table() (*ring.Table, error) {
	var members []ring.Member
	for _, p := range c.nodes {
		members = append(members, ring.Member{ID: ring.NodeID(p.id)})
	}
	return ring.Plan(nil, members, ring.Config{Partitions: partitions, Replicas: min(3, len(c.nodes))})
}

// errDiffers says that replicas are not equal.
var errDiffers = errors.New("replicas are not equal")

// unequal is why the replicas of some partition are not known to be equal, by their trees.
func (c *cluster) unequal(ctx context.Context) error {
	table, err := c.table()
	if err != nil {
		return err
	}
	replicas := make([][]string, partitions)
	for p := range replicas {
		for _, id := range table.Replicas(ring.PartitionID(p)) {
			replicas[p] = append(replicas[p], string(id))
		}
	}
	answers := make([]convergence.Answer, len(c.nodes))
	for i, p := range c.nodes {
		report := new(wire.PartitionsReport)
		err := p.ask(ctx, "/admin/partitions?sizes=false", report)
		answers[i] = convergence.Answer{Node: p.id, Report: report, Err: err}
	}
	found := convergence.Compare(replicas, answers)
	for i := range found {
		if !found[i].Converged() {
			lines := convergence.Lines(found, true)
			return fmt.Errorf("%w: %s (and %d more lines)", errDiffers, lines[0], len(lines)-1)
		}
	}
	return nil
}
