package handles

import (
	"math"
	"sync"

	"github.com/ringcask/ringcask/storage/vfs"
)

// Pool is a bound that Files share.
type Pool struct {
	fs  vfs.FS
	max int

	mu sync.Mutex
	// ring has the pooled Files that are open, hand is where the clock's hand is in it.
	ring []*File
	hand int
	// places are taken by the ring, and by what is being opened or closed; held counts the handles that need none.
	places, held int
	shut         bool
}

// NewPool returns a pool whose Files together have at most max handles, those of held ones not counted. A negative max is no bound.
func NewPool(fsys vfs.FS, max int) *Pool {
	if max < 0 {
		max = math.MaxInt
	}
	return &Pool{fs: fsys, max: max}
}

// Open opens a file for reading. It is pooled.
func (p *Pool) Open(path string) (*File, error) {
	f := &File{pool: p, path: path}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f, f.openPooledLocked()
}

// Adopt makes a File of an open one, which is held.
func (p *Pool) Adopt(path string, handle vfs.File) *File {
	f := &File{pool: p, path: path, handle: handle, held: true}
	f.state.Store(open)
	p.countHeld(1)
	return f
}

// Count is how many handles there are, those of held Files among them.
func (p *Pool) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places + p.held
}

// Held is how many of them are those of held Files.
func (p *Pool) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Shut has no file opened any more: to do so is fs.ErrClosed from now on. What is open stays so until it is closed.
func (p *Pool) Shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
}

func (p *Pool) isShut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shut
}

// takePlace takes a place for a handle, closing others for it as need be. Where all of them are in use, it is one too many.
func (p *Pool) takePlace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.makeRoomLocked(p.max - 1)
	p.places++
}

// makeRoomLocked closes what is not in use until there are at most so many handles. It lets go of the lock meanwhile.
func (p *Pool) makeRoomLocked(most int) {
	for p.places > most {
		handle := p.evictLocked()
		if handle == nil {
			return
		}
		p.mu.Unlock()
		_ = handle.Close() // nothing was written that is not durable
		p.mu.Lock()
		p.places-- // only now: what counts is what the system has open
	}
}

func (p *Pool) leavePlace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places--
}

func (p *Pool) countHeld(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held += n
}

// enter puts an open File that has a place into the ring.
func (p *Pool) enter(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.at = len(p.ring)
	p.ring = append(p.ring, f)
}

// hold takes an open File out of the ring, and its place from it.
func (p *Pool) hold(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(f)
	p.places--
	p.held++
}

// letGo puts a File that was held into the ring, and then closes what is too many.
func (p *Pool) letGo(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	p.places++
	f.at = len(p.ring)
	p.ring = append(p.ring, f)
	p.makeRoomLocked(p.max)
}

func (p *Pool) leave(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(f)
}

func (p *Pool) removeLocked(f *File) {
	last := len(p.ring) - 1
	p.ring[f.at] = p.ring[last]
	p.ring[f.at].at = f.at
	p.ring[last] = nil
	p.ring = p.ring[:last]
}

// evictLocked takes a File's handle from it, or returns nil if all are in use.
func (p *Pool) evictLocked() vfs.File {
	for range 2 * len(p.ring) { // the first round may only take the marks off
		if p.hand++; p.hand >= len(p.ring) {
			p.hand = 0
		}
		f := p.ring[p.hand]
		if f.used.Load() {
			f.used.Store(false)
		} else if handle := f.tryTake(); handle != nil {
			p.removeLocked(f)
			return handle
		}
	}
	return nil
}
