package storage

import (
	"bytes"
	"errors"
	"syscall"

	"github.com/ringcask/ringcask/storage/vfs"
)

// A place of a segment that the disk cannot read must not keep the log from being merged for good. Where it fails at the
// beginning of a merge and again at its end, the record is lost, and its key Unknown; but not where much fails: then it is
// the disk that is not there.
const (
	failedReadsMax = 64
	// failedReadsShare is how many records must have been read for each that was not.
	failedReadsShare = 4
	// runFailuresMax is how many merges a run may fail that cannot be read, before it is left out of them until the next Open.
	runFailuresMax = 3
)

// failedRead is a record that could not be read.
type failedRead struct {
	en  entry // its key is its own
	err error
}

// leave leaves a record out that could not be read, for now, and says whether it may.
func (m *merge) leave(en *entry, err error) bool {
	if len(m.failed) >= failedReadsMax || !saysDisk(err) {
		return false
	}
	lost := *en
	lost.key, lost.meta = bytes.Clone(en.key), nil
	m.failed = append(m.failed, failedRead{lost, err})
	return true
}

// saysDisk says whether it is the disk that cannot read.
func saysDisk(err error) bool {
	var fault *vfs.FaultError
	return errors.Is(err, syscall.EIO) || errors.As(err, &fault)
}

// readAgain reads again what could not be read. If any of it can be now, or if much cannot, the merge has failed, and another may not.
func (m *merge) readAgain() error {
	if len(m.failed) > 0 && m.read < failedReadsShare*len(m.failed) {
		return m.failed[0].err
	}
	for i := range m.failed {
		f := &m.failed[i]
		if _, err := m.e.readFrameIn(m.segments, &f.en, m.buf); err == nil || isCorrupt(err) {
			return f.err
		}
	}
	return nil
}

// noteFailed notes what is lost with the segments.
func (m *merge) noteFailed() {
	for i := range m.failed {
		en := &m.failed[i].en
		m.e.note(Damage{
			Segment: SegmentID(en.Segment), Offset: int64(en.Offset), Length: int64(en.Length), Reason: m.failed[i].err.Error(),
			KeysKnown: true, Keys: [][]byte{en.key}, KeyCount: 1,
		})
	}
}

// runFailed is the error of a run that cannot be read. When it has failed too often, what is younger is merged without it.
func (m *merge) runFailed(r *runFile, err error) error {
	r.failures.Add(1)
	return m.e.runFailed(r, err)
}
