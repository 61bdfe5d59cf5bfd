package storage

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestTheRateOfAMergeIsWhatOthersLeave(t *testing.T) {
	const most = 64 << 20
	enough := int64(most*paceWindow.Seconds()/writersShare) + 1
	for name, c := range map[string]struct {
		reads, writes, written              int64
		windows                             int64
		cold, runs                          bool
		behind, near, held, full, boundless bool
		rate                                float64
	}{
		"nobody is there":                            {rate: quietFactor * most},
		"nobody is there, behind":                    {behind: true, rate: quietFactor * most},
		"next to nobody, on a disk":                  {cold: true, reads: quietColdOps - 1, rate: quietFactor * most},
		"a reader":                                   {reads: quietOps - 1, rate: quietFactor * most},
		"a reader for long":                          {windows: 10, reads: 10*quietOps - 1, rate: quietFactor * most},
		"a reader of a slow disk":                    {cold: true, reads: quietColdOps, rate: most / readersShare},
		"readers of memory":                          {reads: quietOps, rate: most},
		"readers":                                    {cold: true, reads: quietOps, rate: most / readersShare},
		"readers for long":                           {windows: 10, cold: true, reads: 10 * quietOps, rate: most / readersShare},
		"readers, behind":                            {cold: true, reads: quietOps, behind: true, rate: most / readersShare},
		"readers, a merge of runs":                   {cold: true, reads: quietOps, runs: true, rate: most},
		"readers, and writes that will have to wait": {cold: true, reads: quietOps, near: true, rate: 0},
		"readers, a write now and then":              {cold: true, reads: quietOps, writes: fewWrites - 1, written: enough - 2, behind: true, rate: most / readersShare},
		"readers, many small writes":                 {cold: true, reads: quietOps, writes: fewWrites, rate: most},
		"readers, few large writes":                  {cold: true, reads: quietOps, writes: 1, written: enough, rate: most},
		"small writes alone":                         {cold: true, writes: quietOps, written: enough - 2, rate: most},
		"writers":                                    {cold: true, writes: quietOps, written: enough, rate: most},
		"writers, behind":                            {cold: true, writes: quietOps, written: enough, behind: true, rate: 0},
		"few large writes, behind":                   {writes: 1, written: enough, behind: true, rate: 0},
		"a write waits for the other merge":          {held: true, rate: most},
		"the disk is full":                           {cold: true, reads: quietOps, full: true, rate: most},
		"no bound":                                   {cold: true, reads: quietOps, boundless: true, rate: -1},
	} {
		t.Run(name, func(t *testing.T) {
			e := mustOpen(t, vfstest.New(), Options{MergeBytesPerSecond: most})
			mustPut(t, e, "key", "value")
			if c.boundless {
				e.opts.MergeBytesPerSecond = -1
			}
			e.opts.MapBytesMax = 1 << 40
			if c.cold {
				e.opts.MapBytesMax = 0
			}
			e.merger.ceiling.Store(1 << 40)
			if c.behind {
				e.opts.IndexBytesMax = e.index.entriesBytes() * 5 / 6
				e.merger.ceiling.Store(indexGrowth * e.opts.IndexBytesMax)
			}
			if c.near {
				e.merger.ceiling.Store(1)
			}
			if c.held {
				e.writer.held.begin()
				defer e.writer.held.end()
			}
			e.space.full.Store(c.full)
			k := &e.merger.segments
			if c.runs {
				k = &e.merger.runs
			}
			p := newPacer(e.merger, k)
			e.reads.Add(c.reads)
			e.records.Add(c.writes)
			e.bytesWritten.Add(c.written)
			if p.look(p.looked.Add(paceWindow * time.Duration(max(c.windows, 1)))); p.rate != c.rate && (!c.boundless || p.rate > 0) {
				t.Errorf("%v bytes a second, want %v", p.rate, c.rate)
			}
		})
	}
}

// readersOnADisk has e take its store for one that is larger than memory, and have readers when the pacer looks.
func readersOnADisk(e *Engine, p *pacer) {
	e.opts.MapBytesMax = 0
	e.reads.Add(100 * quietOps)
	p.look(p.looked.Add(paceWindow))
	p.looked = time.Now()
}

func TestAMergeIsHeldToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mustOpen(t, vfstest.New(), Options{MergeBytesPerSecond: 1 << 20})
		mustPut(t, e, "key", "value")
		p := newPacer(e.merger, &e.merger.segments)
		readersOnADisk(e, p)
		began := time.Now()
		for range 16 * 64 {
			e.reads.Add(100 * quietOps)
			if err := p.wait(16 << 10); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 63*time.Second || took > 65*time.Second {
			t.Errorf("16 MiB at a quarter of 1 MiB a second took %v", took)
		}
	})
}

// A write that has to wait for the merge, or the end of the engine, ends a wait that would take long.
func TestAMergeThatIsWaitedForWaitsNoMore(t *testing.T) {
	for name, event := range map[string]func(e *Engine){
		"a write is about to wait": func(e *Engine) { e.merger.ceiling.Store(1) },
		"the engine closes":        func(e *Engine) { e.merger.quit() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := mustOpen(t, vfstest.New(), Options{MergeBytesPerSecond: 1 << 20})
				mustPut(t, e, "key", "value")
				p := newPacer(e.merger, &e.merger.segments)
				began := time.Now()
				time.AfterFunc(time.Second, func() { event(e) })
				_ = p.wait(1 << 30)
				if took := time.Since(began); took < time.Second || took > time.Second+2*paceWindow {
					t.Errorf("it went on after %v", took)
				}
			})
		})
	}
}

func TestWritesThatWaitAreCountedAndTheirTimeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h held
		h.begin()
		time.Sleep(time.Second)
		h.begin()
		time.Sleep(time.Second)
		h.end()
		time.Sleep(time.Second)
		if n, d := h.total(); n != 2 || d != 3*time.Second || !h.any() {
			t.Errorf("%d for %v while one waits", n, d)
		}
		h.end()
		time.Sleep(time.Second)
		if n, d := h.total(); n != 2 || d != 3*time.Second || h.any() {
			t.Errorf("%d for %v", n, d)
		}
	})
}
