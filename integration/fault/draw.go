package fault

import (
	"math/rand/v2"
	"slices"
	"time"
)

// SkewMaxDefault is the most that a clock is wrong where nothing else is asked for.
const SkewMaxDefault = 2 * time.Second

// Options bound what Draw draws. The zero value of a field is its default.
type Options struct {
	// Nodes is how many nodes there are (default 3), Duration how long the workload runs (default 30 s).
	Nodes    int
	Duration time.Duration
	// Kinds are what may go wrong (default all).
	Kinds []Kind
	// Every is the mean time from the beginning of one fault to that of the next (default a twentieth of Duration).
	Every time.Duration
	// ForMin and ForMax bound how long one lasts (defaults 1/60 and 1/6 of Duration).
	ForMin, ForMax time.Duration
	// StoppedMax is how many nodes may be stopped, or cut off from all others, at once (default less than half of them).
	StoppedMax int
	// SkewMax is the most that a clock is wrong (default SkewMaxDefault), DelayMax the most that a message or a sync is slowed by (default 200 ms).
	SkewMax, DelayMax time.Duration
}

func (o Options) withDefaults() Options {
	def(&o.Nodes, 3)
	def(&o.Duration, 30*time.Second)
	if len(o.Kinds) == 0 {
		o.Kinds = Kinds()
	}
	def(&o.Every, max(o.Duration/20, 1))
	def(&o.ForMin, max(o.Duration/60, 1))
	def(&o.ForMax, max(o.Duration/6, o.ForMin))
	def(&o.StoppedMax, (o.Nodes-1)/2)
	def(&o.SkewMax, SkewMaxDefault)
	def(&o.DelayMax, 200*time.Millisecond)
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Draw plans faults. The same seed and options give the same plan. Faults overlap, but one node has one fault at a time, there is one netsplit at a
// time, and no more than Options.StoppedMax nodes are out at once.
func Draw(seed uint64, o Options) Plan {
	o = o.withDefaults()
	d := drawing{o: o, r: rand.New(rand.NewPCG(seed, 0xfa17))}
	p := Plan{Seed: seed, Nodes: o.Nodes, Duration: o.Duration}
	for at := d.pause(); at+o.ForMin < o.Duration; at += d.pause() {
		if f, ok := d.fault(at, p.Faults); ok {
			p.Faults = append(p.Faults, f)
		}
	}
	return p
}

type drawing struct {
	o Options
	r *rand.Rand
}

func (d *drawing) pause() time.Duration {
	return 1 + time.Duration(d.r.ExpFloat64()*float64(d.o.Every))
}

// fault draws one that begins at a time and fits those drawn before, or none.
func (d *drawing) fault(at time.Duration, before []Fault) (Fault, bool) {
	length := d.o.ForMin + time.Duration(d.r.Int64N(int64(d.o.ForMax-d.o.ForMin)+1))
	f := Fault{Kind: d.o.Kinds[d.r.IntN(len(d.o.Kinds))], At: at, For: min(length, d.o.Duration-at)}
	nodes := d.r.Perm(d.o.Nodes)
	switch f.Kind {
	case Loss, Duplicate, Reorder:
		f.Share = 0.001 + 0.1*d.r.Float64()
	case MajorityRing:
		f.Nodes = nodes
	case Halves:
		f.Nodes = nodes[:max(1, d.o.Nodes/2)]
	case OneWay, CutLink:
		if d.o.Nodes < 2 {
			return Fault{}, false
		}
		f.Nodes = nodes[:2]
	default:
		f.Nodes = nodes[:1]
	}
	if netsplit(f.Kind) && len(f.Cuts(d.o.Nodes)) == 0 {
		return Fault{}, false // there are too few nodes for it
	}
	d.measure(&f)
	for _, g := range before {
		if g.End() > f.At && collide(f, g) {
			return Fault{}, false
		}
	}
	return f, d.out(f, before) <= d.o.StoppedMax
}

func (d *drawing) measure(f *Fault) {
	switch f.Kind {
	case Latency, DiskSlow:
		f.Delay = time.Millisecond + time.Duration(d.r.Int64N(int64(d.o.DelayMax)))
	case Skew:
		f.Delay = time.Duration(d.r.Int64N(2*int64(d.o.SkewMax))) - d.o.SkewMax
	case Bandwidth:
		f.BytesPerSecond = 16<<10 + d.r.Int64N(1<<20)
	case DiskError:
		f.Share = 0.001 + 0.1*d.r.Float64()
	case Flip:
		f.Count = 1 + d.r.IntN(100)
	}
}

// collide says that two faults cannot be told apart, or undone one by one, if they overlap.
func collide(f, g Fault) bool {
	if f.Kind == g.Kind && len(f.Nodes) == 0 || netsplit(f.Kind) && netsplit(g.Kind) {
		return true
	}
	if netsplit(f.Kind) || netsplit(g.Kind) {
		return false
	}
	return slices.ContainsFunc(f.Nodes, func(n int) bool { return slices.Contains(g.Nodes, n) })
}

func netsplit(k Kind) bool {
	switch k {
	case Halves, MajorityRing, OneWay, CutLink, Isolate:
		return true
	}
	return false
}

// out is the most nodes that are out of reach of the others at once if f joins the faults drawn before.
func (d *drawing) out(f Fault, before []Fault) int {
	if !reachless(f) {
		return 0
	}
	struck := map[int]bool{}
	for _, g := range append(slices.Clone(before), f) {
		if reachless(g) && g.End() > f.At {
			for _, n := range g.Nodes {
				struck[n] = true
			}
		}
	}
	return len(struck)
}

// reachless says that the others cannot reach a fault's nodes. Halves are not among them: which half is out is nobody's to say.
func reachless(f Fault) bool { return f.Kind.Stops() || f.Kind == Isolate }
