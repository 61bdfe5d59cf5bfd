package vfstest

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// ErrCrashed is what every operation returns once the power has failed.
var ErrCrashed = errors.New("vfstest: the power has failed")

// Fault is something that goes wrong with certain operations.
type Fault struct {
	// Ops are the kinds that it strikes.
	Ops Op
	// Path, unless empty, must be a part of the operation's path.
	Path string
	// From and To, unless To is zero, are the part of the file that the operation must touch.
	From, To int64
	// Skip lets that many matching operations through first.
	Skip int
	// Times is how many operations are struck after that; zero is all.
	Times int
	// Chance, unless nil, says of each operation that would be struck whether it is. It must not use the FS.
	Chance func() bool
	// Delay is how long an operation takes that is struck.
	Delay time.Duration
	// Err is what they return. Nil lets them through, after Delay and Block.
	Err error
	// Short makes a failing write leave the first half of its bytes.
	Short bool
	// Block, unless nil, holds the operation back until it is closed.
	Block <-chan struct{}
	// Struck, unless nil, gets a token for each operation struck, if it has room for it.
	Struck chan<- struct{}

	seen int
}

// Inject adds a fault and returns a function that takes it away again. Of several that match, the first added strikes.
func (m *FS) Inject(f Fault) (remove func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, &f)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.faults = slices.DeleteFunc(m.faults, func(g *Fault) bool { return g == &f })
	}
}

// CrashAfter makes the power fail after n more changes (OpChange). A write that finds it failing is torn like any
// unsynced one.
func (m *FS) CrashAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashAfter = m.changes + n
}

// Changes is the number of changes (OpChange) so far: the points at which CrashAfter can strike.
func (m *FS) Changes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

// Crashed says whether the power has failed.
func (m *FS) Crashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}

// begin records an operation and returns the error that it is to fail with. One that is held back is recorded when it is let go.
func (m *FS) begin(e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		return ErrCrashed
	}
	if e.Op&OpChange != 0 {
		if m.changes == m.crashAfter {
			m.crashed = true
			m.cutMappingsLocked()
			m.events = append(m.events, e)
			return ErrCrashed
		}
		m.changes++
	}
	if f := m.strikingLocked(e); f != nil {
		m.mu.Unlock()
		err := f.strike(e)
		m.mu.Lock()
		if err != nil {
			return err
		}
		if m.crashed {
			return ErrCrashed
		}
	}
	m.events = append(m.events, e)
	return nil
}

func (m *FS) strikingLocked(e Event) *Fault {
	for _, f := range m.faults {
		if f.Ops&e.Op == 0 || !strings.Contains(e.Path, f.Path) || f.To > 0 && (e.Offset >= f.To || e.Offset+int64(e.Bytes) <= f.From) {
			continue
		}
		f.seen++
		if f.seen > f.Skip && (f.Times == 0 || f.seen <= f.Skip+f.Times) && (f.Chance == nil || f.Chance()) {
			return f
		}
	}
	return nil
}

func (f *Fault) strike(e Event) error {
	if f.Struck != nil {
		select {
		case f.Struck <- struct{}{}:
		default:
		}
	}
	time.Sleep(f.Delay)
	if f.Block != nil {
		<-f.Block
	}
	if f.Err == nil {
		return nil
	}
	err := pathError(e.Op.String(), e.Path, f.Err)
	if f.Short && e.Op == OpWrite {
		return &shortWrite{err}
	}
	return err
}

// firstCrashLocked says whether e is the very operation that found the power failing.
func (m *FS) firstCrashLocked(e Event) bool {
	return m.crashed && len(m.events) > 0 && m.events[len(m.events)-1] == e
}

// shortWrite marks an error of a write that has left half of its bytes.
type shortWrite struct{ err error }

func (s *shortWrite) Error() string { return s.err.Error() }

func asShort(err error, target **shortWrite) bool { return errors.As(err, target) }
