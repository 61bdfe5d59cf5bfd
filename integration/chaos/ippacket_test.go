package chaos

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
)

func TestAResetHasRightChecksums(t *testing.T) {
	p := newRST(namespaceAddr(3), namespaceAddr(4), []byte{0x1f, 0x42}, []byte{0xc0, 0x01}, 0xfffffff0, 0x80000001)
	// The sum of what has its checksum in it is 0xffff, the complement of which is zero.
	if got := checksum(0, p[:ipHeaderBytes]); got != 0 {
		t.Errorf("the packet's checksum is off by %#x", got)
	}
	if got := checksum(protocolTCP+tcpHeaderBytes, p[12:]); got != 0 {
		t.Errorf("the segment's checksum is off by %#x", got)
	}
	// The example of RFC 1071, section 3.
	if got := checksum(0, []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != 0x220d {
		t.Errorf("checksum %#x, want 0x220d", got)
	}
}

// TestAResetIsThis has the bytes of a reset: 10.0.0.1:8002 to 10.0.0.2:49153, sequence number 1000, acknowledging 2000.
func TestAResetIsThis(t *testing.T) {
	const want = "4500002800000000400666ce0a0000010a000002" + "1f42c001000003e8000007d050140000b0d20000"
	if got := hex.EncodeToString(newRST(namespaceAddr(0), namespaceAddr(1), []byte{0x1f, 0x42}, []byte{0xc0, 0x01}, 1000, 2000)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLaterFragmentsAreNoSegments(t *testing.T) {
	b := tcpPacket(0, 1, 80, flagACK, 1, 2, "payload")
	b[7] = 1 // an offset of eight bytes
	if p, ok := parsePacket(b); !ok || p.isTCP() {
		t.Errorf("parsed %v, a segment %v", ok, p.isTCP())
	}
}

func FuzzIPPacket(f *testing.F) {
	f.Add(datagram(0, 1, 1))
	f.Add(tcpPacket(0, 1, 80, flagACK|flagFIN, 1, 2, "payload"))
	f.Add(tcpPacket(0, 1, 80, flagSYN, 1, 2, "")[:30])
	f.Fuzz(func(t *testing.T, packet []byte) {
		p, ok := parsePacket(packet)
		if !ok || !p.isTCP() {
			return
		}
		there, back := p.resets()
		a, okThere := parsePacket(there)
		b, okBack := parsePacket(back)
		if !okThere || !okBack || a.flow() != p.flow() || b.flow() != p.flow() || !a.has(flagRST) || !b.has(flagRST) {
			t.Errorf("% x is answered by % x and % x", packet, there, back)
		}
		if binary.BigEndian.Uint32(a.body[4:]) != binary.BigEndian.Uint32(p.body[4:]) {
			t.Errorf("% x goes on with % x", packet, there)
		}
	})
}
