package node

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ringcask/ringcask/hintedhandoff"
)

// registerMetrics adds what the coordinator counts, and the process, to what the HTTP face shows; docs/metrics.md describes each.
func (n *Node) registerMetrics(r *prometheus.Registry) error {
	var errs []error
	add := func(c prometheus.Collector) { errs = append(errs, r.Register(c)) }
	add(collectors.NewGoCollector())
	add(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := n.metrics
	for _, c := range []struct {
		name, help string
		value      *atomic.Int64
	}{
		{"forwards_total", "Writes sent to a replica to coordinate.", &m.Forwards},
		{"forward_retries_total", "Writes sent to a further replica after one had refused without effect.", &m.ForwardRetries},
		{"early_refusals_total", "Keys not written because too few replicas were reachable.", &m.EarlyRefusals},
		{"quorum_failures_total", "Keys and ranges for which too few replicas answered.", &m.QuorumFailures},
		{"voided_acks_total", "Acknowledgements of replicas that had lost what they acknowledged.", &m.VoidedAcks},
		{"stand_ins_total", "Keys sent to another node because a replica could not be had.", &m.StandIns},
		{"hedges_total", "Spare replicas asked because others were slow.", &m.Hedges},
		{"repairs_total", "Keys stored on stale replicas before a read returned.", &m.Repairs},
		{"background_repairs_total", "Keys repaired in the background.", &m.BackgroundRepairs},
		{"background_repairs_dropped_total", "Keys not repaired because the queue was full.", &m.RepairsDropped},
		{"background_repairs_failed_total", "Keys that could not be repaired in the background.", &m.RepairsFailed},
		{"range_replans_total", "Replicas replaced in the middle of a range.", &m.RangeReplans},
	} {
		add(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "ringcask", Subsystem: "coordinator", Name: c.name, Help: c.help,
		}, func() float64 { return float64(c.value.Load()) }))
	}
	add(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "ringcask", Subsystem: "replica", Name: "unknown_answers_total",
		Help: "Keys answered with \"unknown\" because their records could not be read.",
	}, func() float64 { return float64(n.replica.UnknownAnswers()) }))
	add(newHandoffCollector(func() hintedhandoff.Stats { return n.handoff.store.Stats() }))
	return errors.Join(errs...)
}
