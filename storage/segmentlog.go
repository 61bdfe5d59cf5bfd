package storage

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// segmentLog is the segments by age. The committer adds and the merger removes; readers take no lock.
type segmentLog struct {
	mu    sync.Mutex // held by who replaces the table
	table atomic.Pointer[segmentTable]
}

type segmentTable struct {
	byID    map[uint32]*segment
	ordered []*segment
}

func newSegmentLog() *segmentLog {
	l := &segmentLog{}
	l.table.Store(&segmentTable{byID: map[uint32]*segment{}})
	return l
}

func (l *segmentLog) add(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.table.Load()
	now := &segmentTable{byID: maps.Clone(old.byID), ordered: append(slices.Clone(old.ordered), s)}
	now.byID[uint32(s.id)] = s
	l.table.Store(now)
}

// remove takes segments out.
func (l *segmentLog) remove(gone []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.table.Load()
	now := &segmentTable{byID: maps.Clone(old.byID)}
	for _, s := range old.ordered {
		if slices.Contains(gone, s) {
			delete(now.byID, uint32(s.id))
		} else {
			now.ordered = append(now.ordered, s)
		}
	}
	l.table.Store(now)
}

func (l *segmentLog) segment(id uint32) *segment { return l.table.Load().segment(id) }

func (t *segmentTable) segment(id uint32) *segment { return t.byID[id] }

// all returns the segments, oldest first. The slice is shared: it must not be changed.
func (l *segmentLog) all() []*segment { return l.table.Load().ordered }

// last is the youngest segment, or nil.
func (l *segmentLog) last() *segment {
	all := l.all()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// active is the segment that takes appends, or nil if the next write makes one.
func (l *segmentLog) active() *segment {
	if s := l.last(); s != nil && !s.sealed.Load() {
		return s
	}
	return nil
}
