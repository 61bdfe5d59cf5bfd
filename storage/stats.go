package storage

// Stats is a snapshot of an engine's counters. Those marked (total) count since Open.
type Stats struct {
	// Keys are present, the unreadable ones among them.
	Keys int64
	// LiveBytes is the size of the newest record of every present key, DeadBytes all else in the log: superseded records,
	// tombstones, headers, marks and damage. DiskBytes adds the hint files and the zeros filled ahead.
	LiveBytes, DeadBytes, DiskBytes int64
	// Segments are the files of the log, the active one among them.
	Segments int
	// LastSeq is the sequence number of the last record in the log, zero if it never had one. If nothing follows damage, it
	// is as great as it can have been.
	LastSeq uint64
	// Records, Groups and Syncs (total) were written: records a group and groups a sync say how well commits are grouped.
	Records, Groups, Syncs int64
	// BytesWritten (total) went to the log, BytesZeroed (total) were zeros ahead of it.
	BytesWritten, BytesZeroed int64
	// Reads (total) are records read and checked.
	Reads int64
	// QueueLen and QueueBytes wait for the writer now.
	QueueLen   int
	QueueBytes int64
	// Damage is the number of unreadable places known: those that Open found and those found since.
	Damage int64
	// UnknownAll says that every key whose newest record is older than damage that could not be attributed to keys is
	// Unknown, and so is every absent key: see Recovery.Damage.
	UnknownAll bool
	// ReadOnly is why the engine takes no writes; empty if it does.
	ReadOnly string
}
