package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/replica"
	"github.com/ringcask/ringcask/storage"
)

// newLone is a node that is its whole cluster.
func newLone(t *testing.T) *trio {
	t.Helper()
	tr := newTrio(t)
	tr.cfgs = tr.cfgs[:1]
	tr.cfgs[0].Members = tr.cfgs[0].Members[:1]
	return tr
}

// damageStored flips a byte in the middle of the only place where a stopped node has stored value.
func damageStored(t *testing.T, dir, value string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "engine", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, []byte(value)); at >= 0 {
			data[at+len(value)/2] ^= 1
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the value is in no file")
}

// hintFiles are those of the first node's log.
func (tr *trio) hintFiles() []string {
	files, err := filepath.Glob(filepath.Join(tr.cfgs[0].Dir, "engine", "*.hintfile"))
	if err != nil {
		tr.t.Fatal(err)
	}
	return files
}

// loseX stores values under x and y, in segments of their own, and has the first node lose that of x while it is stopped.
func (tr *trio) loseX() {
	tr.t.Helper()
	for i := range tr.cfgs {
		tr.cfgs[i].SegmentBytesMax = 64 << 10
	}
	tr.start()
	c := tr.client()
	for _, key := range []string{"x", "y"} {
		if _, err := c.Put(tr.t.Context(), []byte(key), bytes.Repeat([]byte(key), 70<<10), &client.PutOptions{W: client.LevelAll}); err != nil {
			tr.t.Fatal(err)
		}
	}
	c.Close()
	tr.await("the first segment has its hint file", func() bool { return len(tr.hintFiles()) > 0 })
	tr.end()
	damageStored(tr.t, tr.cfgs[0].Dir, strings.Repeat("x", 70<<10))
}

func TestTheOnlyCopyIsNotHealedAwayWhereItCannotBeRead(t *testing.T) {
	tr := newLone(t)
	tr.loseX()
	tr.start()
	defer tr.end()
	n := tr.nodes[0]
	if healed := n.healer.healAll(context.Background(), []string{"x"}); len(healed) > 0 {
		t.Error("it was healed by nobody")
	}
	if _, _, err := n.replica.Stored([]byte("x")); errors.Is(err, storage.ErrNotFound) || !replica.Unreadable(err) {
		t.Errorf("what was lost is not known to be: %v", err)
	}
}

func TestTheOnlyCopyServesWhatItCanVouchFor(t *testing.T) {
	tr := newLone(t)
	tr.loseX()
	for _, path := range tr.hintFiles() { // nothing else says whose record was lost
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	tr.start()
	defer tr.end()
	n := tr.nodes[0]
	n.healer.mend()
	n.healer.vouch(context.Background())
	c := tr.client()
	defer c.Close()
	if _, err := c.Get(t.Context(), []byte("x"), nil); err == nil || errors.Is(err, client.ErrNotFound) {
		t.Errorf("what was lost is not known to be: %v", err)
	}
	if _, err := c.Get(t.Context(), []byte("y"), nil); err != nil {
		t.Errorf("what is newer than the damage: %v", err)
	}
}

func TestAKeyIsNotHealedByOneOtherReplica(t *testing.T) {
	tr := newTrio(t)
	tr.loseX()
	all := tr.cfgs
	tr.cfgs = all[:2]
	tr.start()
	n := tr.nodes[0]
	if healed := n.healer.healAll(context.Background(), []string{"x"}); len(healed) > 0 {
		t.Error("healed by a replica that may not hold the last write")
	}
	if _, _, err := n.replica.Stored([]byte("x")); !replica.Unreadable(err) {
		t.Errorf("what was lost is not known to be: %v", err)
	}
	tr.end()
	tr.cfgs = all
	tr.start()
	defer tr.end()
	tr.await("it is healed by two", func() bool {
		_, _, err := tr.nodes[0].replica.Stored([]byte("x"))
		return err == nil
	})
}

// From the moment that damage is reported, the status says so.
func TestDamageShowsUntilItIsMadeUpFor(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	defer tr.end()
	n := tr.nodes[0]
	mending := func() bool { return n.Status().Replication.Mending }
	if mending() {
		t.Fatal("a new node has something to make up for")
	}
	fills := func() int64 { return n.exchanger.Counters().Filled.Load() }
	before := fills()
	n.healer.damaged(storage.Damage{Reason: "damaged by the test", FirstSeq: 1, LastSeq: 1})
	if s := n.Status().Replication; (!s.Mending || s.UnderReplicatedSince == 0) && fills() == before {
		t.Errorf("nothing is seen of damage: %+v", s)
	}
	tr.await("it is made up for", func() bool { return !mending() })
	if unfilled := n.Status().Replication.Unfilled; unfilled > 0 || fills() == before {
		t.Errorf("it was not: %d partitions are unfilled, %d were filled", unfilled, fills()-before)
	}
	n.healer.damaged(storage.Damage{Reason: "damaged by the test", KeysKnown: true, Keys: [][]byte{[]byte("x")}, KeyCount: 1})
	if s := n.Status().Replication; !s.Mending && s.Healing == 0 && n.healer.healed.Load() == 0 {
		t.Errorf("nothing is seen of a damaged key: %+v", s)
	}
	tr.await("a key is made up for", func() bool { s := n.Status().Replication; return !s.Mending && s.Healing == 0 })
}

func TestALossIsNotVouchedForAgainAtOnce(t *testing.T) {
	tr := newLone(t)
	tr.start()
	defer tr.end()
	h, failed := newHealer(tr.nodes[0]), time.Now()
	if !h.mayVouch(failed) {
		t.Error("the first attempt has to wait")
	}
	h.notBefore = failed.Add(vouchRetry)
	for _, tc := range []struct {
		needs int64
		after time.Duration
		may   bool
	}{
		{0, 0, false}, {0, vouchRetry, true},
		{1, vouchRetry, true}, {1 << 62, vouchRetry, false},
		{1 << 62, vouchRetry + vouchRetryFull, true}, // it may need less by then
	} {
		if h.needs = tc.needs; h.mayVouch(failed.Add(tc.after)) != tc.may {
			t.Errorf("%v after an attempt that needs %d bytes: want %v", tc.after, tc.needs, tc.may)
		}
	}
}
