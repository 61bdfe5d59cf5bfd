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

// FormatVersion is the version of the files that this package writes, and the newest that it reads.
const FormatVersion = 1

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
func encodeFormat(id engineID) []byte {
	text := fmt.Sprintf("%s\nversion %d\nengine %x\n", formatMagic, FormatVersion, id[:])
	return fmt.Appendf([]byte(text), "crc32c %08x\n", crc32.Checksum([]byte(text), castagnoli))
}

// decodeFormat reads the FORMAT file. Its errors wrap ErrFormat and say what was found.
func decodeFormat(data []byte) (id engineID, err error) {
	body, sum, ok := strings.Cut(string(data), "crc32c ")
	magic, rest, _ := strings.Cut(body, "\n")
	if magic != formatMagic {
		return id, fmt.Errorf("%w: its first line is %.40q, want %q", ErrFormat, magic, formatMagic)
	}
	// The version comes before the checksum: a newer format may lay out the rest in another way.
	var version uint64
	if _, err := fmt.Sscanf(rest, "version %d\n", &version); err != nil {
		return id, fmt.Errorf("%w: it has no version", ErrFormat)
	}
	if version != FormatVersion {
		return id, fmt.Errorf("%w: it is version %d, supported is %d", ErrFormat, version, FormatVersion)
	}
	if !ok || sum != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(body), castagnoli)) {
		return id, fmt.Errorf("%w: its checksum is wrong", ErrFormat)
	}
	_, line, _ := strings.Cut(rest, "\n")
	text, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "engine ")
	raw, err := hex.DecodeString(text)
	if !found || err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("%w: it has no engine id", ErrFormat)
	}
	copy(id[:], raw)
	return id, nil
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

// openIdentity reads the identity of a data directory, or gives an empty one its identity. names are the
// directory's files.
func openIdentity(fsys vfs.FS, dir string, names []string) (id engineID, created bool, err error) {
	path := filepath.Join(dir, formatName)
	data, err := vfs.ReadFile(fsys, path, formatBytesMax)
	switch {
	case err == nil:
		if id, err = decodeFormat(data); err != nil {
			return id, false, fmt.Errorf("%s: %w", path, err)
		}
		return id, false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return id, false, &IOError{"read", path, err}
	}
	if err := checkOurs(dir, names); err != nil {
		return id, false, err
	}
	rand.Read(id[:])
	if err := vfs.WriteFileAtomic(fsys, path, encodeFormat(id)); err != nil {
		return id, false, &IOError{"create", path, err}
	}
	return id, true, nil
}
