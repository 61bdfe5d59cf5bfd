package httpgw

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/internal/gateway"
)

// op is what a request does, as metrics name it.
type op string

const (
	opGet    op = "get"
	opPut    op = "put"
	opDelete op = "delete"
	opBatch  op = "batch"
	opRange  op = "range"
	opOther  op = "other"
)

// codeOK stands for no error.
const codeOK = "ok"

// metrics are those of this face.
type metrics struct {
	seconds     *prometheus.HistogramVec
	connections prometheus.Gauge
	refused     prometheus.Counter
}

// newMetrics registers the metrics of this face and the collector of the node's status.
func newMetrics(
	registry prometheus.Registerer, inspector gateway.Inspector, admission *gateway.Admission, now func() time.Time,
) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringcask_http_request_seconds",
			Help: "Time from a request's headers to the end of its answer, by operation and by code of the outcome.",
			// From what memory answers to what the default timeout ends.
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"op", "code"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringcask_http_connections", Help: "Open HTTP connections.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringcask_http_connections_refused_total", Help: "HTTP connections closed at once because there were too many.",
		}),
	}
	for _, c := range []prometheus.Collector{m.seconds, m.connections, m.refused, newStatusCollector(inspector, admission, now)} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(op op, code string, took time.Duration) {
	m.seconds.WithLabelValues(string(op), code).Observe(took.Seconds())
}
