package node

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/hintedhandoff"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

func TestTheFileHintsEndDoesNotChange(t *testing.T) {
	const golden = "5243484501" + "0102030405060708" + "d1ba8717"
	if got := hex.EncodeToString(appendHintsEnd(nil, 0x0102030405060708)); got != golden {
		t.Errorf("hints-end is %s, other versions expect %s", got, golden)
	}
}

func FuzzHintsEnd(f *testing.F) {
	valid := appendHintsEnd(nil, 4711)
	f.Add(valid)
	for i := range valid {
		f.Add(valid[:i])
		flipped := bytes.Clone(valid)
		flipped[i] ^= 1
		f.Add(flipped)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if seq, err := decodeHintsEnd(data); err == nil && !bytes.Equal(appendHintsEnd(nil, seq), data) {
			t.Errorf("%x is taken for %d", data, seq)
		}
	})
}

func TestAnEndThatIsMissingOfTheHintsIsNoticedOnceAndTheNodeGoesOn(t *testing.T) {
	var log bytes.Buffer
	n := &Node{cfg: Config{Dir: t.TempDir()}, opt: Options{}.withDefaults(), log: slog.New(slog.NewTextHandler(&log, nil))}
	o := hintedhandoff.Options{
		Partition: func([]byte) ring.PartitionID { return 0 },
		Send:      func(time.Time, ring.NodeID, []hintedhandoff.Item, func(error)) {},
		Storage:   storage.Options{Sync: storage.SyncNever, ReserveBytes: -1},
	}
	open := func() *hintedhandoff.Store {
		t.Helper()
		store, err := n.openHints(o)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	h := &handoff{n: n, store: open()}
	sibling := causal.Sibling{Dot: causal.Dot{Actor: 1, Time: 2}, Value: []byte("v")}
	added := make(chan error, 1)
	h.store.Add(time.Time{}, "n2", []hintedhandoff.Item{{Key: []byte("k"), Object: causal.Put(causal.Object{}, nil, false, sibling)}}, false,
		func(err error) { added <- err })
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	h.store = open()
	if st := h.store.Stats(); st.Hints != 1 || log.Len() > 0 {
		t.Fatalf("%d hints after a clean stop; %s", st.Hints, log.String())
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(n.cfg.Dir, "hints")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		store := open()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(log.String(), "hints for other nodes are lost"); got != 1 {
		t.Errorf("the loss was told %d times: %s", got, log.String())
	}
}
