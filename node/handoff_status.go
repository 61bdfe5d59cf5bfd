package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/hintedhandoff"
	"github.com/ringcask/ringcask/internal/wire"
)

func (h *handoff) status() wire.HintStatus {
	st := h.store.Stats()
	return wire.HintStatus{
		Count: int64(st.Hints), Bytes: st.Bytes, BytesMax: st.BytesMax, Oldest: unixMillis(st.Oldest), ReadOnly: st.Engine.ReadOnly,
		Targets: hintTargets(st.Targets),
	}
}

func hintTargets(stats []hintedhandoff.TargetStats) []wire.HintTarget {
	targets := make([]wire.HintTarget, len(stats))
	for i, t := range stats {
		targets[i] = wire.HintTarget{
			Node: string(t.Target), Count: int64(t.Hints), Counted: int64(t.Counted), Bytes: t.Bytes, Oldest: unixMillis(t.Oldest),
			State: t.State.String(), Refused: int64(t.Poisoned), LastError: t.LastError, Needs: int64(t.Needs),
		}
	}
	return targets
}

// explain adds to a report the hints for its key.
func (h *handoff) explain(r *wire.KeyReport, key []byte) {
	r.Hints = []wire.KeyHint{}
	infos, err := h.store.For(key)
	if err != nil {
		r.HintsError = err.Error()
	}
	for _, i := range infos {
		r.Hints = append(r.Hints, wire.KeyHint{Node: string(i.Target), Since: unixMillis(i.Since), Counted: i.Counted, Bytes: i.Bytes})
	}
}

// unixMillis is in milliseconds since the Unix epoch; zero for the zero time.
func unixMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// handoffCollector turns what the store of hints counts into metrics when it is scraped.
type handoffCollector struct {
	stats                         func() hintedhandoff.Stats
	hints, counted, bytes, oldest *prometheus.Desc
	refused, needs, bytesMax      *prometheus.Desc
	totals                        []handoffTotal
}

type handoffTotal struct {
	desc  *prometheus.Desc
	value func(*hintedhandoff.Totals) int64
}

func newHandoffCollector(stats func() hintedhandoff.Stats) *handoffCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ringcask_hints"+name, help, labels, nil)
	}
	const target = "target"
	c := &handoffCollector{
		stats:    stats,
		hints:    desc("", "Hints kept for the node.", target),
		counted:  desc("_counted", "Those of them that a sloppy write counted as copies.", target),
		bytes:    desc("_bytes", "Bytes of the hints kept for the node.", target),
		oldest:   desc("_oldest_time_seconds", "When the oldest of them was noted, since the Unix epoch.", target),
		refused:  desc("_refused", "Those of them that the node refuses, which are sent again only after a while.", target),
		needs:    desc("_needs", "Partitions that hints for the node were dropped of, until an exchange makes up for them.", target),
		bytesMax: desc("_bytes_max", "The most that hints may take."),
	}
	total := func(name, help string, value func(*hintedhandoff.Totals) int64) {
		c.totals = append(c.totals, handoffTotal{desc(name, help), value})
	}
	total("_added_total", "Hints added, those joined with one that was there among them.",
		func(t *hintedhandoff.Totals) int64 { return t.Added + t.Joined })
	total("_replayed_total", "Hints acknowledged by their targets and removed.", func(t *hintedhandoff.Totals) int64 { return t.Replayed })
	total("_dropped_total", "Hints given up, whose partitions an exchange repairs.", func(t *hintedhandoff.Totals) int64 {
		return t.DroppedFull + t.DroppedOverloaded + t.DroppedFailed + t.DroppedAged + t.DroppedUndeliverable + t.Lost
	})
	total("_copies_refused_total", "Copies for other nodes that were not taken, and so not counted.",
		func(t *hintedhandoff.Totals) int64 { return t.Refused })
	return c
}

// Describe implements prometheus.Collector.
func (c *handoffCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.hints, c.counted, c.bytes, c.oldest, c.refused, c.needs, c.bytesMax} {
		out <- d
	}
	for _, t := range c.totals {
		out <- t.desc
	}
}

// Collect implements prometheus.Collector.
func (c *handoffCollector) Collect(out chan<- prometheus.Metric) {
	st := c.stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.bytesMax, float64(st.BytesMax))
	for _, t := range st.Targets {
		node := string(t.Target)
		gauge(c.hints, float64(t.Hints), node)
		gauge(c.counted, float64(t.Counted), node)
		gauge(c.bytes, float64(t.Bytes), node)
		gauge(c.refused, float64(t.Poisoned), node)
		gauge(c.needs, float64(t.Needs), node)
		if !t.Oldest.IsZero() {
			gauge(c.oldest, float64(t.Oldest.UnixMilli())/1e3, node)
		}
	}
	for _, t := range c.totals {
		out <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, float64(t.value(&st.Totals)))
	}
}
