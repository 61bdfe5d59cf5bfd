package httpgw

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
)

// statusCollector turns the node's status into metrics when it is scraped: numbers that are kept anyhow are not kept
// twice.
type statusCollector struct {
	inspector gateway.Inspector
	admission *gateway.Admission
	now       func() time.Time

	info, ready, started, offset             *prometheus.Desc
	reachable, rtt, memberOffset             *prometheus.Desc
	primaries, replicas                      *prometheus.Desc
	liveness, slow                           *prometheus.Desc
	keys, segments, disk, live, dead         *prometheus.Desc
	readOnly, damage                         *prometheus.Desc
	diskFull, diskFree, index, mapped        *prometheus.Desc
	runs, runBytes, openFiles                *prometheus.Desc
	merges, mergeBytes, dropped              *prometheus.Desc
	mergeDebt, mergeRunning, mergeFailed     *prometheus.Desc
	heldWrites, heldTime                     *prometheus.Desc
	cache, cacheHits, cacheMisses            *prometheus.Desc
	scrubbed, scrubBytes                     *prometheus.Desc
	inFlight, inFlightBytes, total, refusals *prometheus.Desc

	replication *replicationDescs
}

func newStatusCollector(inspector gateway.Inspector, admission *gateway.Admission, now func() time.Time) *statusCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ringcask_"+name, help, labels, nil)
	}
	return &statusCollector{
		inspector: inspector,
		admission: admission,
		now:       now,

		info:    desc("info", "Always 1; the labels say what runs.", "node", "version"),
		ready:   desc("ready", "1 if the node serves requests, else 0."),
		started: desc("start_time_seconds", "When the node started, in seconds since the Unix epoch."),
		offset:  desc("clock_offset_seconds", "This node's physical clock less the median of its peers'."),

		reachable:    desc("member_reachable", "1 if the member can be reached from this node, else 0.", "member"),
		rtt:          desc("member_rtt_seconds", "Round trip to the member, smoothed.", "member"),
		memberOffset: desc("member_clock_offset_seconds", "The member's physical clock less this node's.", "member"),
		liveness:     desc("members", "Members of the cluster, this node among them, by what the gossip says of them.", "liveness"),
		slow:         desc("member_slow", "1 if others are asked first because the member answers late, else 0.", "member"),
		primaries:    desc("member_primaries", "Partitions that the member is the primary of.", "member"),
		replicas:     desc("member_replicas", "Partitions that the member holds.", "member"),

		keys:     desc("storage_keys", "Keys in the index, tombstones among them."),
		segments: desc("storage_segments", "Segments of the log."),
		disk:     desc("storage_disk_bytes", "Bytes of the data directory."),
		live:     desc("storage_live_bytes", "Bytes of records that are current."),
		dead:     desc("storage_dead_bytes", "Bytes of records that were superseded."),
		readOnly: desc("storage_read_only", "1 if the engine takes no writes, else 0."),
		damage:   desc("storage_damage", "Unreadable places found and not healed."),

		diskFull:     desc("storage_disk_full", "1 if writes are refused because the disk is full, else 0."),
		diskFree:     desc("storage_disk_free_bytes", "Bytes that the file system has free."),
		index:        desc("storage_index_bytes", "Memory that the index takes."),
		mapped:       desc("storage_mapped_bytes", "Bytes of files that are mapped into memory."),
		openFiles:    desc("storage_open_files", "Segments and merged files that are open."),
		runs:         desc("storage_runs", "Files that merges have made."),
		runBytes:     desc("storage_run_bytes", "Bytes of the files that merges have made."),
		merges:       desc("storage_merges_total", "Merges that were completed."),
		mergeBytes:   desc("storage_merge_bytes_total", "Bytes that merges have written."),
		dropped:      desc("storage_merge_dropped_total", "Records that merges left out because they had expired or were filtered out."),
		mergeDebt:    desc("storage_merge_debt_bytes", "Most that the merge which is due has yet to write."),
		heldWrites:   desc("storage_merge_held_writes_total", "Writes that have waited for a merge."),
		heldTime:     desc("storage_merge_held_seconds_total", "Time for which there were writes that waited for a merge."),
		mergeRunning: desc("storage_merge_running", "1 if a merge is under way, else 0."),
		mergeFailed:  desc("storage_merge_failed", "1 if the last merge in the background failed, else 0."),
		cache:        desc("storage_cache_bytes", "Memory that the cache of blocks takes."),
		cacheHits:    desc("storage_cache_hits_total", "Blocks found in the cache."),
		cacheMisses:  desc("storage_cache_misses_total", "Blocks not found in the cache."),
		scrubbed:     desc("storage_scrubbed_time_seconds", "When everything stored was last read and checked, in seconds since the Unix epoch; 0 if never."),
		scrubBytes:   desc("storage_scrub_bytes_total", "Bytes that were read and checked in the background."),

		inFlight:      desc("requests_in_flight", "Client requests under way, over all faces of the node."),
		inFlightBytes: desc("requests_in_flight_bytes", "Bytes that client requests under way hold."),
		total:         desc("requests_total", "Client requests that asked for admission."),
		refusals:      desc("requests_refused_total", "Client requests refused because there was too much under way."),

		replication: newReplicationDescs(desc),
	}
}

// Describe names all that Collect collects.
func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.info, c.ready, c.started, c.offset, c.reachable, c.rtt, c.memberOffset, c.primaries, c.replicas, c.liveness, c.slow,
		c.keys, c.segments, c.disk, c.live, c.dead, c.readOnly, c.damage, c.inFlight, c.inFlightBytes, c.total, c.refusals,
		c.diskFull, c.diskFree, c.index, c.mapped, c.openFiles, c.runs, c.runBytes, c.merges, c.mergeBytes, c.dropped, c.mergeDebt,
		c.mergeRunning, c.mergeFailed, c.heldWrites, c.heldTime, c.cache, c.cacheHits, c.cacheMisses, c.scrubbed, c.scrubBytes,
	} {
		ch <- d
	}
	c.replication.describe(ch)
}

// Collect asks the node for its status once.
func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
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
		gauge(c.slow, oneIf(m.Slow), m.ID)
		gauge(c.memberOffset, m.ClockOffsetMillis/1e3, m.ID)
		gauge(c.primaries, float64(m.Primaries), m.ID)
		gauge(c.replicas, float64(m.Replicas), m.ID)
	}
	for _, state := range []string{"alive", "suspect", "dead", "unseen"} {
		n := 0
		for i := range s.Members {
			if s.Members[i].Liveness == state {
				n++
			}
		}
		gauge(c.liveness, float64(n), state)
	}
	c.collectStorage(gauge, &s.Storage)
	c.collectMerges(gauge, counter, &s.Storage)
	ch <- prometheus.MustNewConstMetric(c.heldTime, prometheus.CounterValue, float64(s.Storage.MergeHeldMicros)/1e6)
	c.replication.collect(gauge, counter, &s.Replication, c.now())
	r := c.admission.Status()
	gauge(c.inFlight, float64(r.InFlight))
	gauge(c.inFlightBytes, float64(r.InFlightBytes))
	counter(c.total, r.Total)
	counter(c.refusals, r.Refused)
}

func (c *statusCollector) collectStorage(gauge func(*prometheus.Desc, float64, ...string), s *wire.StorageStatus) {
	gauge(c.keys, float64(s.Keys))
	gauge(c.segments, float64(s.Segments))
	gauge(c.disk, float64(s.DiskBytes))
	gauge(c.live, float64(s.LiveBytes))
	gauge(c.dead, float64(s.DeadBytes))
	gauge(c.readOnly, oneIf(s.ReadOnly != ""))
	gauge(c.damage, float64(s.Damage))
	gauge(c.diskFull, oneIf(s.DiskFull))
	if s.DiskFree >= 0 {
		gauge(c.diskFree, float64(s.DiskFree))
	}
	gauge(c.index, float64(s.IndexBytes))
	gauge(c.mapped, float64(s.MappedBytes))
	gauge(c.openFiles, float64(s.OpenFiles))
	gauge(c.runs, float64(s.Runs))
	gauge(c.runBytes, float64(s.RunBytes))
	gauge(c.cache, float64(s.CacheBytes))
	gauge(c.scrubbed, float64(s.ScrubbedAt)/1e3)
}

// collectMerges collects the work in the background.
func (c *statusCollector) collectMerges(gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, int64), s *wire.StorageStatus) {
	gauge(c.mergeDebt, float64(s.MergeDebtBytes))
	gauge(c.mergeRunning, oneIf(s.MergeRunning))
	gauge(c.mergeFailed, oneIf(s.MergeError != ""))
	counter(c.merges, s.Merges)
	counter(c.mergeBytes, s.MergeBytes)
	counter(c.dropped, s.MergeDropped)
	counter(c.heldWrites, s.MergeHeldWrites)
	counter(c.cacheHits, s.CacheHits)
	counter(c.cacheMisses, s.CacheMisses)
	counter(c.scrubBytes, s.ScrubBytes)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
