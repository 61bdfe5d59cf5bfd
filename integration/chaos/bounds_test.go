package chaos

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// recorder has the numbers of the packets that were written to it.
type recorder []uint16

func (r *recorder) Write(packet []byte) (int, error) {
	*r = append(*r, binary.BigEndian.Uint16(packet))
	return len(packet), nil
}

func (*recorder) Close() error { return nil }

func TestNoMorePacketsAreHeldBackThanABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tooMany = 10
		var arrived recorder
		p := &packets{out: &arrived, imposed: map[string]condition{"slow": {delay: time.Second}}, late: make(chan latePacket, latePacketsMax)}
		for i := range latePacketsMax + tooMany {
			p.pass(binary.BigEndian.AppendUint16(nil, uint16(i)))
		}
		close(p.late)
		p.sendLate()
		if len(arrived) != latePacketsMax {
			t.Fatalf("%d packets came, want %d", len(arrived), latePacketsMax)
		}
		for i, number := range arrived {
			if int(number) != i {
				t.Fatalf("packet %d came as number %d", number, i)
			}
		}
	})
}

func TestWhoAsksTooMuchOfALineWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{todo: make(chan func() error, changesMax)} // it is stuck: nobody does what is asked for
		for range changesMax {
			l.reset()
		}
		asked := false
		go func() {
			l.lift("f", forward, condition{cut: true})
			asked = true
		}()
		synctest.Wait()
		if asked {
			t.Error("nobody waits for a line that has too much to do")
		}
		<-l.todo
		synctest.Wait()
		if !asked || len(l.todo) != changesMax {
			t.Errorf("%d changes are left to do, want %d: one was left out", len(l.todo), changesMax)
		}
	})
}
