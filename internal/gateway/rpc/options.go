package rpc

import (
	"errors"
	"log/slog"
	"time"

	"github.com/ringcask/ringcask/internal/gateway"
)

// Options are the settings of a Server. Fields without a default are required; otherwise the zero value is the default.
type Options struct {
	Store     gateway.Store
	Clock     gateway.Clock
	Inspector gateway.Inspector
	Admission *gateway.Admission
	// Logger takes what is wrong with the port and, at debug level, why connections ended; nil discards it.
	Logger *slog.Logger
	// Now is the wall clock that times to live are counted from, and expiry and the deadlines of requests are judged by; nil is time.Now.
	Now func() time.Time

	// Timeout is for requests that name none (zero is 2 s); TimeoutMax is the most that one may ask for (zero is 60 s).
	Timeout, TimeoutMax time.Duration
	// DrainTimeout is how long requests under way may take to end when the server stops. Zero is 5 s.
	DrainTimeout time.Duration

	// ConnectionsMax bounds the connections; one too many is closed at once. Zero is 10,000.
	ConnectionsMax int
	// MessageBytesMax bounds a request and an answer. Zero is 64 MiB.
	MessageBytesMax int
	// SendBytesMax bounds the answers that wait on one connection to be read; past it the connection is closed. Zero is
	// twice MessageBytesMax.
	SendBytesMax int
	// ReceiveBytesMax bounds what all connections together hold of large messages that have not arrived whole. Zero is 256 MiB.
	ReceiveBytesMax int64
	// RangeBytesMax bounds a page of a range and is counted against the admitted bytes of one. Zero is 1 MiB.
	RangeBytesMax int
	// IdleTimeout closes a connection that has sent nothing for so long (zero is 10 min); MessageTimeout one whose message does not
	// arrive in full (zero is 30 s); WriteTimeout one that does not read its answers (zero is 10 s).
	IdleTimeout, MessageTimeout, WriteTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	orDefault(&o.Timeout, 2*time.Second)
	orDefault(&o.TimeoutMax, 60*time.Second)
	orDefault(&o.DrainTimeout, 5*time.Second)
	orDefault(&o.ConnectionsMax, 10_000)
	orDefault(&o.MessageBytesMax, 64<<20)
	orDefault(&o.SendBytesMax, 2*o.MessageBytesMax)
	orDefault(&o.ReceiveBytesMax, 256<<20)
	orDefault(&o.RangeBytesMax, 1<<20)
	orDefault(&o.IdleTimeout, 10*time.Minute)
	orDefault(&o.MessageTimeout, 30*time.Second)
	orDefault(&o.WriteTimeout, 10*time.Second)
	return o
}

func orDefault[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (o *Options) validate() error {
	if o.Store == nil || o.Clock == nil || o.Inspector == nil || o.Admission == nil {
		return errors.New("rpc: store, clock, inspector and admission are required")
	}
	if min(o.Timeout, o.TimeoutMax, o.DrainTimeout, o.IdleTimeout, o.MessageTimeout, o.WriteTimeout) < 0 ||
		min(o.ConnectionsMax, o.MessageBytesMax, o.SendBytesMax, o.RangeBytesMax) < 1 || o.ReceiveBytesMax < 1 {
		return errors.New("rpc: limits and timeouts must be positive")
	}
	return nil
}
