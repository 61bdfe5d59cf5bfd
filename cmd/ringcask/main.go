package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// sameSignal is how soon after the first signal another one counts as the same: terminals and wrappers such as
// timeout(1) signal both a process and its group.
const sameSignal = 250 * time.Millisecond

func main() {
	ctx, interrupt := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		interrupt(&interruptedError{(<-signals).(syscall.Signal)})
		first := time.Now()
		for s := range signals {
			if time.Since(first) > sameSignal {
				os.Exit(exitSignal + int(s.(syscall.Signal)))
			}
		}
	}()
	os.Exit(run(&app{
		ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(),
		stdinTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		stdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}, os.Args[1:]))
}
