package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// metric is one figure of a cell.
type metric struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Better is "higher" or "lower", or empty for what is neither.
	Better string `json:"better,omitempty"`
}

// result is what a cell came to.
type result struct {
	Work       string   `json:"work"`
	Engine     string   `json:"engine"`
	Version    string   `json:"version,omitempty"`
	Round      int      `json:"round"`
	Keys       int      `json:"keys"`
	ValueBytes int      `json:"value_bytes"`
	Writers    int      `json:"writers"`
	Metrics    []metric `json:"metrics,omitempty"`
	// OthersCPU is the part of the machine's processor time that other processes used, the kernel's writeback among them.
	OthersCPU float64 `json:"others_cpu"`
	Error     string  `json:"error,omitempty"`
}

const (
	higher = "higher"
	lower  = "lower"
)

func (r *result) add(name string, value float64, better string) {
	r.Metrics = append(r.Metrics, metric{name, value, better})
}

// String is the result as one line of progress.
func (r *result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %-14s round %d ", r.Work, r.Engine, r.Round+1)
	if r.Error != "" {
		return b.String() + " FAILED: " + r.Error
	}
	for _, m := range r.Metrics {
		fmt.Fprintf(&b, "  %s %s", figure(m.Value), m.Name)
	}
	return b.String()
}

// cpuClock tells processor time used by this process from that used by others.
type cpuClock struct {
	at        time.Time
	own, busy time.Duration
}

func startCPUClock() cpuClock { return cpuClock{time.Now(), ownCPU(), busyCPU()} }

// others is the part of all processors' time since the start that other processes used.
func (c cpuClock) others() float64 {
	all := time.Since(c.at) * time.Duration(runtime.NumCPU())
	return max(0, float64(busyCPU()-c.busy-(ownCPU()-c.own))/float64(all))
}

func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// busyCPU is what all processors have worked since the start of the machine: user, nice, system, irq, softirq and steal.
func busyCPU() (busy time.Duration) {
	stat, _ := os.ReadFile("/proc/stat")
	fields := strings.Fields(strings.SplitN(string(stat), "\n", 2)[0])
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		if i < len(fields) {
			ticks, _ := strconv.ParseInt(fields[i], 10, 64)
			busy += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return busy
}

// anonBytes is the memory that the process holds, but for what is backed by files, once garbage was collected and given back.
func anonBytes() (int64, error) {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no RssAnon in /proc/self/status")
}

// settledBytes is the least that anonBytes has come to, when it has not fallen for some seconds.
func settledBytes() (least int64, err error) {
	const interval, calm = time.Second, 10
	if least, err = anonBytes(); err != nil {
		return 0, err
	}
	for still := 0; still < calm; still++ {
		time.Sleep(interval)
		now, err := anonBytes()
		if err != nil {
			return 0, err
		}
		if now < least-least/100 {
			still = 0
		}
		least = min(least, now)
	}
	return least, nil
}

// diskBytes is what the files in dir take up on the disk.
func diskBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			return err
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}
