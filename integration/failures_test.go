package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// failure is something that goes wrong, and its end.
type failure struct {
	name string
	// arrange is given a cluster that has not started yet. What it returns has it fail, and returns when that is over.
	arrange func(c *cluster) (fail func())
}

var failures = []failure{
	{"killed", func(c *cluster) func() {
		return func() { c.killFor(c.nodes[1], *healOutage) }
	}},
	{"killed with little room for hints", func(c *cluster) func() {
		c.give("--hint-bytes-max", "32KiB")
		return func() {
			c.nodes[1].kill()
			wait(c.t, *healOutage)
			for _, n := range []*testNode{c.nodes[0], c.nodes[2]} {
				kept, dropped := c.hints(n), c.metric(n, "ringcask_hints_dropped_total")
				if dropped < 10*float64(kept.Count) || dropped == 0 {
					c.t.Errorf("%s dropped but %v hints, and keeps %d", n.id, dropped, kept.Count)
				}
				c.t.Logf("%s dropped %v hints, and keeps %d", n.id, dropped, kept.Count)
			}
			c.restart(c.nodes[1])
		}
	}},
	{"two killed in turn", func(c *cluster) func() {
		return func() {
			c.killFor(c.nodes[0], *healOutage)
			c.killFor(c.nodes[1], *healOutage)
		}
	}},
	{"paused", func(c *cluster) func() {
		return func() {
			c.nodes[1].signal(syscall.SIGSTOP)
			wait(c.t, *healOutage)
			c.nodes[1].signal(syscall.SIGCONT)
		}
	}},
	{"cut off from one peer, in silence", func(c *cluster) func() {
		links := c.linkPair()
		return func() { c.cut(links, (*link).hush, *healOutage) }
	}},
	{"cut off from one peer, refused", func(c *cluster) func() {
		links := c.linkPair()
		return func() { c.cut(links, (*link).refuse, *healOutage) }
	}},
	{"disk full", func(c *cluster) func() {
		n := c.nodes[1]
		disk := c.smallDisk(n)
		return func() {
			ballast := fillUp(c.t, disk, time.NewTicker(4*time.Millisecond))
			wait(c.t, *healOutage)
			if c.metric(n, "ringcask_storage_disk_full") == 0 || c.metric(n, "ringcask_storage_read_only") != 0 {
				c.t.Errorf("%s does not refuse writes for the disk is full, or for good", n.id)
			}
			free(c.t, ballast)
		}
	}},
	{"disk full at a stroke", func(c *cluster) func() {
		n := c.nodes[1]
		disk := c.smallDisk(n)
		return func() {
			ballast := fillUp(c.t, disk, nil)
			wait(c.t, *healOutage)
			free(c.t, ballast)
			n.kill() // a write may have failed before it was noticed: then it takes a new start
			c.restart(n)
		}
	}},
	{"wiped", func(c *cluster) func() {
		return func() {
			n := c.nodes[1]
			n.kill()
			if err := os.RemoveAll(n.dir); err != nil {
				c.t.Fatal(err)
			}
			wait(c.t, *healOutage/2)
			n.start(c.t)
		}
	}},
	{"bytes flipped", func(c *cluster) func() {
		return func() {
			n := c.nodes[1]
			n.signal(syscall.SIGTERM)
			if _, err := n.wait(20 * time.Second); err != nil {
				c.t.Fatal(err)
			}
			flipBytes(c.t, n, 100)
			c.restart(n)
		}
	}},
}

// give has the nodes start with a flag more.
func (c *cluster) give(flag, value string) {
	for _, n := range c.nodes {
		n.args = with(n.args, flag, value)
	}
}

func (c *cluster) killFor(n *testNode, d time.Duration) {
	c.t.Helper()
	n.kill()
	wait(c.t, d)
	c.restart(n)
}

// smallDisk has a node, which is yet to be started, keep its data on a file system of its own, and returns where that is.
func (c *cluster) smallDisk(n *testNode) string {
	c.t.Helper()
	disk := c.t.TempDir()
	size := 128<<20 + *healKeys*10<<10
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		c.t.Skipf("a small file system cannot be mounted: %v", err)
	}
	c.t.Cleanup(func() {
		n.kill()
		if err := syscall.Unmount(disk, 0); err != nil {
			c.t.Error(err)
		}
	})
	n.dir = filepath.Join(disk, "data")
	n.args = with(with(n.args, "--dir", n.dir), "--reserve-bytes", "32MiB")
	return disk
}

// fillUp writes a file into a directory until its file system has no room for anything: a MiB at each tick, or at once.
func fillUp(t testing.TB, disk string, pace *time.Ticker) (ballast string) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for mib := make([]byte, 1<<20); err == nil; _, err = f.Write(mib) {
		if pace != nil {
			<-pace.C
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// free gives the room back that a file takes.
func free(t testing.TB, ballast string) {
	t.Helper()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
}

// flipBytes flips so many bytes of what a stopped node has stored, anywhere behind the headers.
func flipBytes(t testing.TB, n *testNode, count int) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.seg", "*.run"} {
		found, err := filepath.Glob(filepath.Join(n.dir, "engine", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatal("nothing is stored")
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range count {
		f, err := os.OpenFile(files[r.IntN(len(files))], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		at := 4096 + r.Int64N(max(info.Size()-4096, 1))
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err == nil {
			b[0] ^= 0xff
			_, err = f.WriteAt(b[:], at)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
