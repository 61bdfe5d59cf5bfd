package storage

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
)

const (
	// scrubName is the file that says when the last scrub ended.
	scrubName     = "SCRUB"
	scrubMagic    = "ringcask scrub"
	scrubBytesMax = 4 << 10
	// scrubDelay is how long an open engine is left alone first, whatever is due.
	scrubDelay = time.Minute
	// scrubLook is the longest time between two looks at the clock, which may be set; scrubRetry the pause after a failure.
	scrubLook  = time.Hour
	scrubRetry = time.Hour
)

// scrubber verifies all that is stored, again and again: what nobody reads is damaged without anybody noticing, until
// the last good replica of it is gone, too.
type scrubber struct {
	e       *Engine
	stop    context.Context
	quit    context.CancelFunc
	running sync.WaitGroup
	// base is when the last scrub ended, or when a store was made that was never scrubbed; zero if neither is known. It belongs to
	// the loop.
	base time.Time
	// last is when the last scrub ended, in nanoseconds since the epoch, zero if there was none. bytes were read since Open.
	last, bytes atomic.Int64
	// working says that a scrub is under way.
	working atomic.Bool
}

// newScrubber reads when the last scrub was. present says that there is a file for it.
func newScrubber(e *Engine, present bool) *scrubber {
	s := &scrubber{e: e}
	s.stop, s.quit = context.WithCancel(context.Background())
	if e.recovery.Created {
		s.base = e.opts.Now()
	}
	if !present {
		return s
	}
	path := filepath.Join(e.dir, scrubName)
	data, err := vfs.ReadFile(e.fs, path, scrubBytesMax)
	var last time.Time
	if err == nil {
		last, err = decodeScrub(data)
	}
	if err != nil {
		e.opts.Logger.Warn("storage: time of the last scrub is not known", "path", path, "error", err)
		return s
	}
	s.base = last
	s.last.Store(last.UnixNano())
	return s
}

func (s *scrubber) start() {
	if s.e.opts.ScrubInterval > 0 {
		s.running.Go(s.loop)
	}
}

// close breaks off what is under way.
func (s *scrubber) close() {
	s.quit()
	s.running.Wait()
}

func (s *scrubber) loop() {
	interval := s.e.opts.ScrubInterval
	for wait := min(scrubDelay, interval); s.sleep(wait); {
		if wait = s.due(); wait > 0 {
			wait = min(wait, scrubLook)
			continue
		}
		wait = min(interval, scrubLook)
		if err := s.scrub(); err != nil && s.stop.Err() == nil {
			s.e.opts.Logger.Warn("storage: scrub failed", "dir", s.e.dir, "error", err)
			wait = min(interval, scrubRetry)
		}
	}
}

// sleep is false if it was ended by close.
func (s *scrubber) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop.Done():
		return false
	}
}

// due is the time until the next scrub, zero or less if it is due. A last one in the future is taken for one of now: the clock
// was wrong then or is now.
func (s *scrubber) due() time.Duration {
	now := s.e.opts.Now()
	switch {
	case s.base.IsZero():
		return 0
	case s.base.After(now):
		s.base = now
	}
	return s.e.opts.ScrubInterval - now.Sub(s.base)
}

// scrub verifies everything, at the rate of Options.ScrubBytesPerSecond.
func (s *scrubber) scrub() error {
	e := s.e
	s.working.Store(true)
	defer s.working.Store(false)
	began := e.opts.Now()
	pace := e.newThrottle(e.opts.ScrubBytesPerSecond)
	found, err := e.verify(s.stop, func(_ Progress, read int64) error {
		s.bytes.Add(read)
		return pace.wait(s.stop, read)
	})
	for _, d := range found {
		e.opts.Logger.Error("storage: scrub found damage", "dir", e.dir, "damage", d.String())
	}
	if err != nil {
		return err
	}
	now := e.opts.Now()
	e.opts.Logger.Info("storage: scrubbed", "dir", e.dir, "damage", len(found), "duration", now.Sub(began))
	s.base = now
	s.last.Store(now.UnixNano())
	path := filepath.Join(e.dir, scrubName)
	if err := vfs.WriteFileAtomic(e.fs, path, encodeScrub(now)); err != nil {
		return &IOError{"write", path, err}
	}
	return nil
}

// encodeScrub is the content of the SCRUB file: four lines that a person can read.
func encodeScrub(ended time.Time) []byte {
	text := fmt.Sprintf("%s\nversion 1\nended %s\n", scrubMagic, ended.UTC().Format(time.RFC3339Nano))
	return fmt.Appendf([]byte(text), "crc32c %08x\n", crc32.Checksum([]byte(text), castagnoli))
}

var errScrubFile = errors.New("damaged, or of another version")

func decodeScrub(data []byte) (ended time.Time, err error) {
	body, sum, _ := strings.Cut(string(data), "crc32c ")
	text, ok := strings.CutPrefix(body, scrubMagic+"\nversion 1\nended ")
	if !ok || sum != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(body), castagnoli)) {
		return ended, errScrubFile
	}
	return time.Parse(time.RFC3339Nano, strings.TrimSuffix(text, "\n"))
}
