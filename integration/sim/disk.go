package sim

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// The files of an engine that hold records, and where it is: see docs/format.
const (
	segmentSuffix = ".seg"
	runSuffix     = ".run"
)

var engineDir = filepath.Join(dataDir, "engine")

// used is how many bytes a disk holds.
func used(disk *vfstest.FS) int64 {
	disk.SetCapacity(math.MaxInt64)
	free, err := disk.Free("/")
	disk.SetCapacity(0)
	if err != nil {
		return 0
	}
	return math.MaxInt64 - free
}

// flipBytes damages so many bytes in what the engine on a disk has finished: all runs, and all segments but the last.
func flipBytes(disk *vfstest.FS, count int, rng *rand.Rand) error {
	names, err := disk.List(engineDir)
	if err != nil {
		return err
	}
	isSegment := func(name string) bool { return strings.HasSuffix(name, segmentSuffix) }
	if segments := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !isSegment(name) }); len(segments) > 0 {
		last := slices.Index(names, segments[len(segments)-1])
		names = slices.Delete(names, last, last+1)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !isSegment(name) && !strings.HasSuffix(name, runSuffix) })
	for range count {
		if len(names) == 0 {
			return nil
		}
		path := filepath.Join(engineDir, names[rng.IntN(len(names))])
		info, err := disk.Stat(path)
		if err != nil {
			return err
		}
		if info.Size == 0 {
			continue
		}
		if err := disk.Damage(path, rng.Int64N(info.Size), 1); err != nil {
			return err
		}
	}
	return nil
}
