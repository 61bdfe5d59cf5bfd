// Command bench measures ringcask's storage engine side by side with Pebble, Badger, bbolt and goleveldb: the same data, the same
// workloads, a process and a directory of its own for each cell of the table. README.md says how to run it and how to read it.
//
// It is a module of its own, so that the peers stay out of the product's. engine_ours.go is the adapter of our engine; it is built
// with the tag ours, and alone it fits into any harness that has the few names of engine.go.
//
//	parent ── for each workload, round, column ──► child: prepare a store (once for each engine and state)
//	   │                                      └──► child: measure, on a copy of it ──► result
//	   └── tables, results file
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	err := run()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	if spec := os.Getenv(cellVariable); spec != "" {
		return childMain(spec)
	}
	// The kernel kills a child when the thread that started it ends.
	runtime.LockOSThread()
	b, reports, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	if reports != "" {
		results, err := readResults(strings.Split(reports, ","))
		if err != nil {
			return err
		}
		return writeTables(os.Stdout, results)
	}
	err = b.measure()
	return errors.Join(err, writeTables(os.Stdout, b.results))
}

// parse returns the benchmark that the command line asks for, or the results files to report on.
func parse(args []string) (b *bench, reports string, err error) {
	b = &bench{progress: os.Stderr, prepared: map[fixture]string{}}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	engines := set.String("engines", strings.Join(defaultEngines(), ","), "`engines` to measure")
	works := set.String("work", "all", "`workloads` to measure: names, the part before a hyphen for several, all, or list")
	set.IntVar(&b.rounds, "rounds", 4, "how often each cell is measured; an even number is fair")
	set.IntVar(&b.keys, "n", 1_000_000, "keys in the store")
	set.IntVar(&b.bigKeys, "reopenkeys", 5_000_000, "keys in the store of reopen-* and memory-*")
	set.IntVar(&b.valueLen, "value", 128, "`bytes` of a value, where the workload does not say")
	set.IntVar(&b.writers, "writers", 16, "goroutines that write or read, where the workload does not say")
	set.DurationVar(&b.period, "period", 5*time.Second, "how long to measure what has no end")
	set.Float64Var(&b.perSec, "rate", 10_000, "gets a second in mergelatency, and puts; durable ones are a third")
	cache := set.Int64("cache", 256, "block cache of each engine, `MiB`")
	memtable := set.Int64("memtable", 64, "memtable of each engine that has one, `MiB`")
	set.StringVar(&b.dir, "dir", os.TempDir(), "where to keep the data: on the disk to be measured")
	set.StringVar(&b.json, "json", "", "`file` to write the results to, anew")
	set.StringVar(&b.lock, "lock", "", "`file` to lock while a cell runs, for others that measure on this machine")
	set.StringVar(&reports, "report", "", "print the tables of results `files`, as if of one run, and measure nothing")
	set.Usage = func() {
		fmt.Fprint(set.Output(), "Measures storage engines side by side and prints tables in Markdown.\n\n"+
			"  go run -tags ours . -engines ours,pebble,bbolt -work readmerged,scan100merged -rounds 4 -json out.json\n\n")
		set.PrintDefaults()
		fmt.Fprintf(set.Output(), "\nEngines: %s\n\nWorkloads:\n%s", strings.Join(engineNames(), ", "), describeWorks())
	}
	if err := set.Parse(args); err != nil {
		return nil, "", err
	}
	if *works == "list" {
		fmt.Print(describeWorks())
		return nil, "", flag.ErrHelp
	}
	b.options = Options{Writers: b.writers, CacheBytes: *cache << 20, MemtableBytes: *memtable << 20}
	b.engines = strings.Split(*engines, ",")
	if b.works, err = selectWorks(*works); err != nil {
		return nil, "", err
	}
	return b, reports, b.validate()
}

// defaultEngines are those of the adapters, ours first if it was built in, without variants of it.
func defaultEngines() (all []string) {
	for _, name := range []string{"ours", "pebble", "badger", "bbolt", "goleveldb"} {
		if _, ok := registered[name]; ok {
			all = append(all, name)
		}
	}
	return all
}

func (b *bench) validate() error {
	for _, name := range b.engines {
		if _, err := newEngine(name); err != nil {
			return err
		}
	}
	if b.rounds < 1 || b.keys < 1 || b.bigKeys < 1 || b.writers < 1 || b.period <= 0 || b.perSec <= 0 {
		return errors.New("-rounds, -n, -reopenkeys, -writers, -period and -rate must be over zero")
	}
	if b.valueLen < valueBytesMin || b.valueLen > textBytes/2 {
		return fmt.Errorf("-value must be from %d to %d", valueBytesMin, textBytes/2)
	}
	return nil
}

func describeWorks() string {
	var b strings.Builder
	for _, name := range order {
		fmt.Fprintf(&b, "  %-20s %s\n", name, workloads[name].about)
	}
	return b.String()
}
