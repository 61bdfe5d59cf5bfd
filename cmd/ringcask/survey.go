package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/convergence"
	"github.com/ringcask/ringcask/internal/wire"
)

// surveyInterval is the time between two looks at all partitions.
const surveyInterval = 500 * time.Millisecond

// survey looks at all partitions on all members.
type survey struct {
	topology func(context.Context) (*client.Topology, error)
	admin    *adminClient
	known    *client.Topology
	// paused are the members that said that their exchanges are paused.
	paused []string
	// undelivered is what the members said that they keep for others.
	undelivered []string
}

// look compares what the members say now. Their addresses are asked for each time: a node that was started anew has just become known. An
// error means that no topology could be had at all.
func (s *survey) look(ctx context.Context) ([]convergence.Partition, error) {
	topology, err := s.topology(ctx)
	switch {
	case err == nil:
		s.known = topology
	case s.known == nil || ctx.Err() != nil:
		return nil, err
	}
	answers := make([]convergence.Answer, len(s.known.Members))
	s.paused = nil
	for i, t := range fetchAll[wire.PartitionsReport](ctx, s.admin, s.known.Members, "/admin/partitions?sizes=false") {
		answers[i] = convergence.Answer{Node: t.member.ID, Report: t.report, Err: t.err}
		if t.report != nil && t.report.Paused {
			s.paused = append(s.paused, t.member.ID)
		}
	}
	s.undelivered = convergence.Undelivered(answers)
	return convergence.Compare(replicaNames(s.known), answers), context.Cause(ctx)
}

func replicaNames(t *client.Topology) [][]string {
	table := make([][]string, len(t.Table))
	for p, row := range t.Table {
		for _, member := range row {
			table[p] = append(table[p], t.Members[member].ID)
		}
	}
	return table
}

// until looks again and again until done says so of a look, or the time is over. It returns the last look.
func (s *survey) until(
	ctx context.Context, limit time.Duration, done func([]convergence.Partition) bool,
) (last []convergence.Partition, err error) {
	over := time.NewTimer(limit)
	defer over.Stop()
	tick := time.NewTicker(surveyInterval)
	defer tick.Stop()
	for {
		if last, err = s.look(ctx); err != nil || done(last) {
			return last, err
		}
		select {
		case <-tick.C:
		case <-over.C:
			return last, nil
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
	}
}

// pausedNote says who does not exchange anything, empty if all do.
func (s *survey) pausedNote() string {
	if len(s.paused) == 0 {
		return ""
	}
	return "exchanges are paused on " + strings.Join(s.paused, ", ")
}

// statusLine is a line on a terminal that changes. It shows nothing where there is none.
type statusLine struct {
	w        io.Writer
	terminal bool
	shown    bool
}

func (l *statusLine) set(format string, args ...any) {
	if l.terminal {
		l.shown = true
		fmt.Fprintf(l.w, "\r\x1b[K"+format, args...)
	}
}

func (l *statusLine) clear() {
	if l.shown {
		l.shown = false
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}
