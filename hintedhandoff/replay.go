package hintedhandoff

import (
	"context"
	"sync"
	"time"

	"github.com/ringcask/ringcask/ring"
)

// ReplayState says what is being done about a target's hints.
type ReplayState uint8

const (
	// ReplayIdle: there are none.
	ReplayIdle ReplayState = iota
	// ReplayWaiting: there are some, and the target is not up, or is let be for a moment.
	ReplayWaiting
	// ReplayRunning: they are being sent.
	ReplayRunning
)

func (r ReplayState) String() string {
	return [...]string{"idle", "waiting", "replaying"}[r]
}

// replay decides which targets are replayed, and has a replayer for each of them.
type replay struct {
	s    *Store
	pace pace
	wake chan struct{}

	mu      sync.Mutex
	targets map[ring.NodeID]*targetReplay
}

// targetReplay is what is remembered of one target from replay to replay.
type targetReplay struct {
	running bool
	// down says that it was not up when it was last looked at.
	down bool
	// notBefore is when the next replay may begin.
	notBefore time.Time
	poison    map[string]*poisoned // by the engine's key
	// kick ends a pause.
	kick chan struct{}
	// began is when the replay under way, or the last one, began; sent is the bytes that were acknowledged in it.
	began   time.Time
	sent    int64
	lastErr error
}

// poisoned is a hint that its target has refused alone.
type poisoned struct {
	pause time.Duration
	until time.Time
}

func newReplay(s *Store) *replay {
	return &replay{
		s: s, pace: pace{bytesPerSecond: s.opts.BytesPerSecond}, wake: make(chan struct{}, 1),
		targets: make(map[ring.NodeID]*targetReplay),
	}
}

func (r *replay) run(ctx context.Context) {
	var replayers sync.WaitGroup
	defer replayers.Wait()
	for ctx.Err() == nil {
		for _, target := range r.s.book.targets() {
			if t := r.begin(target); t != nil {
				replayers.Go(func() { r.replayTarget(ctx, target, t) })
			}
		}
		r.prune()
		sleep(ctx, r.s.opts.PollInterval, r.wake)
	}
}

// begin is the target's part, as running, if its hints are to be replayed now.
func (r *replay) begin(target ring.NodeID) *targetReplay {
	up := r.s.opts.Up(target)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.ofLocked(target)
	if up && t.down {
		t.renewLocked()
	}
	t.down = !up
	if t.running || !up || now.Before(t.notBefore) {
		return nil
	}
	t.running, t.began, t.sent = true, now, 0
	return t
}

func (r *replay) ofLocked(target ring.NodeID) *targetReplay {
	t := r.targets[target]
	if t == nil {
		t = &targetReplay{poison: make(map[string]*poisoned), kick: make(chan struct{}, 1)}
		r.targets[target] = t
	}
	return t
}

func (r *replay) replayTarget(ctx context.Context, target ring.NodeID, t *targetReplay) {
	pause := newPass(r.s, target, t).run(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	t.running, t.notBefore = false, time.Now().Add(pause)
}

// prune forgets the targets that have no hints any more.
func (r *replay) prune() {
	for target := range r.states() {
		hints, _ := r.s.book.counts(target)
		r.mu.Lock()
		if t := r.targets[target]; hints == 0 && t != nil && !t.running {
			delete(r.targets, target)
		}
		r.mu.Unlock()
	}
}

func (r *replay) targetUp(target ring.NodeID) {
	r.mu.Lock()
	if t := r.targets[target]; t != nil {
		t.renewLocked()
	}
	r.mu.Unlock()
	notify(r.wake)
}

// renewLocked ends all pauses: what the target refused before it went away it may take now.
func (t *targetReplay) renewLocked() {
	t.notBefore = time.Time{}
	for _, p := range t.poison {
		p.until = time.Time{}
	}
	notify(t.kick)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// skips says whether a pass leaves a hint out.
func (r *replay) skips(t *targetReplay, key []byte, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := t.poison[string(key)]
	return p != nil && now.Before(p.until)
}

// knowsPoison says whether a hint was left out before.
func (r *replay) knowsPoison(t *targetReplay, key []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return t.poison[string(key)] != nil
}

// poisonKey has passes leave a hint out for a while. It is false if there are too many of them.
func (r *replay) poisonKey(t *targetReplay, key []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := t.poison[string(key)]
	if p == nil {
		if len(t.poison) >= r.s.opts.PoisonedMax {
			return false
		}
		p = &poisoned{pause: r.s.opts.PoisonMin}
		t.poison[string(key)] = p
	} else {
		p.pause = min(2*p.pause, r.s.opts.PoisonMax)
	}
	p.until = time.Now().Add(p.pause)
	return true
}

// acknowledged notes what the target has taken.
func (r *replay) acknowledged(t *targetReplay, b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.sent += int64(b.bytes)
	t.lastErr = nil
	if len(t.poison) == 0 {
		return
	}
	for _, key := range b.keys {
		delete(t.poison, string(key))
	}
}

func (r *replay) failed(t *targetReplay, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.lastErr = err
}

// replayStatus is what Stats says of one target.
type replayStatus struct {
	running   bool
	rate      float64
	poisoned  int
	lastError string
}

func (r *replay) states() map[ring.NodeID]replayStatus {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[ring.NodeID]replayStatus, len(r.targets))
	for target, t := range r.targets {
		st := replayStatus{running: t.running, poisoned: len(t.poison)}
		if elapsed := now.Sub(t.began).Seconds(); t.running && elapsed > 0 {
			st.rate = float64(t.sent) / elapsed
		}
		if t.lastErr != nil {
			st.lastError = t.lastErr.Error()
		}
		all[target] = st
	}
	return all
}
