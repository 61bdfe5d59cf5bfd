package vfstest

import "fmt"

// Op is a kind of operation. Kinds can be combined in a Fault.
type Op uint32

// The kinds. Those up to OpLink change something: they are what CrashAfter counts.
const (
	OpCreate Op = 1 << iota
	OpWrite
	OpSync
	OpTruncate
	OpRename
	OpRemove
	OpSyncDir
	OpMkdir
	OpLink
	OpLock
	OpOpen
	OpRead
	OpList
	OpStat
	OpFree
)

// OpChange is every kind that changes something.
const OpChange = OpCreate | OpWrite | OpSync | OpTruncate | OpRename | OpRemove | OpSyncDir | OpMkdir | OpLink

var opNames = map[Op]string{
	OpCreate: "create", OpWrite: "write", OpSync: "sync", OpTruncate: "truncate", OpRename: "rename",
	OpRemove: "remove", OpSyncDir: "syncdir", OpMkdir: "mkdir", OpLink: "link", OpLock: "lock", OpOpen: "open",
	OpRead: "read", OpList: "list", OpStat: "stat", OpFree: "free",
}

func (o Op) String() string { return opNames[o] }

// Event is one operation.
type Event struct {
	Op   Op
	Path string
	// To is the new name of a rename or link.
	To string
	// Offset is where was read or written, or the size after a truncation. Bytes is how much.
	Offset int64
	Bytes  int
}

// String is the operation with its path, as golden lists have it: no offsets and sizes, except of a truncation.
func (e Event) String() string {
	switch e.Op {
	case OpRename, OpLink:
		return fmt.Sprintf("%s %s %s", e.Op, e.Path, e.To)
	case OpTruncate:
		return fmt.Sprintf("truncate %s %d", e.Path, e.Offset)
	}
	return fmt.Sprintf("%s %s", e.Op, e.Path)
}

// Events returns the operations of the given kinds that were let through, in order, since the last ResetEvents.
func (m *FS) Events(kinds Op) []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Event
	for _, e := range m.events {
		if e.Op&kinds != 0 {
			out = append(out, e)
		}
	}
	return out
}

// ResetEvents forgets the operations so far.
func (m *FS) ResetEvents() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = nil
}
