package hintedhandoff

import (
	"slices"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestRepairThatBeganBeforeADropDoesNotEndTheNeed(t *testing.T) {
	w := newWorld()
	s := mustOpen(t, w.options(vfstest.New()))
	p := Pair{"n1", 3}
	if _, ok := s.NeedOf("n1", 3); ok || s.Repaired("n1", 3, 0) {
		t.Fatal("nothing was dropped yet")
	}
	s.need(p)
	s.need(p) // before anybody has seen it: the same need
	before, ok := s.NeedOf("n1", 3)
	if !ok || len(w.repairs) != 1 {
		t.Fatalf("%v, told of %v", ok, w.repairs)
	}
	s.need(p)
	if s.Repaired("n1", 3, before.Token) {
		t.Fatal("what was dropped after the exchange began is forgotten")
	}
	after, _ := s.NeedOf("n1", 3)
	if after.Token == before.Token || after.Since != before.Since || len(w.repairs) != 2 {
		t.Fatalf("%+v, before %+v, told of %v", after, before, w.repairs)
	}
	if !s.Repaired("n1", 3, after.Token) || len(s.Needs()) != 0 {
		t.Fatal("the need stays")
	}
}

func TestNeedsAreWrittenAsTheyAreLast(t *testing.T) {
	disk := vfstest.New()
	o := newWorld().options(disk)
	s := mustOpen(t, o)
	kept, ended := Pair{"n1", 1}, Pair{"n2", 2}
	reopened := func() *Store {
		t.Helper()
		if err := s.writeNeeds(); err != nil {
			t.Fatal(err)
		}
		o.Storage.FS = disk.Crash(vfstest.Nothing())
		return mustOpen(t, o)
	}
	s.need(kept)
	s.need(ended)
	if needs := reopened().Needs(); len(needs) != 2 {
		t.Fatalf("needs %v", needs)
	}
	need, _ := s.NeedOf(ended.Target, ended.Partition)
	s.Repaired(ended.Target, ended.Partition, need.Token)
	if needs := reopened().Needs(); len(needs) != 1 || needs[0].Pair != kept {
		t.Fatalf("needs %v", needs)
	}
	s.need(ended) // a new one, before the end of the old one is written again
	if needs := reopened().Needs(); !slices.ContainsFunc(needs, func(n Need) bool { return n.Pair == ended }) {
		t.Fatalf("needs %v", needs)
	}
}

func TestDroppingManyHintsOfAPartitionWritesOneRecord(t *testing.T) {
	s := mustOpen(t, newWorld().options(vfstest.New()))
	for range 1000 {
		s.need(Pair{"n1", 1})
		if err := s.writeNeeds(); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.engine.Stats().Records; n != 1 {
		t.Errorf("%d records were written", n)
	}
}
