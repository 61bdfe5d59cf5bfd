package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/ringcask/ringcask/hintedhandoff"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
)

// The file hints-end says how far the log of hints reached when it was last closed: nothing in a log says that its end is missing.
// The layout is in docs/format/hints.md.
const (
	hintsEndMagic  = "RCHE"
	hintsEndFormat = 1
	hintsEndBytes  = len(hintsEndMagic) + 1 + 8 + 4
)

var errHintsEnd = errors.New("node: file hints-end is damaged, or of a later version")

func appendHintsEnd(dst []byte, lastSeq uint64) []byte {
	at := len(dst)
	dst = append(append(dst, hintsEndMagic...), hintsEndFormat)
	dst = binary.BigEndian.AppendUint64(dst, lastSeq)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], crc32.MakeTable(crc32.Castagnoli)))
}

func decodeHintsEnd(data []byte) (lastSeq uint64, err error) {
	if len(data) != hintsEndBytes {
		return 0, errHintsEnd
	}
	lastSeq = binary.BigEndian.Uint64(data[len(hintsEndMagic)+1:])
	if !bytes.Equal(data, appendHintsEnd(nil, lastSeq)) {
		return 0, errHintsEnd
	}
	return lastSeq, nil
}

func (n *Node) hintsEndPath() string { return filepath.Join(n.cfg.Dir, "hints-end") }

// openHints opens the store of hints. One whose log has lost its end is opened all the same: a node begins by exchanging all that it
// shares with others, which brings them what uncounted hints held, and of a copy that was counted the coordinating replica has another.
func (n *Node) openHints(o hintedhandoff.Options) (*hintedhandoff.Store, error) {
	dir := filepath.Join(n.cfg.Dir, "hints")
	data, err := vfs.ReadFile(n.opt.FS, n.hintsEndPath(), int64(hintsEndBytes))
	if err == nil {
		o.Storage.KnownSeq, err = decodeHintsEnd(data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.Warn("it is not known whether hints are missing", "reason", err)
	}
	store, err := hintedhandoff.Open(dir, o)
	var missing *storage.MissingError
	if !errors.As(err, &missing) {
		return store, err
	}
	n.log.Error("hints for other nodes are lost", "reason", err)
	if err := n.writeHintsEnd(missing.LastSeq); err != nil {
		return nil, err
	}
	o.Storage.KnownSeq = missing.LastSeq
	return hintedhandoff.Open(dir, o)
}

func (n *Node) writeHintsEnd(lastSeq uint64) error {
	if err := vfs.WriteFileAtomic(n.opt.FS, n.hintsEndPath(), appendHintsEnd(nil, lastSeq)); err != nil {
		return fmt.Errorf("node: write hints-end: %w", err)
	}
	return nil
}
