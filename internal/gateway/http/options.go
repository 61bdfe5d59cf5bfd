package httpgw

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/internal/gateway"
)

// Options are the collaborators and bounds of a Gateway. A zero bound is its default.
type Options struct {
	// Store, Clock, Inspector, Admin and Admission are required. Admission is shared with the node's other faces.
	Store     gateway.Store
	Clock     gateway.Clock
	Inspector gateway.Inspector
	Admin     gateway.Admin
	Admission *gateway.Admission
	// Registry takes the metrics of this face and of the node's status, and is what /metrics shows. Nil is one of its
	// own.
	Registry *prometheus.Registry
	// Logger takes what goes wrong in connections; nil discards it.
	Logger *slog.Logger
	// Now is the wall clock that times to live are counted from and expiry is judged by; nil is time.Now.
	Now func() time.Time

	// Timeout is a request's time limit when it names none. Zero is 2 s. TimeoutMax is the most that it may name.
	// Zero is 60 s.
	Timeout, TimeoutMax time.Duration
	// KeyBytesMax and ValueBytesMax bound a key and a value. Zero is 4 KiB and 4 MiB.
	KeyBytesMax, ValueBytesMax int
	// BatchOpsMax and BatchBytesMax bound a batch: its operations, and its keys and values. Zero is 10,000 and 32 MiB.
	BatchOpsMax, BatchBytesMax int
	// RangeItemsMax is the most items in one JSON page, and RangeItems how many there are where limit says nothing.
	// Zero is 10,000 and 1,000. RangeBytesMax ends a JSON page, but for its last item. Zero is 4 MiB.
	RangeItemsMax, RangeItems, RangeBytesMax int
	// StreamBytesMax bounds one page of a streamed range, but for its last item. Zero is 1 MiB.
	StreamBytesMax int

	// HeaderBytesMax bounds a request's line and headers. Zero is 64 KiB.
	HeaderBytesMax int
	// ConnectionsMax bounds the connections; further ones are closed at once. Zero is 10,000.
	ConnectionsMax int
	// IdleTimeout closes a connection that sent no request for so long. Zero is 10 min.
	IdleTimeout time.Duration
	// MessageTimeout bounds how long headers, then a body, take to arrive, and how long a client takes to accept what it
	// is sent: a page of a stream, or an answer. Zero is 30 s.
	MessageTimeout time.Duration
	// DrainTimeout is how long Serve waits for requests under way when it is to end. Zero is 5 s.
	DrainTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	orDefault(&o.Timeout, 2*time.Second)
	orDefault(&o.TimeoutMax, time.Minute)
	orDefault(&o.KeyBytesMax, 4<<10)
	orDefault(&o.ValueBytesMax, 4<<20)
	orDefault(&o.BatchOpsMax, 10_000)
	orDefault(&o.BatchBytesMax, 32<<20)
	orDefault(&o.RangeItemsMax, 10_000)
	orDefault(&o.RangeItems, 1000)
	orDefault(&o.RangeBytesMax, 4<<20)
	orDefault(&o.StreamBytesMax, 1<<20)
	orDefault(&o.HeaderBytesMax, 64<<10)
	orDefault(&o.ConnectionsMax, 10_000)
	orDefault(&o.IdleTimeout, 10*time.Minute)
	orDefault(&o.MessageTimeout, 30*time.Second)
	orDefault(&o.DrainTimeout, 5*time.Second)
	return o
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

func (o Options) validate() error {
	if o.Store == nil || o.Clock == nil || o.Inspector == nil || o.Admin == nil || o.Admission == nil {
		return errors.New("httpgw: Store, Clock, Inspector, Admin and Admission are required")
	}
	if o.Timeout > o.TimeoutMax {
		return errors.New("httpgw: Timeout is more than TimeoutMax")
	}
	return nil
}
