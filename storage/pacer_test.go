package storage

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestTheRateOfAMergeIsWhatOthersLeave(t *testing.T) {
	const most = 64 << 20
	few := int64(most*paceWindow.Seconds()/writersShare) + 1
	for name, c := range map[string]struct {
		reads, written     int64
		held, full, behind bool
		rate               float64
	}{
		"nobody is there":                {rate: quietFactor * most},
		"nobody is there, behind":        {behind: true, rate: quietFactor * most},
		"readers":                        {reads: quietOps, rate: most / readersShare},
		"readers, behind":                {reads: quietOps, behind: true, rate: most / readersShare},
		"readers, a writer now and then": {reads: quietOps, written: few - 2, behind: true, rate: most / readersShare},
		"writers":                        {reads: quietOps, written: few, rate: most},
		"writers, behind":                {reads: quietOps, written: few, behind: true, rate: 0},
		"a writer waits for it":          {held: true, behind: true, rate: 0},
		"the disk is full":               {reads: quietOps, full: true, rate: most},
	} {
		t.Run(name, func(t *testing.T) {
			e := mustOpen(t, vfstest.New(), Options{MergeBytesPerSecond: most})
			mustPut(t, e, "key", "value")
			if c.behind {
				e.opts.IndexBytesMax = 1
				e.merger.ceiling.Store(1)
			}
			if c.held {
				e.writer.held.begin()
				defer e.writer.held.end()
			}
			e.space.full.Store(c.full)
			p := newPacer(e.merger, &e.merger.segments)
			e.reads.Add(c.reads)
			e.bytesWritten.Add(c.written)
			if p.look(p.looked.Add(paceWindow)); p.rate != c.rate {
				t.Errorf("%v bytes a second, want %v", p.rate, c.rate)
			}
			if p.look(p.looked.Add(paceWindow)); !c.held && !c.full && p.rate != quietFactor*most {
				t.Errorf("%v bytes a second later, when nobody is there, want %v", p.rate, quietFactor*most)
			}
		})
	}
}

func TestAMergeIsHeldToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mustOpen(t, vfstest.New(), Options{MergeBytesPerSecond: 1 << 20})
		p := newPacer(e.merger, &e.merger.segments)
		began := time.Now()
		for range 16 * 64 {
			e.reads.Add(100 * quietOps)
			if err := p.wait(16 << 10); err != nil {
				t.Fatal(err)
			}
		}
		// 16 MiB at a quarter of 1 MiB a second; before the first look, it does not know of the readers.
		if took := time.Since(began); took < 63*time.Second || took > 65*time.Second {
			t.Errorf("16 MiB took %v", took)
		}
		e.merger.quit()
		if err := p.wait(1); err == nil {
			t.Error("it goes on when merges are to stop")
		}
	})
}
