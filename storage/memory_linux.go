package storage

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machineBytes is the memory that the process may use: the machine's, or less if a control group says so.
func machineBytes() int64 {
	total := int64(1 << 30)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		total = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return total
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		if strings.Contains(","+parts[1]+",", ",memory,") {
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		// The limits of the groups above hold, too.
		for dir := filepath.Clean("/" + parts[2]); ; dir = filepath.Dir(dir) {
			total = min(total, limitIn(filepath.Join(root, dir, file), total))
			if dir == "/" {
				break
			}
		}
	}
	return total
}

// limitIn reads a limit, or says none where there is none.
func limitIn(path string, none int64) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return none
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 {
		return none // "max"
	}
	return limit
}
