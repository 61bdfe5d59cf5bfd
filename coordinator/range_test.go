package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// pages walks a range page by page and returns all of its items.
func (n *fakeNode) pages(req RangeRequest) (items []RangeItem, missing []ring.PartitionID, pages int, err error) {
	for {
		page, err := n.coord.Range(context.Background(), &req)
		if err != nil {
			return items, missing, pages, err
		}
		pages++
		items = append(items, page.Items...)
		missing = append(missing, page.Missing...)
		if !page.More {
			return items, missing, pages, nil
		}
		if req.Reverse {
			req.End = page.Resume
		} else {
			req.Start = page.Resume
		}
	}
}

func text(items []RangeItem) (out []string) {
	for _, it := range items {
		out = append(out, string(it.Key)+"="+values(it.Object))
	}
	return out
}

// fill puts keys k000, k001, … on all of their replicas.
func (c *cluster) fill(keys int) (want []string) {
	for i := range keys {
		k := fmt.Sprintf("k%03d", i)
		for _, n := range c.replicasOf(k) {
			n.set(k, obj("a1="+k))
		}
		want = append(want, k+"="+k)
	}
	return want
}

func TestARangeIsInOrderThroughEveryNode(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		c.delay = 5 * time.Millisecond
		want := c.fill(200)
		for _, n := range c.nodes {
			for _, limit := range []int{0, 1, 7, 200, 1000} {
				items, _, _, err := n.pages(RangeRequest{Limit: limit})
				if err != nil || !slices.Equal(text(items), want) {
					t.Errorf("%s, limit %d: %d items, %v", n.id, limit, len(items), err)
				}
				items, _, _, err = n.pages(RangeRequest{Limit: limit, Reverse: true})
				slices.Reverse(items)
				if err != nil || !slices.Equal(text(items), want) {
					t.Errorf("%s, limit %d in reverse: %d items, %v", n.id, limit, len(items), err)
				}
			}
		}
	})
}

func TestARangeKeepsItsBounds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.fill(100)
		for _, reverse := range []bool{false, true} {
			for _, limit := range []int{0, 3} {
				req := RangeRequest{Start: []byte("k010"), End: []byte("k020"), Limit: limit, Reverse: reverse}
				items, _, _, err := c.nodes[1].pages(req)
				if err != nil || len(items) != 10 {
					t.Errorf("reverse %v, limit %d: %v, %v", reverse, limit, text(items), err)
				}
			}
		}
		for _, req := range []RangeRequest{
			{Start: []byte("k020"), End: []byte("k010")}, {Start: []byte("k01"), End: []byte("k01")}, {Start: []byte("x")},
		} {
			if items, _, pages, err := c.nodes[0].pages(req); err != nil || len(items) != 0 || pages != 1 {
				t.Errorf("%q to %q: %v, %v", req.Start, req.End, text(items), err)
			}
		}
	})
}

func TestARangeOfKeysOnlyReadsNoValue(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.fill(10)
		items, _, _, err := c.nodes[0].pages(RangeRequest{KeysOnly: true})
		if err != nil || len(items) != 10 || items[0].Object.Siblings[0].Value != nil {
			t.Errorf("%v, %v", text(items), err)
		}
	})
}

func TestAPageIsBoundedInBytesAndInTombstonesPassed(t *testing.T) {
	bubble(t, func(o *Options) { o.RangePassedMax = 10 }, func(t *testing.T, c *cluster) {
		for i := range 100 {
			k := fmt.Sprintf("k%03d", i)
			for _, n := range c.nodes {
				n.set(k, obj("a1=†"))
			}
		}
		for _, n := range c.nodes {
			n.set("k099", obj("a1=0123456789"))
			n.set("k098", obj("a1=0123456789"))
			n.set("k097", obj("a1=0123456789"))
		}
		items, _, pages, err := c.nodes[0].pages(RangeRequest{})
		if err != nil || len(items) != 3 || pages != 10 {
			t.Errorf("%d items in %d pages, %v", len(items), pages, err)
		}
		page, err := c.nodes[0].coord.Range(context.Background(), &RangeRequest{Start: []byte("k097"), BytesMax: 20})
		if err != nil || len(page.Items) != 2 || !page.More {
			t.Errorf("a page of 20 bytes: %v, %v", text(page.Items), err)
		}
	})
}

func TestAnExpiredKeyIsNotInARange(t *testing.T) {
	var now time.Time
	bubble(t, func(o *Options) { o.Now = func() time.Time { return now } }, func(t *testing.T, c *cluster) {
		o := obj("a1=v")
		o.Siblings[0].ExpiresAt = 1000
		for _, n := range c.nodes {
			n.set("k", o)
		}
		for _, tc := range []struct {
			millis int64
			want   int
		}{{999, 1}, {1000, 0}} {
			now = time.UnixMilli(tc.millis)
			if items, _, _, err := c.nodes[0].pages(RangeRequest{}); err != nil || len(items) != tc.want {
				t.Errorf("at %d: %v, %v", tc.millis, text(items), err)
			}
		}
	})
}

func TestAReplicaThatFailsMidwayIsReplaced(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		sixNodes(t, func(o *Options) { o.RangeRoundsMax = 1000 }, func(t *testing.T, c *cluster) {
			want := c.fill(300)
			for _, n := range c.nodes {
				n.pageMax = 5 // many pages of each replica for one of the range
			}
			c.delay = 2 * time.Millisecond
			time.AfterFunc(10*time.Millisecond, func() {
				at := slices.IndexFunc(c.nodes[1:], func(n *fakeNode) bool { return n.called("scan") > 0 })
				c.nodes[1+at].cause(func(w *trouble) { w.down = true })
			})
			page, err := c.nodes[0].coord.Range(context.Background(), &RangeRequest{Reverse: reverse})
			if err != nil || page.More || len(page.Items) != len(want) {
				t.Fatalf("reverse %v: %v", reverse, err)
			}
			if reverse {
				slices.Reverse(page.Items)
			}
			if !slices.Equal(text(page.Items), want) || c.nodes[0].coord.metrics.RangeReplans.Load() == 0 {
				t.Errorf("reverse %v: %d items, %d of them asked for", reverse, len(page.Items), len(want))
			}
		})
	}
}

func TestAHungReplicaLeavesTimeForAnother(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		want := c.fill(20)
		c.nodes[1].silent = true
		began := time.Now()
		items, _, _, err := c.nodes[0].pages(RangeRequest{})
		if err != nil || !slices.Equal(text(items), want) || time.Since(began) >= time.Second {
			t.Errorf("after %s: %d items, %v", time.Since(began), len(items), err)
		}
	})
}

func TestPartitionsWithoutEnoughReplicasAreNamed(t *testing.T) {
	sixNodes(t, nil, func(t *testing.T, c *cluster) {
		want := c.fill(200)
		c.nodes[2].down, c.nodes[3].down = true, true // partitions p have replicas p, p+1, p+2 of six
		lost := []ring.PartitionID{1, 2, 7, 8}
		var e *RangeError
		_, _, _, err := c.nodes[0].pages(RangeRequest{})
		if !errors.As(err, &e) || !slices.Equal(e.Partitions, lost) || e.Need != 2 || e.Got != 1 || len(e.Causes) == 0 {
			t.Errorf("got %v", err)
		}
		items, missing, _, err := c.nodes[0].pages(RangeRequest{Partial: true})
		want = slices.DeleteFunc(want, func(s string) bool { return slices.Contains(lost, c.table.Partition([]byte(s[:4]))) })
		if err != nil || !slices.Equal(missing, lost) || !slices.Equal(text(items), want) {
			t.Errorf("partial: %d items of %d, missing %v, %v", len(items), len(want), missing, err)
		}
	})
}

func TestARangeWithoutAnAnswerInTimeNamesTheSilent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.fill(5)
		c.nodes[1].deaf = true
		began := time.Now()
		var e *RangeError
		_, _, _, err := c.nodes[0].pages(RangeRequest{})
		if !errors.As(err, &e) || e.Need != 2 || e.Got != 1 || len(e.Partitions) != 8 || e.Causes[0].Node != "n2" {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("after %s", d)
		}
	})
}

func TestADeadlineInTheMiddleOfARangeCutsThePage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		want := c.fill(200)
		for _, n := range c.nodes {
			n.pageMax = 10
		}
		c.delay = 100 * time.Millisecond
		req := RangeRequest{Deadline: time.Now().Add(time.Second)}
		page, err := c.nodes[0].coord.Range(context.Background(), &req)
		if err != nil || !page.More || len(page.Items) == 0 || len(page.Items) == 200 {
			t.Fatalf("got %v", err)
		}
		rest, _, _, err := c.nodes[0].pages(RangeRequest{Start: page.Resume, Deadline: time.Now().Add(time.Minute)})
		if got := append(text(page.Items), text(rest)...); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d items in all, %v", len(got), err)
		}
	})
}

func TestACallerOfARangeWhoGoesAwayIsLetGo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.nodes[1].silent = true
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := c.nodes[0].coord.Range(ctx, &RangeRequest{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAScanPageThatGetsNowhereIsAFailedReplica(t *testing.T) {
	for name, page := range map[string]*ScanPage{
		"none": nil, "no resume": {More: true}, "resume at the start": {More: true, Resume: []byte("a")},
	} {
		bubble(t, nil, func(t *testing.T, c *cluster) {
			want := c.fill(5)
			c.nodes[1].scans = func(ScanRequest) *ScanPage { return page }
			items, _, _, err := c.nodes[0].pages(RangeRequest{Start: []byte("a")})
			if err != nil || !slices.Equal(text(items), want) || c.nodes[0].coord.metrics.RangeReplans.Load() != 1 {
				t.Errorf("%s: %v, %v", name, text(items), err)
			}
		})
	}
}

func TestBadRangesAreRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		for name, tc := range map[string]struct {
			req  RangeRequest
			want error
		}{
			"long start":     {RangeRequest{Start: make([]byte, 4098)}, ErrTooLarge},
			"long end":       {RangeRequest{End: make([]byte, 4098)}, ErrTooLarge},
			"negative limit": {RangeRequest{Limit: -1}, ErrBadRequest},
			"negative bytes": {RangeRequest{BytesMax: -1}, ErrBadRequest},
			"r of four":      {RangeRequest{R: 4}, ErrBadRequest},
			"too late":       {RangeRequest{Deadline: time.Now()}, context.DeadlineExceeded},
		} {
			if _, err := c.nodes[0].coord.Range(context.Background(), &tc.req); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

func TestARangeThatNobodyAnswersFailsAtTheDeadline(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		c.fill(5)
		c.nodes[1].silent, c.nodes[2].silent = true, true
		began := time.Now()
		var e *RangeError
		if _, _, _, err := c.nodes[0].pages(RangeRequest{}); !errors.As(err, &e) || e.Got != 1 || time.Since(began) > time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestAKeyThatAReplicaHasLostIsReadFromOthers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, c *cluster) {
		want := c.fill(10)
		c.nodes[0].quar["k003"] = true
		c.nodes[0].quar["k005"] = true
		for _, n := range c.nodes[1:] {
			n.set("k005", obj("b2=†/a1"))
		}
		items, _, _, err := c.nodes[0].pages(RangeRequest{})
		want = slices.Delete(want, 5, 6)
		if err != nil || !slices.Equal(text(items), want) {
			t.Errorf("%v, %v", text(items), err)
		}
		c.nodes[1].quar["k003"] = true
		var e *RangeError
		if _, _, _, err := c.nodes[2].pages(RangeRequest{}); !errors.As(err, &e) || e.Got != 1 {
			t.Errorf("one replica of three can vouch for k003: %v", err)
		}
	})
}

func TestKeysThatReplicasDisagreeAboutAreRepairedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(newFakeTable(5, 5, 8), 5, func(o *Options) { o.R = 2 })
		c.fill(10)
		c.nodes[0].set("k004", obj("b2=new/a1"))
		ctx, stop := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- c.nodes[0].coord.Run(ctx) }()
		if _, _, _, err := c.nodes[0].pages(RangeRequest{KeysOnly: true}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for _, n := range c.nodes {
			if values(n.object("k004")) != "new" {
				t.Errorf("%s holds %q", n.id, values(n.object("k004")))
			}
		}
		if n := c.nodes[0].coord.metrics.BackgroundRepairs.Load(); n != 1 {
			t.Errorf("%d repairs", n)
		}
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		c.wait.Wait()
	})
}

func TestWhatAQuorumRangeShowedNoLaterOneTakesBack(t *testing.T) {
	for _, held := range []string{"b2=new/a1", "b2=†/a1"} {
		for _, keysOnly := range []bool{false, true} {
			bubble(t, nil, func(t *testing.T, c *cluster) {
				c.fill(10)
				c.nodes[0].set("k004", obj(held)) // a write that reached one replica
				first, _, _, err := c.nodes[0].pages(RangeRequest{KeysOnly: keysOnly})
				if err != nil {
					t.Fatal(err)
				}
				if keysOnly && slices.ContainsFunc(first, func(i RangeItem) bool { return i.Object.ValueBytes() > 0 }) {
					t.Errorf("a range of keys only has values: %v", text(first))
				}
				c.nodes[0].cause(func(w *trouble) { w.down = true })
				for _, n := range c.nodes[1:] {
					again, _, _, err := n.pages(RangeRequest{KeysOnly: keysOnly})
					if err != nil || !slices.Equal(text(again), text(first)) {
						t.Errorf("%s: first %v, then %v, %v", held, text(first), text(again), err)
					}
				}
			})
		}
	}
}

func TestARangeIsCutBeforeAKeyThatCannotBeRepaired(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		bubble(t, nil, func(t *testing.T, c *cluster) {
			want := c.fill(10)
			c.nodes[0].set("k004", obj("b2=new/a1"))
			for _, n := range c.nodes[1:] {
				n.onStore = func(ring.NodeID, []Item) error { return errors.New("disk full") }
			}
			items, _, _, err := c.nodes[0].pages(RangeRequest{Reverse: reverse})
			var e *RangeError
			if want := want[:4]; !reverse && (!errors.As(err, &e) || !slices.Equal(text(items), want)) {
				t.Errorf("%v, %v", text(items), err)
			}
			if reverse && (!errors.As(err, &e) || len(items) != 5 || string(items[4].Key) != "k005") {
				t.Errorf("in reverse: %v, %v", text(items), err)
			}
		})
	}
}

// A range shows, key by key, the join of R replicas, whatever they diverge in, wherever pages end.
func TestARangeEqualsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := rapid.IntRange(1, 5).Draw(rt, "nodes")
		n := rapid.IntRange(1, min(3, nodes)).Draw(rt, "n")
		c := newCluster(newFakeTable(nodes, n, 7), nodes, func(o *Options) {
			o.RangeRoundsMax = rapid.IntRange(1, 4).Draw(rt, "rounds")
			o.RangePassedMax = rapid.IntRange(1, 6).Draw(rt, "passed")
			o.ScanRecordsMax = rapid.IntRange(1, 9).Draw(rt, "records")
			o.ScanBytesMax = rapid.IntRange(1, 12).Draw(rt, "bytes")
			o.HedgeDelay = -1
		})
		states := rapid.SampledFrom([]string{"", "a1=x", "a1=x", "b1=y", "a1=x b1=y", "b2=†/a1", "a2=†/b1", "c3=z/a2 b2"})
		held := map[string][]causal.Object{}
		for range rapid.IntRange(0, 25).Draw(rt, "keys") {
			k := rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00")), 1, 3, -1).Draw(rt, "key")
			for i, node := range c.replicasOf(k) {
				o := obj(states.Draw(rt, fmt.Sprintf("%q on %s", k, node.id)))
				if held[k] == nil {
					held[k] = make([]causal.Object, n)
				}
				held[k][i] = o
				delete(node.dur, k)
				if len(o.Siblings) > 0 {
					node.set(k, o)
				}
			}
		}
		for _, node := range c.nodes {
			node.pageMax = rapid.IntRange(0, 4).Draw(rt, "page of "+string(node.id))
		}
		req := RangeRequest{
			R:       Level(n), // all: then the join is that of all replicas, and the model needs not know which were asked
			Reverse: rapid.Bool().Draw(rt, "reverse"), KeysOnly: rapid.Bool().Draw(rt, "keys only"),
			Limit: rapid.IntRange(0, 5).Draw(rt, "limit"), BytesMax: rapid.IntRange(0, 9).Draw(rt, "page bytes"),
			Start: []byte(rapid.SampledFrom([]string{"", "", "a", "ab\x00"}).Draw(rt, "start")),
			End:   []byte(rapid.SampledFrom([]string{"", "", "b", "ba"}).Draw(rt, "end")),
		}
		var want []string
		for _, k := range slices.Sorted(maps.Keys(held)) {
			o := causal.Object{}
			for _, h := range held[k] {
				o = causal.Join(o, h)
			}
			if w, ok := o.Winner(); !ok || w.Tombstone || k < string(req.Start) || len(req.End) > 0 && k >= string(req.End) {
				continue
			}
			if req.KeysOnly {
				o = o.Heads()
			}
			want = append(want, k+"="+values(o))
		}
		items, _, pages, err := c.nodes[0].pages(req)
		c.wait.Wait()
		if req.Reverse {
			slices.Reverse(items)
		}
		if err != nil || !slices.Equal(text(items), want) {
			rt.Fatalf("%+v\ngot  %q in %d pages, %v\nwant %q", req, text(items), pages, err, want)
		}
	})
}

// joinStreams runs a rangeJoin over streams whose pages are cut at random, and returns the keys in the order in which
// they come out. careless plants the bug of going beyond the end of a stream that was cut short.
func joinStreams(rt *rapid.T, held [][]string, reverse, careless bool) (out []string) {
	j := rangeJoin{reverse: reverse}
	for i := range held {
		j.open(i, nil)
	}
	told, cut := make([]int, len(held)), make([]bool, len(held))
	for {
		if k, ok := j.next(); ok {
			out = append(out, string(k.key)+fmt.Sprint(len(k.objects)))
			continue
		}
		if j.done() && !slices.Contains(cut, true) {
			return out
		}
		for i, s := range j.streams {
			s.more = s.more || cut[i]
			cut[i] = false
			if !s.short() {
				continue
			}
			page := &ScanPage{}
			upTo := rapid.IntRange(told[i]+min(1, len(held[i])-told[i]), len(held[i])).Draw(rt, "page")
			for ; told[i] < upTo; told[i]++ {
				k := []byte(held[i][told[i]])
				page.Items = append(page.Items, Item{Key: k})
				page.Resume = justBeyond(k)
				if reverse {
					page.Resume = k
				}
			}
			page.More = upTo < len(held[i]) || len(page.Items) > 0 && rapid.Bool().Draw(rt, "more than there is")
			j.page(s, page)
			if careless && s.more {
				s.more, cut[i] = false, true
			}
		}
	}
}

// drawStreams draws the sorted keys of some streams, and what their join must say of each key: how many streams have it.
func drawStreams(rt *rapid.T) (held [][]string, reverse bool, want []string) {
	reverse = rapid.Bool().Draw(rt, "reverse")
	times := map[string]int{}
	for range rapid.IntRange(0, 4).Draw(rt, "streams") {
		keys := rapid.SliceOfNDistinct(rapid.StringN(1, 2, 2), 0, 8, rapid.ID).Draw(rt, "keys")
		slices.Sort(keys)
		if reverse {
			slices.Reverse(keys)
		}
		for _, k := range keys {
			times[k]++
		}
		held = append(held, keys)
	}
	for _, k := range slices.Sorted(maps.Keys(times)) {
		want = append(want, k+fmt.Sprint(times[k]))
	}
	if reverse {
		slices.Reverse(want)
	}
	return held, reverse, want
}

func TestACutPageNeverHidesAKey(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		held, reverse, want := drawStreams(rt)
		if got := joinStreams(rt, held, reverse, false); !slices.Equal(got, want) {
			rt.Fatalf("reverse %v, %q: got %q, want %q", reverse, held, got, want)
		}
	})
}

func TestAJoinThatGoesBeyondACutPageIsNoticed(t *testing.T) {
	hides := rapid.Custom(func(rt *rapid.T) bool {
		held, reverse, want := drawStreams(rt)
		return !slices.Equal(joinStreams(rt, held, reverse, true), want)
	})
	for seed := range 1000 {
		if hides.Example(seed) {
			return
		}
	}
	t.Error("the test above would not see a page that goes beyond the end of a stream")
}
