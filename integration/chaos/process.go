package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopWithin is how long a node may take to drain and end when it is told to.
const stopWithin = 30 * time.Second

// process is a node: how to start it, and the process that runs, if one does.
type process struct {
	id, dir, log string
	place
	binary string
	args   []string
	// control is the file that its disk obeys; empty if its disk obeys none.
	control string
	// died is told of an end that nobody asked for.
	died func(p *process, how string)

	mu  sync.Mutex
	run *life
}

// life is one run of a process.
type life struct {
	process *os.Process
	// done is closed when it has ended, as how says.
	done chan struct{}
	how  *os.ProcessState
	// asked says that its end is wanted.
	asked bool
}

// start starts the process, with more arguments if it is to have some.
func (p *process) start(more ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		return fmt.Errorf("%s runs already", p.id)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.binary, slices.Concat(p.args, more)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = withoutSettings(os.Environ()), log, log
	cmd.SysProcAttr = attributes()
	started := make(chan error)
	l := &life{done: make(chan struct{})}
	go p.carry(cmd, l, started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.id, err)
	}
	l.process, p.run = cmd.Process, l
	return nil
}

// carry starts the command and waits for its end, on one thread: the process ends with the thread that started it, which must be there as
// long, and is in its network namespace.
func (p *process) carry(cmd *exec.Cmd, l *life, started chan<- error) {
	runtime.LockOSThread()
	if p.namespace == nil {
		defer runtime.UnlockOSThread()
	}
	err := p.enter()
	if err == nil {
		err = cmd.Start()
	}
	started <- err
	if err != nil {
		return
	}
	_ = cmd.Wait() // how it ended is in ProcessState
	l.how = cmd.ProcessState
	p.mu.Lock()
	asked := l.asked
	if p.run == l {
		p.run = nil
	}
	p.mu.Unlock()
	close(l.done)
	if !asked {
		p.died(p, l.how.String())
	}
}

// withoutSettings is an environment without what would change a node's settings.
func withoutSettings(environ []string) []string {
	return slices.DeleteFunc(environ, func(pair string) bool { return strings.HasPrefix(pair, "RINGCASK_") })
}

// runs says whether the process runs.
func (p *process) runs() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run != nil
}

// signal sends a signal to the process, and returns the life that it was sent to; nil if the process does not run. An end from now on is
// asked for if ends says so.
func (p *process) signal(s syscall.Signal, ends bool) *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return nil
	}
	p.run.asked = p.run.asked || ends
	_ = p.run.process.Signal(s) // it may have ended just now
	return p.run
}

// kill ends the process without warning, also one that is stopped.
func (p *process) kill() {
	if l := p.signal(syscall.SIGKILL, true); l != nil {
		<-l.done
	}
}

var errDidNotStop = errors.New("it did not stop in time and was killed")

// stop ends the process in order, if it runs. Errors: it took too long, or did not end as it should, as after a panic.
func (p *process) stop() error {
	l := p.signal(syscall.SIGTERM, true)
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
		if !l.how.Success() {
			return fmt.Errorf("%s was told to stop and ended with %v; see %s", p.id, l.how, p.log)
		}
		return nil
	case <-time.After(stopWithin):
		p.kill()
		return fmt.Errorf("%s: %w", p.id, errDidNotStop)
	}
}
