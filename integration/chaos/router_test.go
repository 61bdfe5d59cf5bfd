package chaos

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// memoryEnd is an end of a router of which the test has the other side.
type memoryEnd struct {
	sent, arrived chan []byte
	closed        chan struct{}
}

func (e *memoryEnd) Read(p []byte) (int, error) {
	select {
	case packet := <-e.sent:
		return copy(p, packet), nil
	case <-e.closed:
		return 0, os.ErrClosed
	}
}

func (e *memoryEnd) Write(p []byte) (int, error) {
	e.arrived <- bytes.Clone(p)
	return len(p), nil
}

func (e *memoryEnd) Close() error { close(e.closed); return nil }

// memoryRouter is a router between three such ends.
func memoryRouter(t *testing.T) (*router, []*memoryEnd) {
	t.Helper()
	const ends, packetsMax = 3, heldBackMax + 10_000
	var all []*memoryEnd
	var as []io.ReadWriteCloser
	for range ends {
		e := &memoryEnd{make(chan []byte), make(chan []byte, packetsMax), make(chan struct{})}
		all, as = append(all, e), append(as, e)
	}
	r := newRouter(as)
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r, all
}

// datagram is a UDP packet between ends, with a number in it.
func datagram(from, to int, number byte) []byte {
	p := make([]byte, ipHeaderBytes+9)
	p[0], p[3], p[9], p[len(p)-1] = 4<<4|ipHeaderBytes/4, byte(len(p)), 17, number
	copy(p[12:], namespaceAddr(from))
	copy(p[16:], namespaceAddr(to))
	return p
}

// numbers are those of the packets that have arrived once all are on their way or there.
func numbers(e *memoryEnd) (list []byte) {
	for {
		select {
		case p := <-e.arrived:
			list = append(list, p[len(p)-1])
		default:
			return list
		}
	}
}

func TestARouterCutsOneWayAndLetsAllElsePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := memoryRouter(t)
		ways := [][2]int{{0, 1}}
		r.impose("cut", ways, condition{cut: true})
		send := func() {
			ends[0].sent <- datagram(0, 1, 1)
			ends[0].sent <- datagram(0, 2, 2)
			ends[1].sent <- datagram(1, 0, 3)
			ends[1].sent <- []byte("no packet")
			ends[1].sent <- datagram(1, 77, 4)
			synctest.Wait()
		}
		send()
		if a, b, c := numbers(ends[0]), numbers(ends[1]), numbers(ends[2]); string(a) != "\x03" || len(b) != 0 || string(c) != "\x02" {
			t.Errorf("during the cut %v, %v and %v arrived", a, b, c)
		}
		r.lift("cut", ways)
		send()
		if b := numbers(ends[1]); string(b) != "\x01" {
			t.Errorf("after the cut %v arrived", b)
		}
	})
}

func TestARouterHoldsPacketsBackInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := memoryRouter(t)
		r.impose("slow", [][2]int{{0, 1}}, condition{delay: 100 * time.Millisecond})
		const packets = 200
		for i := range packets {
			ends[0].sent <- datagram(0, 1, byte(i))
		}
		time.Sleep(49 * time.Millisecond)
		synctest.Wait()
		if got := numbers(ends[1]); len(got) > 0 {
			t.Fatalf("%d packets came before half of the delay", len(got))
		}
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		got := numbers(ends[1])
		for i, number := range got {
			if int(number) != i {
				t.Fatalf("packet %d came as number %d", number, i)
			}
		}
		if len(got) != packets {
			t.Errorf("%d packets came, want %d", len(got), packets)
		}
	})
}

func TestARouterLosesRepeatsAndReordersAShare(t *testing.T) {
	const packets = 2000
	for name, c := range map[string]condition{"loss": {loss: 0.1}, "duplicate": {duplicate: 0.1}, "reorder": {reorder: 0.1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, ends := memoryRouter(t)
				r.impose("f", everywhere(3), c)
				for i := range packets {
					ends[0].sent <- datagram(0, 1, byte(i))
					time.Sleep(time.Millisecond)
				}
				time.Sleep(2 * overtakenMax)
				synctest.Wait()
				got := numbers(ends[1])
				overtaken := 0
				for i := 1; i < len(got); i++ {
					if int8(got[i]-got[i-1]) < 0 {
						overtaken++
					}
				}
				few, many := packets/20, packets/5
				lost, twice := packets-len(got), len(got)-packets
				switch {
				case name == "loss" && (lost < few || lost > many || overtaken > 0),
					name == "duplicate" && (twice < few || twice > many),
					name == "reorder" && (lost != 0 || overtaken < few || overtaken > many):
					t.Errorf("of %d packets %d came, %d of them late", packets, len(got), overtaken)
				}
			})
		})
	}
}

func TestABandwidthBoundsAllOfAWayAndItsQueue(t *testing.T) {
	const size = 1 << 10
	for _, bytesPerSecond := range []int64{16 << 10, 1 << 20, 700 << 20} {
		h := &hop{imposed: map[string]condition{"f": {bytesPerSecond: bytesPerSecond}}}
		now := time.Now()
		var last time.Time
		passed := int64(0)
		for range bytesPerSecond / size {
			for _, last = range h.arrivals(now, size) {
				passed++
			}
		}
		want := time.Duration(float64(passed*size) / float64(bytesPerSecond) * float64(time.Second))
		if took := last.Sub(now); took < want*99/100 || took > want*101/100 {
			t.Errorf("%d bytes took %v at %d a second, want %v", passed*size, took, bytesPerSecond, want)
		}
		if took, one := last.Sub(now), time.Second*size/time.Duration(bytesPerSecond); took < queueMax || took > queueMax+one {
			t.Errorf("the last packet waits for %v, want %v and itself", took, queueMax)
		}
	}
}

func TestWhatIsLiftedIsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := memoryRouter(t)
		ways := [][2]int{{0, 1}}
		r.impose("slow", ways, condition{bytesPerSecond: 1})
		ends[0].sent <- datagram(0, 1, 1)
		synctest.Wait()
		r.lift("slow", ways)
		ends[0].sent <- datagram(0, 1, 2)
		synctest.Wait()
		if got := numbers(ends[1]); string(got) != "\x02" {
			t.Errorf("%v arrived, want 2", got)
		}
	})
}

func TestPacketsThatAreHeldBackAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := memoryRouter(t)
		r.impose("slow", [][2]int{{0, 1}}, condition{delay: time.Minute})
		const tooMany = 100
		for i := range heldBackMax + tooMany {
			ends[0].sent <- datagram(0, 1, byte(i))
		}
		ends[0].sent <- datagram(0, 2, 7)
		synctest.Wait()
		if got := numbers(ends[2]); string(got) != "\x07" {
			t.Errorf("%v came by a way on which nothing is held back", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := numbers(ends[1]); len(got) != heldBackMax {
			t.Errorf("%d packets came, want %d", len(got), heldBackMax)
		}
		ends[0].sent <- datagram(0, 1, 9)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := numbers(ends[1]); string(got) != "\x09" {
			t.Errorf("%v came once there was room again", got)
		}
	})
}

func TestACutStopsWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := memoryRouter(t)
		r.impose("slow", everywhere(3), condition{delay: 100 * time.Millisecond})
		ends[0].sent <- datagram(0, 1, 1)
		ends[0].sent <- datagram(0, 2, 2)
		synctest.Wait()
		r.impose("cut", [][2]int{{0, 1}}, condition{cut: true})
		time.Sleep(time.Second)
		synctest.Wait()
		if b, c := numbers(ends[1]), numbers(ends[2]); len(b) != 0 || string(c) != "\x02" {
			t.Errorf("%v passed the cut, and %v what was not cut", b, c)
		}
	})
}

// tcpPacket is one of a connection between ports of two ends.
func tcpPacket(from, to int, port uint16, flags byte, seq, ack uint32, payload string) []byte {
	source, dest := []byte{byte(port >> 8), byte(port)}, []byte{byte(port >> 8), byte(port)}
	p := append(newRST(namespaceAddr(from), namespaceAddr(to), source, dest, seq, ack), payload...)
	p[2], p[3], p[ipHeaderBytes+13] = byte(len(p)>>8), byte(len(p)), flags
	return p
}

// byPort are the segments that have arrived at an end, by their port.
func byPort(t *testing.T, e *memoryEnd) map[byte]ipPacket {
	t.Helper()
	got := map[byte]ipPacket{}
	for {
		select {
		case b := <-e.arrived:
			p, ok := parsePacket(b)
			if !ok || !p.isTCP() {
				t.Fatalf("% x is no segment", b)
			}
			got[p.body[3]] = p
		default:
			return got
		}
	}
}

// isRST says whether there is a segment that resets, with these numbers.
func isRST(p ipPacket, seq uint32) bool {
	return p.all != nil && p.has(flagRST) && binary.BigEndian.Uint32(p.body[4:]) == seq
}

func TestAResetBreaksTheConnectionsOfThenAtBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := memoryRouter(t)
		const old, other, again, unknown, fresh = 1, 2, 3, 4, 5
		ends[0].sent <- tcpPacket(0, 1, old, flagSYN, 0, 0, "")
		ends[0].sent <- tcpPacket(0, 1, again, flagSYN, 0, 0, "")
		ends[1].sent <- tcpPacket(1, 2, other, flagSYN, 0, 0, "")
		time.Sleep(time.Millisecond)
		r.reset(0)
		time.Sleep(time.Millisecond)
		ends[0].sent <- tcpPacket(0, 1, fresh, flagSYN, 0, 0, "")
		ends[0].sent <- tcpPacket(0, 1, again, flagSYN, 0, 0, "") // the same port, once more
		for _, port := range []uint16{old, unknown, fresh, again} {
			ends[0].sent <- tcpPacket(0, 1, port, flagACK, 1000, 2000, "four")
		}
		ends[1].sent <- tcpPacket(1, 2, other, flagACK, 1, 1, "four")
		synctest.Wait()
		there, back, elsewhere := byPort(t, ends[1]), byPort(t, ends[0]), byPort(t, ends[2])
		if !isRST(there[old], 1000) || !isRST(back[old], 2000) {
			t.Errorf("the receiver got % x, the sender % x", there[old].all, back[old].all)
		} else if ack := binary.BigEndian.Uint32(back[old].body[8:]); ack != 1004 {
			t.Errorf("the sender's reset acknowledges %d, want 1004", ack)
		}
		if len(back) != 1 {
			t.Errorf("others were broken, too: %v", back)
		}
		for name, p := range map[string]ipPacket{"fresh": there[fresh], "again": there[again], "unknown": there[unknown], "other": elsewhere[other]} {
			if p.all == nil || p.has(flagRST) {
				t.Errorf("%s: % x", name, p.all)
			}
		}
	})
}

func TestAResetIsOverInTimeAndForgetsWhatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ends := memoryRouter(t)
		const idle, ended = 1, 2
		for _, port := range []uint16{idle, ended} {
			ends[0].sent <- tcpPacket(0, 1, port, flagSYN, 0, 0, "")
		}
		time.Sleep(time.Millisecond)
		r.reset(0)
		ends[1].sent <- tcpPacket(1, 0, ended, flagRST, 1, 1, "")
		synctest.Wait()
		if len(r.flows) != 1 {
			t.Errorf("%d connections are known, want 1", len(r.flows))
		}
		time.Sleep(resetInterval)
		ends[0].sent <- tcpPacket(0, 1, idle, flagACK, 1, 1, "four")
		synctest.Wait()
		if p := byPort(t, ends[1])[idle]; p.all == nil || p.has(flagRST) {
			t.Errorf("% x came of an idle connection", p.all)
		}
	})
}

func TestConnectionsThatAreKnownAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := memoryRouter(t)
		breaks := func(from, to int, port uint16, flags byte) bool {
			p, ok := parsePacket(tcpPacket(from, to, port, flags, 1, 1, ""))
			if !ok {
				t.Fatal("no packet")
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.breaks([2]int{from, to}, p, time.Now())
		}
		for port := range flowsMax {
			breaks(0, 1, uint16(port), flagSYN)
		}
		breaks(1, 2, 1, flagSYN)
		if len(r.flows) != 1 {
			t.Fatalf("%d connections are known, want the last one", len(r.flows))
		}
		time.Sleep(time.Millisecond)
		r.reset(1)
		time.Sleep(time.Millisecond)
		if breaks(0, 1, 1, flagACK) || !breaks(1, 2, 1, flagACK) {
			t.Error("a reset breaks what is not known, or spares what is")
		}
	})
}
