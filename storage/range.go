package storage

import "bytes"

// Range says which records a Scan visits.
type Range struct {
	// Start is inclusive, End exclusive. A nil Start or End is no bound.
	Start, End []byte
	// Reverse visits keys in falling order, from End down to Start.
	Reverse bool
	// KeysOnly leaves Record.Value nil and reads nothing from disk. Record.Seq is set.
	KeysOnly bool
	// Select, unless nil, is asked before a value is read; false skips the record. It must not keep its arguments.
	Select func(key, meta []byte) bool
}

// past says whether a key that the walk has come to lies behind the range.
func (r *Range) past(key []byte) bool {
	if r.Reverse {
		return bytes.Compare(key, r.Start) < 0
	}
	return r.End != nil && bytes.Compare(key, r.End) >= 0
}
