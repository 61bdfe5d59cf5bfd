package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/settings"
	"github.com/ringcask/ringcask/node"
)

// app is what a command may use of the process that it runs in.
type app struct {
	// ctx is cancelled by the first signal, with an *interruptedError as its cause.
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	// environ is in the form of os.Environ.
	environ                                       []string
	stdinTerminal, stdoutTerminal, stderrTerminal bool
	// model is the command line's, for completion.
	model *kong.Application
	// jsonErrors prints errors as JSON.
	jsonErrors bool
}

// cli is the command line.
type cli struct {
	Dev   devCommand   `cmd:"" group:"servers" help:"Run a cluster on this machine, to try things out."`
	Serve serveCommand `cmd:"" group:"servers" help:"Run one node."`

	Put   putCommand   `cmd:"" group:"data" help:"Store a value under a key."`
	Get   getCommand   `cmd:"" group:"data" help:"Print the value of a key."`
	Del   delCommand   `cmd:"" group:"data" help:"Delete keys."`
	Scan  scanCommand  `cmd:"" group:"data" help:"Print a range of keys in order."`
	Batch batchCommand `cmd:"" group:"data" help:"Put and delete many keys in one request."`
	Load  loadCommand  `cmd:"" group:"data" help:"Store the records of a JSON Lines file."`
	Dump  dumpCommand  `cmd:"" group:"data" help:"Write records as JSON Lines."`

	Status  statusCommand  `cmd:"" group:"cluster" help:"Show what nodes say of themselves and of each other."`
	Ring    ringCommand    `cmd:"" group:"cluster" help:"Show the partition table, or where a key lives."`
	Explain explainCommand `cmd:"" group:"cluster" help:"Show what each replica holds of a key, and why it is or is not reclaimed."`
	Cluster clusterCommand `cmd:"" group:"cluster" help:"Compare the replicas of all partitions."`

	Chaos chaosCommand `cmd:"" group:"other" help:"Try what a cluster survives: let things go wrong, and judge what came of it."`

	Completion completionCommand `cmd:"" group:"other" help:"Print the completion script of a shell."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

// summary is what `ringcask --help` begins with.
const summary = `A leaderless, sharded key-value store.

Start with "ringcask dev", then "ringcask put greeting hello" and "ringcask get greeting".`

// exited is thrown by kong's Exit, after --help and --version.
type exited struct{ code int }

// newParser builds the command line parser. c must come from newCLI.
func newParser(a *app, c *cli) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("ringcask"), kong.Description(summary),
		kong.Writers(a.stdout, a.stderr), kong.Bind(a),
		kong.Exit(func(code int) { panic(exited{code}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.Vars{"version": version()}, chaosNames(),
		kong.ExplicitGroups([]kong.Group{
			{Key: "servers", Title: "Servers"}, {Key: "data", Title: "Data"},
			{Key: "cluster", Title: "Cluster"}, {Key: "other", Title: "Other"},
			{Key: "connection", Title: "Connection and output"},
			{
				Key: "settings", Title: "Settings of the node",
				Description: "Each may also come from RINGCASK_<NAME> in the environment.",
			},
		}),
	)
}

// newCLI returns a command line whose generated parts are in place.
func newCLI() *cli {
	c := &cli{}
	c.Serve.flags = settings.NewFlags(func(settings.Setting) bool { return true })
	c.Serve.Settings = kong.Plugins{c.Serve.flags.Target()}
	c.Dev.flags = settings.NewFlags(func(s settings.Setting) bool { return !s.PerNode })
	c.Dev.Settings = kong.Plugins{c.Dev.flags.Target()}
	return c
}

// run executes a command line and returns the process's exit code.
func run(a *app, args []string) (code int) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exited:
			code = e.code
		default:
			panic(e)
		}
	}()
	c := newCLI()
	parser, err := newParser(a, c)
	if err != nil {
		fmt.Fprintln(a.stderr, "ringcask:", err)
		return exitUsage
	}
	a.model = parser.Model
	parsed, err := parser.Parse(args)
	if err != nil {
		return a.report(usagef("%w", err), helpHint(err))
	}
	return a.report(parsed.Run(), "")
}

// helpHint names the help text that explains a command line that was refused.
func helpHint(err error) string {
	command := "ringcask"
	var refused *kong.ParseError
	if errors.As(err, &refused) && refused.Context != nil {
		if node := refused.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	return fmt.Sprintf("Try %q.", command+" --help")
}

// version is the program's version, with what it was built from.
func version() string {
	v := "ringcask " + node.Version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return v + " " + info.GoVersion
}
