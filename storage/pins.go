package storage

import (
	"slices"
	"sync"
)

// pins keep what is no longer part of the store alive for those who still read it: a scan pins all that is there when it
// begins, and what is retired later is closed only after it.
type pins struct {
	mu sync.Mutex
	// now counts retirements; held has the pins by when they were taken, oldest first.
	now     uint64
	held    []pin
	retired []retired
}

type pin struct {
	at    uint64
	count int
}

type retired struct {
	at    uint64
	close func()
}

// pin returns a ticket for unpin. It comes before the look at what is to be read.
func (p *pins) pin() (ticket uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.held); n > 0 && p.held[n-1].at == p.now {
		p.held[n-1].count++
	} else {
		p.held = append(p.held, pin{p.now, 1})
	}
	return p.now
}

// any says whether there are pins.
func (p *pins) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held) > 0
}

func (p *pins) unpin(ticket uint64) {
	p.mu.Lock()
	i := slices.IndexFunc(p.held, func(h pin) bool { return h.at == ticket })
	if p.held[i].count--; p.held[i].count == 0 {
		p.held = slices.Delete(p.held, i, i+1)
	}
	free := p.freeLocked()
	p.mu.Unlock()
	for _, r := range free {
		r.close()
	}
}

// retire has fn called once nobody can be reading any more what it closes: now, as it says then, or by the last unpin. The
// caller has made sure that nobody finds it any more.
func (p *pins) retire(fn func()) (now bool) {
	p.mu.Lock()
	p.retired = append(p.retired, retired{p.now, fn})
	p.now++
	free := p.freeLocked()
	now = len(p.retired) == 0
	p.mu.Unlock()
	for _, r := range free {
		r.close()
	}
	return now
}

// freeLocked takes out what no pin is older than.
func (p *pins) freeLocked() []retired {
	n := 0
	for n < len(p.retired) && (len(p.held) == 0 || p.held[0].at > p.retired[n].at) {
		n++
	}
	free := slices.Clone(p.retired[:n])
	p.retired = slices.Delete(p.retired, 0, n)
	return free
}
