package devcluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// parentFD is the number that the read end of the owner's pipe has in a node: the first after standard error.
const parentFD = 3

// ParentFlag is the flag of `ringcask serve` that names the descriptor to watch.
const ParentFlag = "exit-with-parent-fd"

// process is a node that was started.
type process struct {
	node Node
	cmd  *exec.Cmd
	// parent is the write end of the pipe: open for as long as the node may live.
	parent *os.File
	// logStart is where this run begins in the log file.
	logStart int64
	// done is closed when the process was waited for; exit is then how it ended.
	done chan struct{}
	exit error
}

// start runs a node. environ is its whole environment.
func start(node Node, environ []string) (*process, error) {
	if err := os.MkdirAll(node.DataDir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(node.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	watch, parent, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer watch.Close()
	args := append(node.Command[1:len(node.Command):len(node.Command)], fmt.Sprintf("--%s=%d", ParentFlag, parentFD))
	cmd := exec.Command(node.Command[0], args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, log, log
	cmd.ExtraFiles = []*os.File{watch}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, parent.Close())
	}
	node.PID = cmd.Process.Pid
	return &process{node: node, cmd: cmd, parent: parent, logStart: logStart, done: make(chan struct{})}, nil
}

// wait waits for the process to end.
func (p *process) wait() {
	p.exit = p.cmd.Wait()
	p.parent.Close()
	close(p.done)
}

// ended says whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// outcome says how a process that has ended did.
func (p *process) outcome() string {
	if p.exit == nil {
		return "exited with status 0"
	}
	return "ended: " + p.exit.Error()
}

// logTail returns the last lines that this run logged.
func (p *process) logTail(lines int) string {
	const bytesMax = 8 << 10
	f, err := os.Open(p.node.LogFile())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	tail := make([]byte, min(bytesMax, max(0, info.Size()-p.logStart)))
	n, err := f.ReadAt(tail, info.Size()-int64(len(tail)))
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(tail[:n], "\n"), []byte("\n"))
	all = all[max(0, len(all)-lines):]
	var out strings.Builder
	for _, line := range all {
		fmt.Fprintf(&out, "    %s\n", line)
	}
	return strings.TrimSuffix(out.String(), "\n")
}
