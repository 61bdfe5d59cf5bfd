package storage

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringcask/ringcask/storage/vfs"
)

// FormatVersion is the newest version of a data directory that this package reads. It writes a directory as version 1 until
// there are runs in it, which make it version 2. What is in the files has versions of its own.
const FormatVersion = 2

// The versions of data directories.
const (
	formatLog  = 1 // segments and their hint files
	formatRuns = 2 // and runs
)

// The names in a data directory that are not segments.
const (
	formatName = "FORMAT"
	lockName   = "LOCK"
)

const (
	formatMagic    = "ringcask storage"
	formatBytesMax = 4 << 10
)

// engineID is drawn when a data directory is made; every file in it carries it or is checksummed with it.
type engineID [16]byte

// encodeFormat is the content of the FORMAT file: four lines that a person can read.
func encodeFormat(id engineID, version uint64) []byte {
	text := fmt.Sprintf("%s\nversion %d\nengine %x\n", formatMagic, version, id[:])
	return fmt.Appendf([]byte(text), "crc32c %08x\n", crc32.Checksum([]byte(text), castagnoli))
}

// decodeFormat reads the FORMAT file. Its errors wrap ErrFormat and say what was found.
func decodeFormat(data []byte) (id engineID, version uint64, err error) {
	body, sum, ok := strings.Cut(string(data), "crc32c ")
	magic, rest, _ := strings.Cut(body, "\n")
	if magic != formatMagic {
		return id, 0, fmt.Errorf("%w: its first line is %.40q, want %q", ErrFormat, magic, formatMagic)
	}
	// The version comes before the checksum: a newer format may lay out the rest in another way.
	if _, err := fmt.Sscanf(rest, "version %d\n", &version); err != nil {
		return id, 0, fmt.Errorf("%w: it has no version", ErrFormat)
	}
	if version < formatLog || version > FormatVersion {
		return id, 0, fmt.Errorf("%w: it is version %d, supported are %d to %d", ErrFormat, version, formatLog, FormatVersion)
	}
	if !ok || sum != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(body), castagnoli)) {
		return id, 0, fmt.Errorf("%w: its checksum is wrong", ErrFormat)
	}
	_, line, _ := strings.Cut(rest, "\n")
	text, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "engine ")
	raw, err := hex.DecodeString(text)
	if !found || err != nil || len(raw) != len(id) {
		return id, 0, fmt.Errorf("%w: it has no engine id", ErrFormat)
	}
	copy(id[:], raw)
	return id, version, nil
}

// checkOurs refuses a directory that has no identity and is not new. A crash may have left what is made before the
// identity: the lock and an unfinished copy. Everything else is somebody's data.
func checkOurs(dir string, names []string) error {
	i := slices.IndexFunc(names, func(name string) bool {
		return name != lockName && name != formatName+vfs.TempSuffix && name != "lost+found"
	})
	if i < 0 || slices.Contains(names, formatName) {
		return nil
	}
	return fmt.Errorf("%s: %w: no %s file, but it is not empty (found %q)", dir, ErrFormat, formatName, names[i])
}

// openIdentity reads the identity of a data directory and the version of its format, or gives an empty one its identity.
// names are the directory's files.
func openIdentity(fsys vfs.FS, dir string, names []string) (id engineID, version uint64, err error) {
	path := filepath.Join(dir, formatName)
	data, err := vfs.ReadFile(fsys, path, formatBytesMax)
	switch {
	case err == nil:
		if id, version, err = decodeFormat(data); err != nil {
			return id, 0, fmt.Errorf("%s: %w", path, err)
		}
		return id, version, nil
	case !errors.Is(err, fs.ErrNotExist):
		return id, 0, &IOError{"read", path, err}
	}
	if err := checkOurs(dir, names); err != nil {
		return id, 0, err
	}
	rand.Read(id[:])
	if err := vfs.WriteFileAtomic(fsys, path, encodeFormat(id, formatLog)); err != nil {
		return id, 0, &IOError{"create", path, err}
	}
	return id, formatLog, nil
}

// raiseFormat has the directory say that there are runs in it: who reads the first version only would not see what they hold.
func (e *Engine) raiseFormat() error {
	if e.formatVersion >= formatRuns {
		return nil
	}
	path := filepath.Join(e.dir, formatName)
	if err := vfs.WriteFileAtomic(e.fs, path, encodeFormat(e.engine, formatRuns)); err != nil {
		return &IOError{"write", path, err}
	}
	e.formatVersion = formatRuns
	return nil
}
