package causal

import "time"

// Actor names one unbroken memory that issues dots: 48 random bits, drawn anew whenever a replica may have forgotten
// something it issued. Zero is no actor.
type Actor uint64

// Timestamp is a hybrid logical clock reading: the upper 48 bits are milliseconds since the Unix epoch, the lower 16
// are logic. Zero is before everything.
type Timestamp uint64

// Dot names one event: the write that Actor issued at Time. An actor never issues the same time twice.
type Dot struct {
	Actor Actor
	Time  Timestamp
}

// Entry is one line of a vector: every event of Actor on this key up to and including Time has been seen.
type Entry = Dot

// Vector is a version vector: at most one entry for each actor, sorted by actor, no zero times.
// The zero Vector has seen nothing. Vectors are values: functions never change one that they were handed.
type Vector []Entry

// Sibling is one of the values that a key has at once.
type Sibling struct {
	Dot       Dot
	Tombstone bool
	// ExpiresAt is when the value ceases to be visible, in milliseconds since the Unix epoch; zero is never.
	ExpiresAt int64
	// Value is empty for a tombstone. It aliases whatever buffer it was decoded from.
	Value []byte
}

// Object is what a replica holds for a key: what has been seen and the values that nothing seen has superseded.
// Siblings are sorted by dot (actor, then time). The zero Object is a key that nothing was ever written to.
type Object struct {
	Vector   Vector
	Siblings []Sibling
}

// Visible says whether the sibling is a value at the given wall time: neither a tombstone nor expired.
func (s Sibling) Visible(now time.Time) bool {
	return !s.Tombstone && (s.ExpiresAt == 0 || now.UnixMilli() < s.ExpiresAt)
}
