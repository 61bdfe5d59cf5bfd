package ring

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// nodes are n members n01, n02, … without zones.
func nodes(n int) []Member {
	ms := make([]Member, n)
	for i := range ms {
		ms[i] = Member{ID: NodeID(fmt.Sprintf("n%02d", i+1))}
	}
	return ms
}

// zoned are members spread over zones of the given sizes.
func zoned(sizes ...int) []Member {
	var ms []Member
	for z, size := range sizes {
		for i := range size {
			ms = append(ms, Member{ID: NodeID(fmt.Sprintf("n%d-%02d", z, i)), Zone: fmt.Sprintf("zone%d", z)})
		}
	}
	return ms
}

func mustPlan(t rapid.TB, old *Table, ms []Member, cfg Config) *Table {
	t.Helper()
	table, err := Plan(old, ms, cfg)
	if err != nil {
		t.Fatalf("plan %d members: %v", len(ms), err)
	}
	return table
}

// checkTable holds every promise of the package comment against a table.
func checkTable(t rapid.TB, table *Table) {
	t.Helper()
	cfg, members := table.Config(), table.Members()
	zoneOf, sizes := make(map[NodeID]string), make(map[string]int)
	for _, m := range members {
		zone := m.Zone
		if zone == "" {
			zone = "no zone: " + string(m.ID)
		}
		zoneOf[m.ID] = zone
		sizes[zone]++
	}
	copies, primaries := make(map[NodeID]int), make(map[NodeID]int)
	for p := range PartitionID(cfg.Partitions) {
		row := table.Replicas(p)
		if len(row) != cfg.Replicas {
			t.Fatalf("partition %d has %d replicas, want %d", p, len(row), cfg.Replicas)
		}
		primaries[row[0]]++
		inZone := make(map[string]int)
		for i, id := range row {
			if slices.Contains(row[:i], id) {
				t.Fatalf("partition %d has %s twice: %v", p, id, row)
			}
			copies[id]++
			inZone[zoneOf[id]]++
		}
		checkSpread(t, p, inZone, sizes)
	}
	checkLoads(t, table, zoneOf, sizes, copies, primaries)
}

// checkSpread: no zone has two replicas more than another that has a node to spare.
func checkSpread(t rapid.TB, p PartitionID, inZone, sizes map[string]int) {
	t.Helper()
	most, least := 0, math.MaxInt
	for zone, size := range sizes {
		most = max(most, inZone[zone])
		if inZone[zone] < size {
			least = min(least, inZone[zone])
		}
	}
	if least != math.MaxInt && most > least+1 {
		t.Fatalf("partition %d is spread unevenly: %v over zones of %v", p, inZone, sizes)
	}
}

func checkLoads(t rapid.TB, table *Table, zoneOf map[NodeID]string, sizes map[string]int, copies, primaries map[NodeID]int) {
	t.Helper()
	cfg, n := table.Config(), len(table.Members())
	mean := float64(cfg.Partitions) / float64(n)
	forced := forcedShares(cfg, sizes)
	for _, m := range table.Members() {
		gotPrimaries, gotCopies := table.Counts(m.ID)
		if gotPrimaries != primaries[m.ID] || gotCopies != copies[m.ID] {
			t.Fatalf("Counts(%s) = %d, %d, the table has %d, %d", m.ID, gotPrimaries, gotCopies, primaries[m.ID], copies[m.ID])
		}
		if limit := int(math.Ceil(mean * cfg.LoadMax)); gotPrimaries > limit {
			t.Fatalf("%s is primary of %d partitions, the limit is %d", m.ID, gotPrimaries, limit)
		}
		limit := max(int(math.Ceil(mean*float64(cfg.Replicas)*cfg.LoadMax)), forced[zoneOf[m.ID]])
		if gotCopies > limit {
			t.Fatalf("%s holds %d copies, the limit is %d (zones %v)", m.ID, gotCopies, limit, sizes)
		}
	}
}

// forcedShares works out, apart from the planner, what a node of each zone has to hold if the copies are spread over
// zones as the rule says and as evenly over nodes as it leaves free, rounded up: water poured into vessels.
func forcedShares(cfg Config, sizes map[string]int) map[string]int {
	level := 1
	fits := func(level int) (sum int) {
		for _, size := range sizes {
			sum += min(size, level)
		}
		return sum
	}
	for fits(level) < cfg.Replicas {
		level++
	}
	extra := cfg.Replicas
	for _, size := range sizes {
		extra -= min(size, level-1)
	}
	share := func(perNode float64, size int) float64 {
		base := float64(min(size, level-1) * cfg.Partitions)
		top := base
		if size >= level && extra > 0 {
			top += float64(cfg.Partitions)
		}
		return min(max(perNode*float64(size), base), top)
	}
	low, high := 0.0, float64(cfg.Partitions)
	for range 100 {
		middle, sum := (low+high)/2, 0.0
		for _, size := range sizes {
			sum += share(middle, size)
		}
		if sum < float64(cfg.Partitions*cfg.Replicas) {
			low = middle
		} else {
			high = middle
		}
	}
	forced := make(map[string]int)
	for zone, size := range sizes {
		// The level is a whole number for the planner: it is rounded up before it is shared out.
		forced[zone] = int(math.Ceil(share(math.Ceil(high-1e-6), size)/float64(size) - 1e-6))
	}
	return forced
}

func drawMembers(t *rapid.T, atLeast int) []Member {
	n := rapid.IntRange(atLeast, max(atLeast, rapid.SampledFrom([]int{3, 8, 24, 60}).Draw(t, "size"))).Draw(t, "members")
	zones := rapid.IntRange(0, 6).Draw(t, "zones")
	ms := make([]Member, n)
	for i := range ms {
		ms[i].ID = NodeID(fmt.Sprintf("node-%d", i))
		if zones > 0 {
			if z := rapid.IntRange(0, zones).Draw(t, "zone"); z > 0 {
				ms[i].Zone = fmt.Sprintf("z%d", z)
			}
		}
	}
	return ms
}

func drawConfig(t *rapid.T) Config {
	return Config{
		Partitions:   rapid.SampledFrom([]int{1, 2, 7, 16, 64, 101, 256}).Draw(t, "partitions"),
		Replicas:     rapid.IntRange(1, 7).Draw(t, "replicas"),
		VirtualNodes: rapid.SampledFrom([]int{1, 8, 40}).Draw(t, "virtual nodes"),
		Load:         rapid.SampledFrom([]float64{1, 1.1, 1.25}).Draw(t, "load"),
		LoadMax:      rapid.SampledFrom([]float64{1.25, 1.5}).Draw(t, "load max"),
	}
}

func TestEveryTableKeepsItsPromisesThroughMembershipChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		var table *Table
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			members := drawMembers(t, cfg.Replicas)
			next := mustPlan(t, table, members, cfg)
			checkTable(t, next)
			table = next
		}
	})
}

func TestATableDependsOnTheSetOfMembersOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		before := mustPlan(t, nil, drawMembers(t, cfg.Replicas), cfg)
		members := drawMembers(t, cfg.Replicas)
		shuffled := rapid.Permutation(members).Draw(t, "order")
		for _, old := range []*Table{nil, before} {
			a, b := mustPlan(t, old, members, cfg), mustPlan(t, old, shuffled, cfg)
			if a.Fingerprint() != b.Fingerprint() || len(Diff(a, b)) != 0 || a.Version() != b.Version() {
				t.Fatalf("another order of members made another table: %v", Diff(a, b))
			}
		}
	})
}

func TestPlanningTheSameMembersAgainMovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		members := drawMembers(t, cfg.Replicas)
		a := mustPlan(t, nil, members, cfg)
		b := mustPlan(t, a, members, cfg)
		if moves := Moves(a, b); len(moves) != 0 {
			t.Fatalf("%d copies moved", len(moves))
		}
		if b.Version() != a.Version()+1 || b.Fingerprint() != a.Fingerprint() {
			t.Fatalf("version %d after %d, fingerprint %s after %s", b.Version(), a.Version(), b.Fingerprint(), a.Fingerprint())
		}
	})
}

// A change of this fingerprint means that another version of this package, or of a library, places copies elsewhere:
// a cluster that is upgraded node by node falls apart. Then raise Algorithm, and see that there is a way to get from
// one to the other.
func TestPlacementIsWhatEarlierVersionsPlaced(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []Member
		cfg     Config
		want    string
	}{
		{"3 nodes", nodes(3), Config{}, "4372d4b354fc7702"},
		{"10 nodes", nodes(10), Config{}, "ccbb2a06599dd3e5"},
		{"zones", zoned(3, 2, 2), Config{Partitions: 64}, "87cb98dea0ba77d0"},
		{"scarce zones", zoned(4, 1), Config{Partitions: 32, Replicas: 3}, "1ceb11319e765099"},
	} {
		if got := mustPlan(t, nil, c.members, c.cfg).Fingerprint().String(); got != c.want {
			t.Errorf("%s: fingerprint %s, want %s", c.name, got, c.want)
		}
	}
	grown := mustPlan(t, mustPlan(t, nil, nodes(5), Config{}), nodes(6), Config{})
	if got, want := grown.Fingerprint().String(), "a94f620c9ec28552"; got != want {
		t.Errorf("5 nodes grown to 6: fingerprint %s, want %s", got, want)
	}
}

func TestZonesWinOverLoadWhereBothCannotBe(t *testing.T) {
	table := mustPlan(t, nil, zoned(8, 1, 1), Config{})
	checkTable(t, table)
	for _, lone := range []NodeID{"n1-00", "n2-00"} {
		if _, copies := table.Counts(lone); copies != 256 {
			t.Errorf("%s holds %d partitions, its zone needs all 256", lone, copies)
		}
	}
	for i := range 8 {
		if _, copies := table.Counts(NodeID(fmt.Sprintf("n0-%02d", i))); copies < 30 || copies > 96 {
			t.Errorf("node %d of the large zone holds %d, its fair share is 32", i, copies)
		}
	}
}

func TestSmallCountsStayWithinTheirCaps(t *testing.T) {
	for _, c := range []struct {
		members []Member
		cfg     Config
	}{
		{nodes(1), Config{Replicas: 1}},
		{nodes(1), Config{Replicas: 1, Partitions: 1}},
		{nodes(3), Config{Partitions: 1}},
		{nodes(50), Config{Partitions: 1}},
		{nodes(50), Config{Partitions: 16}},
		{nodes(16), Config{Replicas: 16, Partitions: 5}},
		{nodes(7), Config{Load: 1, LoadMax: 1, Partitions: 7, Replicas: 3}},
		{zoned(2, 1), Config{Replicas: 3}},
		{zoned(5, 1), Config{Replicas: 3}},
		{zoned(5, 1, 1), Config{Replicas: 4}},
		{zoned(3, 3, 1), Config{Replicas: 5}},
		{zoned(3, 2, 2), Config{Load: 1, LoadMax: 1}},
	} {
		checkTable(t, mustPlan(t, nil, c.members, c.cfg))
	}
}

func TestAThousandMembersArePlannedInReasonableTime(t *testing.T) {
	if testing.Short() {
		t.Skip("a large table")
	}
	start := time.Now()
	cfg := Config{Partitions: 4096, VirtualNodes: 4} // with 128 the library sorts for ten seconds
	a := mustPlan(t, nil, nodes(1000), cfg)
	checkTable(t, a)
	b := mustPlan(t, a, nodes(1001), cfg)
	checkTable(t, b)
	if share := float64(len(Moves(a, b))) / float64(4096*3); share > 0.002 {
		t.Errorf("one more of a thousand moved %.2f %% of copies", share*100)
	}
	t.Logf("two tables of 4,096 partitions over 1,000 members in %v", time.Since(start))
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestInvalidInputIsAnErrorThatNamesIt(t *testing.T) {
	table := mustPlan(t, nil, nodes(3), Config{})
	for _, c := range []struct {
		old     *Table
		members []Member
		cfg     Config
		want    string
	}{
		{nil, nil, Config{}, "as many members"},
		{nil, nodes(2), Config{}, "there are 2"},
		{nil, nodes(3), Config{Partitions: -1}, "-1 partitions"},
		{nil, nodes(3), Config{Partitions: PartitionsMax + 1}, "partitions"},
		{nil, nodes(3), Config{Replicas: -1}, "-1 replicas"},
		{nil, nodes(30), Config{Replicas: 17}, "17 replicas"},
		{nil, nodes(3), Config{VirtualNodes: -5}, "-5 virtual nodes"},
		{nil, nodes(3), Config{VirtualNodes: math.MaxInt}, "virtual nodes"},
		{nil, nodes(3), Config{Load: 0.5}, "load 0.5"},
		{nil, nodes(3), Config{Load: math.NaN()}, "load NaN"},
		{nil, nodes(3), Config{Load: -1}, "load -1"},
		{nil, nodes(3), Config{LoadMax: math.Inf(1)}, "+Inf"},
		{nil, nodes(3), Config{Load: math.Inf(1)}, "+Inf"},
		{nil, nodes(3), Config{Load: 2, LoadMax: 1.5}, "load 2"},
		{nil, append(nodes(3), Member{ID: "n01"}), Config{}, "n01 is listed twice"},
		{nil, append(nodes(3), Member{}), Config{}, "empty name"},
		{nil, append(nodes(3), Member{ID: "a b"}), Config{}, `"a b"`},
		{nil, append(nodes(3), Member{ID: "ä"}), Config{}, "not a letter"},
		{nil, append(nodes(3), Member{ID: NodeID(strings.Repeat("x", 65))}), Config{}, "65 bytes"},
		{nil, append(nodes(3), Member{ID: "x", Zone: "a/b"}), Config{}, "zone"},
		{nil, nodes(MembersMax + 1), Config{}, "1025 members"},
		{table, nodes(4), Config{Partitions: 128}, "cannot change"},
	} {
		got, err := Plan(c.old, c.members, c.cfg)
		if err == nil || got != nil || !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("plan %+v of %d members: %v, want ErrConfig with %q", c.cfg, len(c.members), err, c.want)
		}
	}
}

func TestAnyConfigIsPlannedOrRefusedButNeverPanics(t *testing.T) {
	loads := []float64{0, 1, 1.01, 1.3, 2, 15.9, -1, 0.99, 17, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)}
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Partitions:   rapid.IntRange(-3, 300).Draw(t, "partitions"),
			Replicas:     rapid.IntRange(-1, 5).Draw(t, "replicas"),
			VirtualNodes: rapid.IntRange(-2, 40).Draw(t, "virtual nodes"),
			Load:         rapid.SampledFrom(loads).Draw(t, "load"),
			LoadMax:      rapid.SampledFrom(loads).Draw(t, "load max"),
		}
		var members []Member
		for range rapid.IntRange(0, 12).Draw(t, "members") {
			members = append(members, Member{
				ID:   NodeID(rapid.StringMatching(`[a-f]{1,3}|[ä.]?`).Draw(t, "id")),
				Zone: rapid.StringMatching(`[xy]?`).Draw(t, "zone"),
			})
		}
		if table, err := Plan(nil, members, cfg); err == nil {
			checkTable(t, table)
		} else if !errors.Is(err, ErrConfig) {
			t.Fatal(err)
		}
	})
}

func BenchmarkPlanTenNodes(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustPlan(b, nil, nodes(10), Config{})
	}
}
