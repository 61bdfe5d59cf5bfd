package ring

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/buraksezer/consistent"
	"pgregory.net/rapid"
)

func TestAKeyIsInThePartitionThatTheLibraryPutsItIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 1000).Draw(t, "partitions")
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		c := consistent.New(nil, consistent.Config{Hasher: xxhasher{}, PartitionCount: count})
		if got, want := PartitionOf(key, count), c.FindPartitionID(key); int(got) != want {
			t.Fatalf("partition %d, the library says %d", got, want)
		}
	})
}

func TestPrimariesAreThoseOfTheLibrary(t *testing.T) {
	members := nodes(7)
	var ms []consistent.Member
	for i, m := range members {
		ms = append(ms, ringMember{index: int32(i), name: string(m.ID)})
	}
	c := consistent.New(ms, consistent.Config{Hasher: xxhasher{}, PartitionCount: 256, ReplicationFactor: 128, Load: 1.10})
	table := mustPlan(t, mustPlan(t, nil, nodes(5), Config{}), members, Config{})
	for p := range PartitionID(256) {
		if got, want := table.Replicas(p)[0], c.GetPartitionOwner(int(p)).String(); string(got) != want {
			t.Fatalf("partition %d has the primary %s, the library says %s", p, got, want)
		}
	}
}

func TestThePreferenceListIsTheReplicasThenEveryOtherMemberOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		table := mustPlan(t, nil, drawMembers(t, cfg.Replicas), cfg)
		p := PartitionID(rapid.IntRange(0, cfg.Partitions-1).Draw(t, "partition"))
		list := table.Preference(p)
		if !slices.Equal(list[:table.N()], table.Replicas(p)) {
			t.Fatalf("%v does not begin with the replicas %v", list, table.Replicas(p))
		}
		sorted := slices.Clone(list)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(table.Members()) {
			t.Fatalf("%v does not name each of %d members once", list, len(table.Members()))
		}
	})
}

func TestFallbacksComeFromZonesWithoutAReplicaFirst(t *testing.T) {
	table := mustPlan(t, nil, zoned(3, 3, 3, 3), Config{})
	for p := range PartitionID(256) {
		list := table.Preference(p)
		taken := make(map[byte]bool)
		for _, id := range list[:3] {
			taken[id[1]] = true
		}
		if taken[list[3][1]] {
			t.Fatalf("partition %d: %v falls back to a zone that it is in already", p, list)
		}
	}
}

func TestWhatIsOutOfRangeOrNoMemberIsEmpty(t *testing.T) {
	table := mustPlan(t, nil, nodes(3), Config{})
	if table.Replicas(256) != nil || table.Replicas(1<<32-1) != nil || table.Preference(256) != nil {
		t.Error("a partition out of range has replicas")
	}
	if p, r := table.Counts("other"); p != 0 || r != 0 || table.Has("other") || table.Partitions("other") != nil {
		t.Error("who is no member holds something")
	}
	if table.Holds("n01", 256) || !table.Holds("n01", 0) {
		t.Error("Holds is wrong at the edge of the range")
	}
}

func TestPartitionsListsWhatReplicasNames(t *testing.T) {
	table := mustPlan(t, nil, nodes(5), Config{Partitions: 16})
	for _, m := range table.Members() {
		var want []PartitionID
		for p := range PartitionID(16) {
			if slices.Contains(table.Replicas(p), m.ID) {
				want = append(want, p)
			}
		}
		if got := table.Partitions(m.ID); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", m.ID, got, want)
		}
	}
}

func TestDiffNamesEveryKindOfDifference(t *testing.T) {
	base := mustPlan(t, nil, nodes(4), Config{})
	moved := nodes(4)
	moved[2].Zone = "east"
	for _, c := range []struct {
		name    string
		members []Member
		cfg     Config
		want    string
	}{
		{"partitions", nodes(4), Config{Partitions: 128}, "partition count: 256 against 128"},
		{"replicas", nodes(4), Config{Replicas: 2}, "replicas (N): 3 against 2"},
		{"virtual nodes", nodes(4), Config{VirtualNodes: 64}, "virtual nodes: 128 against 64"},
		{"load", nodes(4), Config{Load: 1.2}, "load: 1.1 to 1.25 against 1.2 to 1.25"},
		{"fewer", nodes(3), Config{}, "members only in the first: n04"},
		{"more", nodes(5), Config{}, "members only in the second: n05"},
		{"many more", nodes(30), Config{}, "and 18 more"},
		{"zone", moved, Config{}, `zone of n03 ("" against "east")`},
	} {
		other := mustPlan(t, nil, c.members, c.cfg)
		if diff := strings.Join(Diff(base, other), "\n"); !strings.Contains(diff, c.want) {
			t.Errorf("%s: %q does not say %q", c.name, diff, c.want)
		}
		if base.Fingerprint() == other.Fingerprint() {
			t.Errorf("%s: the fingerprints are equal", c.name)
		}
	}
	if diff := Diff(base, mustPlan(t, nil, nodes(4), Config{})); len(diff) != 0 {
		t.Errorf("equal tables differ in %v", diff)
	}
}

func TestDiffTellsTablesThatWerePlannedFromDifferentOnes(t *testing.T) {
	fresh := mustPlan(t, nil, nodes(6), Config{})
	grown := mustPlan(t, mustPlan(t, nil, nodes(5), Config{}), nodes(6), Config{})
	if diff := Diff(fresh, grown); len(diff) != 1 || !strings.Contains(diff[0], "copies are elsewhere") {
		t.Errorf("got %q", diff)
	}
}

func TestMovesNamesWhoGetsWhatFromWhom(t *testing.T) {
	a := mustPlan(t, nil, nodes(4), Config{})
	b := mustPlan(t, a, nodes(5), Config{})
	moves := Moves(a, b)
	if len(moves) == 0 {
		t.Fatal("a fifth node got nothing")
	}
	for _, m := range moves {
		if a.Holds(m.To, m.Partition) || !b.Holds(m.To, m.Partition) || !slices.Equal(m.From, a.Replicas(m.Partition)) {
			t.Fatalf("%+v is no move from %v to %v", m, a.Replicas(m.Partition), b.Replicas(m.Partition))
		}
	}
	if Moves(a, mustPlan(t, nil, nodes(4), Config{Partitions: 16})) != nil {
		t.Error("moves between tables of different partition counts")
	}
}

func TestRoutingAKeyAllocatesNothing(t *testing.T) {
	table := mustPlan(t, nil, nodes(5), Config{})
	key := []byte("debian/bookworm/golang-go")
	if n := testing.AllocsPerRun(100, func() { table.Replicas(table.Partition(key)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRouteKey(b *testing.B) {
	table := mustPlan(b, nil, nodes(5), Config{})
	key := []byte("debian/bookworm/golang-go")
	b.ReportAllocs()
	for b.Loop() {
		table.Replicas(table.Partition(key))
	}
}

func ExamplePlan() {
	table, err := Plan(nil, []Member{{ID: "a"}, {ID: "b"}, {ID: "c"}}, Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := table.Partition([]byte("user:42"))
	fmt.Println(len(table.Replicas(p)), "replicas of", table.PartitionCount(), "partitions")
	// Output: 3 replicas of 256 partitions
}
