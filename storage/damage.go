package storage

import "fmt"

// Damage is a part of the log that cannot be read, and what may have been in it. It is never repaired behind one's
// back: the bytes stay, and every Open finds them again.
type Damage struct {
	Segment SegmentID
	// File is the name of the run that is damaged, which stands for Segment and those before it; empty if it is the segment.
	File string
	// Offset and Length give the place, in bytes. A length of zero is bytes that are missing altogether.
	Offset, Length int64
	Reason         string
	// KeysKnown says that exactly Keys were lost: they are Unknown until they are written again. At most
	// DamageKeysMax are listed; KeyCount says how many there are.
	KeysKnown bool
	Keys      [][]byte
	KeyCount  int
	// FirstSeq and LastSeq bound what was lost when the keys are not known: each key whose newest record is older than
	// LastSeq is Unknown, and so is each absent key, until it is written again. Both are zero if nothing was lost.
	FirstSeq, LastSeq uint64
	// Ranged says that the keys are known by their range: each from FirstKey on and before EndKey (nil: no bound) that has no
	// newer record is Unknown until it is written again.
	Ranged           bool
	FirstKey, EndKey []byte
}

// DamageKeysMax bounds the keys that a Damage lists.
const DamageKeysMax = 1024

func (d Damage) String() string {
	s := fmt.Sprintf("segment %d, %d bytes at offset %d: %s", d.Segment, d.Length, d.Offset, d.Reason)
	if d.File != "" {
		s = fmt.Sprintf("run %s, %d bytes at offset %d: %s", d.File, d.Length, d.Offset, d.Reason)
	}
	switch {
	case d.Ranged:
		return s + fmt.Sprintf("; keys from %.64q to %.64q unknown", d.FirstKey, d.EndKey)
	case d.KeysKnown:
		return s + fmt.Sprintf("; %d keys unknown", d.KeyCount)
	case d.LastSeq != 0:
		return s + fmt.Sprintf("; writes %d to %d lost, keys not known", d.FirstSeq, d.LastSeq)
	}
	return s + "; no record lost"
}

func (d Damage) err() *CorruptError {
	return &CorruptError{Segment: d.Segment, File: d.File, Offset: d.Offset, Reason: d.Reason}
}
