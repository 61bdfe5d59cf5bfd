package httpgw

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
)

// statusCollector turns the node's status into metrics when it is scraped: numbers that are kept anyhow are not kept
// twice.
type statusCollector struct {
	inspector gateway.Inspector
	admission *gateway.Admission

	info, ready, started, offset             *prometheus.Desc
	reachable, rtt, memberOffset             *prometheus.Desc
	primaries, replicas                      *prometheus.Desc
	keys, segments, disk, live, dead         *prometheus.Desc
	readOnly, damage                         *prometheus.Desc
	inFlight, inFlightBytes, total, refusals *prometheus.Desc
}

func newStatusCollector(inspector gateway.Inspector, admission *gateway.Admission) *statusCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ringcask_"+name, help, labels, nil)
	}
	return &statusCollector{
		inspector: inspector,
		admission: admission,

		info:    desc("info", "Always 1; the labels say what runs.", "node", "version"),
		ready:   desc("ready", "1 if the node serves requests, else 0."),
		started: desc("start_time_seconds", "When the node started, in seconds since the Unix epoch."),
		offset:  desc("clock_offset_seconds", "This node's physical clock less the median of its peers'."),

		reachable:    desc("member_reachable", "1 if the member can be reached from this node, else 0.", "member"),
		rtt:          desc("member_rtt_seconds", "Round trip to the member, smoothed.", "member"),
		memberOffset: desc("member_clock_offset_seconds", "The member's physical clock less this node's.", "member"),
		primaries:    desc("member_primaries", "Partitions that the member is the primary of.", "member"),
		replicas:     desc("member_replicas", "Partitions that the member holds.", "member"),

		keys:     desc("storage_keys", "Keys in the index, tombstones among them."),
		segments: desc("storage_segments", "Segments of the log."),
		disk:     desc("storage_disk_bytes", "Bytes of the data directory."),
		live:     desc("storage_live_bytes", "Bytes of records that are current."),
		dead:     desc("storage_dead_bytes", "Bytes of records that were superseded."),
		readOnly: desc("storage_read_only", "1 if the engine takes no writes, else 0."),
		damage:   desc("storage_damage", "Unreadable places found and not healed."),

		inFlight:      desc("requests_in_flight", "Client requests under way, over all faces of the node."),
		inFlightBytes: desc("requests_in_flight_bytes", "Bytes that client requests under way hold."),
		total:         desc("requests_total", "Client requests that asked for admission."),
		refusals:      desc("requests_refused_total", "Client requests refused because there was too much under way."),
	}
}

// Describe names all that Collect collects.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.info, c.ready, c.started, c.offset, c.reachable, c.rtt, c.memberOffset, c.primaries, c.replicas,
		c.keys, c.segments, c.disk, c.live, c.dead, c.readOnly, c.damage, c.inFlight, c.inFlightBytes, c.total, c.refusals,
	} {
		ch <- d
	}
}

// Collect asks the node for its status once.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.inspector.Status()
	gauge(c.info, 1, s.Node, s.Version)
	gauge(c.ready, oneIf(c.inspector.Ready() == nil))
	gauge(c.started, float64(s.StartedAt.UnixMilli())/1e3)
	gauge(c.offset, s.ClockOffsetMillis/1e3)
	for i := range s.Members {
		m := &s.Members[i]
		gauge(c.reachable, oneIf(m.Reachable), m.ID)
		gauge(c.rtt, float64(m.RTTMicros)/1e6, m.ID)
		gauge(c.memberOffset, m.ClockOffsetMillis/1e3, m.ID)
		gauge(c.primaries, float64(m.Primaries), m.ID)
		gauge(c.replicas, float64(m.Replicas), m.ID)
	}
	c.collectStorage(gauge, &s.Storage)
	r := c.admission.Status()
	gauge(c.inFlight, float64(r.InFlight))
	gauge(c.inFlightBytes, float64(r.InFlightBytes))
	ch <- prometheus.MustNewConstMetric(c.total, prometheus.CounterValue, float64(r.Total))
	ch <- prometheus.MustNewConstMetric(c.refusals, prometheus.CounterValue, float64(r.Refused))
}

func (c *statusCollector) collectStorage(gauge func(*prometheus.Desc, float64, ...string), s *wire.StorageStatus) {
	gauge(c.keys, float64(s.Keys))
	gauge(c.segments, float64(s.Segments))
	gauge(c.disk, float64(s.DiskBytes))
	gauge(c.live, float64(s.LiveBytes))
	gauge(c.dead, float64(s.DeadBytes))
	gauge(c.readOnly, oneIf(s.ReadOnly != ""))
	gauge(c.damage, float64(s.Damage))
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
