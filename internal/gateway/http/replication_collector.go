package httpgw

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/internal/wire"
)

// replicationDescs are the metrics of how far the node's partitions are from being held alike by all of their replicas.
type replicationDescs struct {
	partitions, unfilled, withoutTree, poisoned *prometheus.Desc
	mending                                     *prometheus.Desc
	healing, healed, paused, underReplicated    *prometheus.Desc
	needs, never, oldestComplete                *prometheus.Desc
	exchanges, exchangesFailed, complete        *prometheus.Desc
	keysFetched, keysPushed                     *prometheus.Desc
	bytesSent, bytesReceived                    *prometheus.Desc
	stable, retired, filled                     *prometheus.Desc
}

func newReplicationDescs(desc func(name, help string, labels ...string) *prometheus.Desc) *replicationDescs {
	return &replicationDescs{
		partitions:      desc("replication_partitions", "Partitions that the node holds."),
		unfilled:        desc("replication_partitions_unfilled", "Partitions that do not have all again that they should."),
		withoutTree:     desc("replication_partitions_without_tree", "Partitions that cannot be compared yet, because their tree is being built."),
		poisoned:        desc("replication_partitions_poisoned", "Partitions with something that cannot be read."),
		mending:         desc("replication_mending", "1 if damage was found that is not made up for yet, else 0."),
		healing:         desc("replication_healing_keys", "Keys that cannot be read here and wait to be fetched from other replicas."),
		healed:          desc("replication_healed_keys_total", "Keys that could not be read and were fetched from other replicas."),
		paused:          desc("replication_exchange_paused", "1 if no exchanges are begun, else 0."),
		underReplicated: desc("replication_oldest_under_replicated_seconds", "Age of the oldest write that is known not to have reached all of its replicas; 0 if there is none."),

		needs:          desc("replication_partitions_needing_repair", "Partitions that are known to need repair with the member.", "member"),
		never:          desc("replication_partitions_never_exchanged", "Partitions not exchanged completely with the member since the start.", "member"),
		oldestComplete: desc("replication_oldest_exchange_seconds", "Time since the oldest of the last complete exchanges with the member; missing if there was none.", "member"),

		exchanges:       desc("replication_exchanges_total", "Exchanges that this node began and that have ended."),
		exchangesFailed: desc("replication_exchanges_failed_total", "Exchanges that ended with an error."),
		complete:        desc("replication_exchanged_partitions_total", "Partitions that an exchange found equal with another replica, or made so."),
		keysFetched:     desc("replication_keys_fetched_total", "Keys that exchanges fetched."),
		keysPushed:      desc("replication_keys_pushed_total", "Keys that exchanges stored on other replicas."),
		bytesSent:       desc("replication_exchange_sent_bytes_total", "Bytes that this node's exchanges sent."),
		bytesReceived:   desc("replication_exchange_received_bytes_total", "Bytes that this node's exchanges received."),
		stable:          desc("replication_stable_announcements_total", "Times that this node found that all replicas of a partition hold its events."),
		retired:         desc("replication_retired_actors_total", "Actors that were retired from a partition, by this node."),
		filled:          desc("replication_partitions_filled_total", "Partitions that were filled."),
	}
}

func (d *replicationDescs) describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		d.partitions, d.unfilled, d.withoutTree, d.poisoned, d.mending, d.healing, d.healed, d.paused, d.underReplicated,
		d.needs, d.never, d.oldestComplete, d.exchanges, d.exchangesFailed, d.complete, d.keysFetched, d.keysPushed,
		d.bytesSent, d.bytesReceived, d.stable, d.retired, d.filled,
	} {
		ch <- desc
	}
}

func (d *replicationDescs) collect(
	gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, int64), s *wire.ReplicationStatus, now time.Time,
) {
	gauge(d.partitions, float64(s.Partitions))
	gauge(d.unfilled, float64(s.Unfilled))
	gauge(d.withoutTree, float64(s.WithoutTree))
	gauge(d.poisoned, float64(s.Poisoned))
	gauge(d.mending, oneIf(s.Mending))
	gauge(d.healing, float64(s.Healing))
	gauge(d.paused, oneIf(s.Paused))
	gauge(d.underReplicated, secondsSince(s.UnderReplicatedSince, now))
	for i := range s.Peers {
		p := &s.Peers[i]
		gauge(d.needs, float64(p.Needs), p.ID)
		gauge(d.never, float64(p.Never), p.ID)
		if p.OldestComplete != 0 {
			gauge(d.oldestComplete, secondsSince(p.OldestComplete, now), p.ID)
		}
	}
	counter(d.healed, s.Healed)
	counter(d.exchanges, s.Exchanges)
	counter(d.exchangesFailed, s.ExchangesFailed)
	counter(d.complete, s.Complete)
	counter(d.keysFetched, s.KeysFetched)
	counter(d.keysPushed, s.KeysPushed)
	counter(d.bytesSent, s.BytesSent)
	counter(d.bytesReceived, s.BytesReceived)
	counter(d.stable, s.Stable)
	counter(d.retired, s.Retired)
	counter(d.filled, s.Filled)
}

// secondsSince is the age of a time in milliseconds since the epoch; zero for never.
func secondsSince(at int64, now time.Time) float64 {
	if at == 0 {
		return 0
	}
	return max(now.Sub(time.UnixMilli(at)), 0).Seconds()
}
