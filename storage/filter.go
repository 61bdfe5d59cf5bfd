package storage

import (
	"bytes"
	"slices"

	"github.com/ringcask/ringcask/storage/internal/run"
)

// dropsMax bounds the keys that one merge drops where an observer has to be told of each: what is over it goes the next time.
const dropsMax = 1 << 18

type droppedKey struct {
	key, meta []byte
	seq       uint64
}

// drops says whether a record has expired or is filtered out.
func (m *merge) drops(rec *run.Record) bool {
	o := &m.e.opts
	if rec.Flags != 0 || o.Observer != nil && len(m.dropped) >= dropsMax {
		return false
	}
	m.outside = true
	drops := m.e.expired(rec.Meta) || o.Filter != nil && o.Filter(rec.Key, rec.Meta)
	m.outside = false
	return drops
}

// drop leaves a tombstone of a record, or nothing where nothing older is left.
func (m *merge) drop(rec *run.Record) error {
	m.e.dropped.Add(1)
	if m.e.opts.Observer != nil {
		m.dropped = append(m.dropped, droppedKey{bytes.Clone(rec.Key), append([]byte{}, rec.Meta...), rec.Seq})
	}
	return m.addTombstone(rec.Key, rec.Seq)
}

// install makes the run part of the store. The observer is told of what was dropped, unless it was written anew meanwhile.
func (m *merge) install() {
	e := m.e
	e.telling.Lock()
	defer e.telling.Unlock()
	e.index.install(m.plan.runs, m.out)
	runs := e.index.runs()
	younger := runs[:slices.Index(runs, m.out)]
	var told []Change
	for i := range m.dropped {
		d := &m.dropped[i]
		if en, ok := e.index.get(d.key); ok && en.Seq != d.seq {
			continue
		}
		// What cannot be read is Unknown, and was not dropped either.
		if known, err := e.settled(younger, d.key, func(run.Record) {}); known || err != nil {
			continue
		}
		told = append(told, Change{Key: d.key, OldMeta: d.meta})
		e.index.forget(d.key, d.seq)
	}
	if len(told) > 0 {
		e.opts.Observer(told)
	}
}
