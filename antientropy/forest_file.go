package antientropy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs"
)

// LogMark is a state of a log: what a file of trees belongs to.
type LogMark struct {
	// LastSeq is the number of the last record: Stats.LastSeq of the storage engine, after Close when saving and after Open when loading.
	LastSeq uint64
	// ID tells the log from others that are as long; such as the id of the run that wrote its last record.
	ID [16]byte
}

// ErrTreesIgnored is wrapped by the error that says why a file of trees was not used: it is damaged, or is about another state of the
// log, another partition count or another HashScheme. It is gone then, and the trees must be built.
var ErrTreesIgnored = errors.New("antientropy: file of trees is of no use")

func ignored(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTreesIgnored, fmt.Sprintf(format, args...))
}

// The layout is in docs/format/trees.md; integers are big-endian.
const (
	treesMagic  = "RCTR"
	treesFormat = 2

	treesHeadBytes = len(treesMagic) + 1 + 1 + 8 + 16 + 4 + 4
	treeHeadBytes  = 4 + 4*8 + 8 + 4 // without the vector
	leavesBytes    = LeafCount * 8
	checksumBytes  = 4
	// vectorBytesMax is more than the longest vector that causal.DecodeVector takes.
	vectorBytesMax = 16 + 14*causal.ContextEntriesMax
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save writes the trees that stand to the file at path, durably and as a whole, for a Load in the next run. Those that are poisoned in part
// are left out: they are to be built. No change may be observed any longer. After an error there may be the old file, or none, or the new one.
func (f *Forest) Save(fsys vfs.FS, path string, mark LogMark) error {
	if err := vfs.WriteFileAtomic(fsys, path, f.appendTrees(nil, mark)); err != nil {
		return fmt.Errorf("antientropy: write trees: %w", err)
	}
	return nil
}

// Load has the trees stand that Save wrote to the file at path, if they are about the log as it is, and says how many. It must be called
// before the first change is observed; a partition that a change was observed in gets no tree.
//
// The file is removed, durably, whatever is in it, since the next change makes it wrong. An error that wraps ErrTreesIgnored says why no tree
// stands; after any other one the file may still be there, and nothing should be written to the log.
func (f *Forest) Load(fsys vfs.FS, path string, mark LogMark) (trees int, err error) {
	data, err := vfs.ReadFile(fsys, path, int64(treesHeadBytes+checksumBytes+len(f.partitions)*(treeHeadBytes+vectorBytesMax+leavesBytes)))
	missing := errors.Is(err, fs.ErrNotExist)
	if !missing {
		if err := fsys.Remove(path); err != nil {
			return 0, fmt.Errorf("antientropy: remove trees: %w", err)
		}
	}
	// Also where it is missing: who removed it may not have come to this.
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return 0, fmt.Errorf("antientropy: remove trees: %w", err)
	}
	if missing {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrTreesIgnored, err)
	}
	loaded, err := decodeTrees(data, len(f.partitions), mark)
	if err != nil {
		return 0, err
	}
	return f.plant(loaded), nil
}

// plant has trees stand where none does and no change was missed.
func (f *Forest) plant(loaded map[ring.PartitionID]*tree) (trees int) {
	for id, t := range loaded {
		p := &f.partitions[id]
		f.mu.Lock()
		if p.standing == nil && !p.observed {
			p.standing = t
			trees++
		}
		f.mu.Unlock()
	}
	return trees
}

func (f *Forest) appendTrees(dst []byte, mark LogMark) []byte {
	at := len(dst)
	dst = append(append(dst, treesMagic...), treesFormat, HashScheme)
	dst = binary.BigEndian.AppendUint64(dst, mark.LastSeq)
	dst = append(dst, mark.ID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.partitions)))
	count := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	trees := uint32(0)
	for id := range f.partitions {
		p := &f.partitions[id]
		f.mu.Lock()
		if p.sound() {
			dst = appendTree(dst, uint32(id), p.standing)
			trees++
		}
		f.mu.Unlock()
	}
	binary.BigEndian.PutUint32(dst[count:], trees)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// sound says whether a tree stands that is all that there is to know about the partition.
func (p *partition) sound() bool {
	t := p.standing
	return t != nil && len(p.poisoned) == 0 && t.spoiled == leafSet{} && !t.incomplete
}

func appendTree(dst []byte, id uint32, t *tree) []byte {
	dst = binary.BigEndian.AppendUint32(dst, id)
	for _, n := range [...]int64{t.keys, t.tombstones, t.expiring, t.settled, t.rule.Expired} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	at := len(dst)
	dst = causal.AppendVector(binary.BigEndian.AppendUint32(dst, 0), t.rule.Stable)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	for _, leaf := range &t.leaves {
		dst = binary.BigEndian.AppendUint64(dst, leaf)
	}
	return dst
}

// decodeTrees are the trees that appendTrees wrote, of a forest of so many partitions and for that mark. Errors wrap ErrTreesIgnored.
func decodeTrees(data []byte, partitions int, mark LogMark) (map[ring.PartitionID]*tree, error) {
	if len(data) < treesHeadBytes+checksumBytes || string(data[:len(treesMagic)]) != treesMagic {
		return nil, ignored("it does not begin as it must")
	}
	body := data[:len(data)-checksumBytes]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(data[len(body):]) {
		return nil, ignored("wrong checksum")
	}
	r := treesReader{rest: body[len(treesMagic):]}
	if format, scheme := r.take(1)[0], r.take(1)[0]; format != treesFormat || scheme != HashScheme {
		return nil, ignored("format %d with hash scheme %d, this version reads %d with %d", format, scheme, treesFormat, HashScheme)
	}
	wrote := LogMark{LastSeq: r.uint64(), ID: [16]byte(r.take(16))}
	if wrote != mark {
		return nil, ignored("it is about record %d of log %x, and the log is at record %d of %x", wrote.LastSeq, wrote.ID, mark.LastSeq, mark.ID)
	}
	if n := r.uint32(); int64(n) != int64(partitions) {
		return nil, ignored("it is about %d partitions, there are %d", n, partitions)
	}
	trees := make(map[ring.PartitionID]*tree)
	last := int64(-1)
	for n := r.uint32(); n > 0 && !r.bad; n-- {
		id := r.uint32()
		r.bad = r.bad || int64(id) <= last || int64(id) >= int64(partitions)
		last = int64(id)
		trees[ring.PartitionID(id)] = r.tree()
	}
	if r.bad || len(r.rest) > 0 {
		return nil, ignored("its fields make no sense")
	}
	return trees, nil
}

// treesReader takes the file apart. Past the end, and once something was bad, all that it reads is zero.
type treesReader struct {
	rest []byte
	bad  bool
}

func (r *treesReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, min(n, leavesBytes))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *treesReader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *treesReader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// count is a number that is not negative.
func (r *treesReader) count() int64 {
	n := int64(r.uint64())
	r.bad = r.bad || n < 0
	return n
}

// tree reads what appendTree wrote after the partition.
func (r *treesReader) tree() *tree {
	t := newTree(Rule{})
	t.keys, t.tombstones, t.expiring, t.settled, t.rule.Expired = r.count(), r.count(), r.count(), r.count(), r.count()
	var err error
	t.rule.Stable, err = causal.DecodeVector(r.take(int(min(r.uint32(), vectorBytesMax))))
	r.bad = r.bad || err != nil || t.tombstones+t.expiring > t.keys
	leaves := r.take(leavesBytes)
	for i := range t.leaves {
		t.leaves[i] = binary.BigEndian.Uint64(leaves[8*i:])
	}
	return t
}
