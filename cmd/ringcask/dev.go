package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/devcluster"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/settings"
)

type devCommand struct {
	Nodes        int           `default:"3" placeholder:"N" help:"How many nodes (default: 3)."`
	Dir          string        `default:"./ringcask-data" type:"path" placeholder:"DIR" help:"Where the nodes keep their data (default: ./ringcask-data)."`
	BasePort     int           `default:"8080" placeholder:"PORT" help:"First port of the first node; the next node's is 10 higher (default: 8080)."`
	StartTimeout time.Duration `default:"60s" placeholder:"DURATION" help:"How long to wait for the nodes to be ready (default: 60s)."`

	Settings kong.Plugins `embed:""`
	flags    *settings.Flags
}

func (*devCommand) Help() string {
	return `Starts node processes on loopback and stops them when it is stopped itself. A node that is killed stays dead, so
that failures can be tried. DIR/dev.json lists the nodes with the command that starts each again; DIR/<node>/node.log is
a node's log. The data stays when the nodes stop: started again on the same directory, they have all of it.

Node i, from 0, has the ports base+10·i (HTTP), +1 (MessagePack-RPC), +3 (peers) and +4 (gossip). Settings apply to every node.

	ringcask dev
	ringcask dev --nodes 5 --replicas 3 --dir /tmp/five --base-port 9000
`
}

// devDrainTimeout lets the nodes drain in less time than they are given before they are killed.
const devDrainTimeout = "3s"

func (d *devCommand) Run(a *app) error {
	started := time.Now()
	a, release := a.underGoRun()
	defer release()
	nodes, err := d.plan(a.environ)
	if err != nil {
		return err
	}
	if err := devcluster.CheckPorts(nodes); err != nil {
		return fmt.Errorf("%w\nnothing was started: stop what listens there, or choose another --base-port", err)
	}
	if err := os.MkdirAll(d.Dir, 0o755); err != nil {
		return err
	}
	cluster, err := devcluster.Start(nodes, withoutSettings(a.environ))
	if err != nil {
		return err
	}
	defer cluster.Stop()
	ctx, cancel := context.WithTimeoutCause(a.ctx, d.StartTimeout, fmt.Errorf("waited for %v", d.StartTimeout))
	defer cancel()
	if err := cluster.WaitReady(ctx); err != nil {
		if a.ctx.Err() != nil {
			return nil // stopped by a signal before it was ready: stopping is then what was wanted
		}
		return fmt.Errorf("%w\nall nodes were stopped", err)
	}
	if err := devcluster.WriteManifest(d.Dir, cluster.Nodes()); err != nil {
		return err
	}
	d.greet(a.stdout, cluster.Nodes(), time.Since(started))
	return watch(a, cluster)
}

// plan lays out the cluster with the settings of environment and flags.
func (d *devCommand) plan(environ []string) ([]devcluster.Node, error) {
	variables, err := settings.Environment(environ, clientVariables...)
	if err != nil {
		return nil, &usageError{err}
	}
	drain := []settings.Given{{
		Name: "drain-timeout", Text: devDrainTimeout, Origin: settings.Origin{Kind: settings.FromFile, Where: "ringcask dev"},
	}}
	resolved, err := settings.Resolve(drain, variables, d.flags.Given())
	if err != nil {
		return nil, &usageError{err}
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	nodes, err := devcluster.Plan(devcluster.Options{
		Executable: executable, Dir: d.Dir, Nodes: d.Nodes, BasePort: d.BasePort,
		Settings: resolved.Arguments(func(s settings.Setting) bool { return !s.PerNode }),
	})
	if err != nil {
		return nil, &usageError{err}
	}
	before, err := devcluster.ReadManifest(d.Dir)
	if err != nil {
		return nil, err
	}
	if before != nil && len(before) != len(nodes) {
		return nil, usagef("%s was made with %d nodes, not %d: use --nodes %d, or another --dir",
			d.Dir, len(before), len(nodes), len(before))
	}
	return nodes, nil
}

// withoutSettings is environ without what would change a node's settings: they all are in the nodes' commands.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, pair := range environ {
		if !strings.HasPrefix(pair, "RINGCASK_") {
			kept = append(kept, pair)
		}
	}
	return kept
}

// watch reports the nodes that end until a signal comes or none is left.
func watch(a *app, cluster *devcluster.Cluster) error {
	left := len(cluster.Nodes())
	for left > 0 {
		select {
		case exit := <-cluster.Exits():
			left--
			fmt.Fprintf(a.stdout, "%s node %s (pid %d) %s; it is not restarted. To start it again:\n  %s\n",
				time.Now().Format(time.TimeOnly), exit.Node.ID, exit.Node.PID, exit.How, shellCommand(exit.Node.Command))
		case <-a.ctx.Done():
			fmt.Fprintln(a.stdout, "stopping", plural(left, "node", "nodes"))
			if killed := cluster.Stop(); len(killed) > 0 {
				return fmt.Errorf("killed %s, which did not stop within %v", strings.Join(killed, ", "), devcluster.StopGrace)
			}
			return nil
		}
	}
	return errors.New("every node has ended")
}

// greet says what runs and how to talk to it.
func (d *devCommand) greet(w io.Writer, nodes []devcluster.Node, took time.Duration) {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tPID\tHTTP\tRPC\tPEERS\tDATA")
	for _, n := range nodes {
		fmt.Fprintf(table, "%s\t%d\thttp://%s\t%s\t%s\t%s\n", n.ID, n.PID, n.HTTP, n.RPC, n.Peer, n.DataDir)
	}
	table.Flush()
	ringcask, addr := invocation(), ""
	if d.BasePort != 8080 {
		addr = " --addr " + nodes[0].RPC
	}
	fmt.Fprintf(w, `
%s ready after %s. Try, in another terminal:

  curl -X PUT -d '{"value":"hello"}' http://%s/kv/greeting
  curl http://%s/kv/greeting
  %s get%s greeting
  %s status%s
  kill -9 %d        # and see that everything still works

%s has the command that starts a killed node again. Ctrl-C stops all nodes; the data stays.
`, plural(len(nodes), "node is", "nodes are"), took.Round(10*time.Millisecond),
		nodes[0].HTTP, nodes[min(1, len(nodes)-1)].HTTP, ringcask, addr, ringcask, addr, nodes[len(nodes)-1].PID,
		devcluster.ManifestPath(d.Dir))
}

// invocation is how the user calls this binary: `go run` leaves none behind that could be called by name.
func invocation() string {
	if underGoRun() {
		return "go run ./cmd/ringcask"
	}
	return os.Args[0]
}

func underGoRun() bool { return strings.Contains(os.Args[0], string(filepath.Separator)+"go-build") }

// goRunInterval is how often is looked whether the `go run` that started this process is still there.
const goRunInterval = 200 * time.Millisecond

// underGoRun is the same process, whose context also ends with the `go run` that started it. release must be called.
func (a *app) underGoRun() (_ *app, release func()) {
	whole := *a
	whole.ctx, release = withGoRun(a.ctx)
	return &whole, release
}

// withGoRun is a context that also ends with the `go run` that started this process, if one did: go passes a SIGTERM on to nobody, and
// whoever sends it means the cluster. release must be called.
func withGoRun(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	if !underGoRun() {
		return ctx, cancel
	}
	parent, ended := os.Getppid(), make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		tick := time.NewTicker(goRunInterval)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		<-ended
	}
}

// shellCommand writes a command so that a shell can take it.
func shellCommand(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = arg
		if strings.ContainsAny(arg, " \t\n'\"\\$`&|;<>()*?[]#~{}!") {
			quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
