package causal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	logicalBits = 16
	millisMax   = 1<<(64-logicalBits) - 1

	// actorMax is the greatest actor: they have 48 bits.
	actorMax Actor = 1<<48 - 1
)

// TimestampOf is the first timestamp of t's millisecond. Times outside of what 48 bits of milliseconds since the Unix
// epoch can say become the nearest that they can.
func TimestampOf(t time.Time) Timestamp {
	return Timestamp(min(max(t.UnixMilli(), 0), millisMax)) << logicalBits
}

// Millis is the timestamp's physical part in milliseconds since the Unix epoch.
func (t Timestamp) Millis() int64 { return int64(t >> logicalBits) }

// Logical is the part that orders events within one millisecond.
func (t Timestamp) Logical() uint16 { return uint16(t) }

// Time is the timestamp's physical part as a time in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMilli(t.Millis()).UTC() }

func (t Timestamp) String() string {
	return fmt.Sprintf("%s+%d", t.Time().Format("2006-01-02T15:04:05.000Z"), t.Logical())
}

// Final is the last timestamp of t's millisecond. No clock issues such a one: as an actor's entry in a stable vector it says that the
// actor has retired, and that all of its events are in it.
func (t Timestamp) Final() Timestamp { return t | (1<<logicalBits - 1) }

// IsFinal says whether t is the last timestamp of a millisecond.
func (t Timestamp) IsFinal() bool { return t == t.Final() }

// add is the timestamp d later (whole milliseconds), or the greatest there is; a negative d adds nothing.
func (t Timestamp) add(d time.Duration) Timestamp {
	step := TimestampOf(time.UnixMilli(d.Milliseconds()))
	if sum := t + step; sum >= t {
		return sum
	}
	return ^Timestamp(0)
}

// NewActor draws an actor from random, which should be crypto/rand.Reader. The error is random's.
func NewActor(random io.Reader) (Actor, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(random, b[2:]); err != nil {
			return 0, fmt.Errorf("causal: draw an actor: %w", err)
		}
		if a := Actor(binary.BigEndian.Uint64(b[:])); a != 0 {
			return a, nil
		}
	}
}

// Valid says whether a is an actor: not zero, and 48 bits at most.
func (a Actor) Valid() bool { return a != 0 && a <= actorMax }

// String is twelve hexadecimal digits.
func (a Actor) String() string { return fmt.Sprintf("%012x", uint64(a)) }

// Compare orders dots by actor, then by time: -1 if d is before e, 0 if they are equal, +1 if d is after e.
func (d Dot) Compare(e Dot) int {
	if c := cmp.Compare(d.Actor, e.Actor); c != 0 {
		return c
	}
	return cmp.Compare(d.Time, e.Time)
}

func (d Dot) String() string { return d.Actor.String() + "@" + d.Time.String() }

var errDot = errors.New("a dot needs an actor of 48 bits and a time, neither of them zero")

func (d Dot) validate() error {
	if !d.Actor.Valid() || d.Time == 0 {
		return errDot
	}
	return nil
}
