package storage

import (
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

// bucketsSuffix is that of the file in which a merge keeps what it lists by bucket until it is written into the run.
const bucketsSuffix = ".buckets"

// ScanBuckets is Scan for the keys of some buckets, see Options.Bucket: in key order over all of them. A damaged place is reported
// if it may have had one of them. It costs the time of a look at each record in the blocks that have one, and of one at each key that
// was not merged yet: batches of buckets are cheaper than one call for each. Runs that do not list their records by
// Options.BucketScheme are read as a whole, and so are those whose list is damaged, and those of which a quarter of the blocks
// or more are asked for.
//
// Errors are those of Scan, and ErrNoBuckets.
func (e *Engine) ScanBuckets(buckets []uint32, keysOnly bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		switch {
		case e.opts.Bucket == nil:
			yield(Record{}, ErrNoBuckets)
			return
		case len(buckets) == 0:
			return
		}
		s := &scanner{e: e, r: Range{KeysOnly: keysOnly}, yield: yield}
		s.buckets = slices.Compact(slices.Sorted(slices.Values(buckets)))
		s.want = func(key []byte) bool {
			_, ok := slices.BinarySearch(s.buckets, e.opts.Bucket(key))
			return ok
		}
		s.scan(e.index.view)
	}
}

// blocksOf are the blocks of a run that have records of the buckets, nil if it is to be read as a whole.
func (s *scanner) blocksOf(r *runFile) (blocks []uint32) {
	buf := runBuffers.Get().(*run.Buffer)
	defer runBuffers.Put(buf)
	var err error
	fault := vfs.Guard(func() { blocks, _, err = r.reader.BlocksOf(s.e.opts.BucketScheme, s.buckets, buf) })
	var d *run.DamageError
	if errors.As(err, &d) {
		s.e.runDamaged(r, d)
	}
	if fault != nil || err != nil {
		return nil
	}
	return blocks
}

// buckets has the run list its records by bucket, if the engine has buckets.
func (m *merge) buckets() *run.Buckets {
	o := &m.e.opts
	if o.Bucket == nil {
		return nil
	}
	of := func(key []byte) uint32 {
		m.outside = true
		bucket := o.Bucket(key)
		m.outside = false
		return bucket
	}
	return &run.Buckets{Of: of, Scheme: o.BucketScheme, Spill: m.createSpill, Rest: m.rest}
}

func (m *merge) spillPath() string {
	path := runPath(m.e.dir, SegmentID(m.info.First), SegmentID(m.info.Last))
	return strings.TrimSuffix(path, runSuffix) + bucketsSuffix + vfs.TempSuffix
}

func (m *merge) createSpill() (f vfs.File, err error) {
	if m.spill, err = m.e.fs.Create(m.spillPath()); err != nil {
		return nil, err
	}
	return &eagerFile{File: m.spill, rest: m.rest}, nil
}

// removeSpill removes what a merge has spilled, if it has. A crash leaves it to the next Open.
func (m *merge) removeSpill() error {
	if m.spill == nil {
		return nil
	}
	err := m.e.removeFile(m.spillPath())
	if cerr := m.spill.Close(); cerr != nil {
		err = errors.Join(err, &IOError{"close", m.spillPath(), cerr})
	}
	return err
}
