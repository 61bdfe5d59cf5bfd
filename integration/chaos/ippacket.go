package chaos

import (
	"bytes"
	"encoding/binary"
)

// ipPacket is an IPv4 packet (RFC 791), or a fragment of one.
type ipPacket struct {
	all []byte
	// body is what follows the header.
	body []byte
}

const (
	ipHeaderBytes  = 20
	tcpHeaderBytes = 20
	protocolTCP    = 6
	fragmentOffset = 0x1fff
	flagFIN        = 0x01
	flagSYN        = 0x02
	flagRST        = 0x04
	flagACK        = 0x10
)

// parsePacket refuses what is no IPv4 packet, and a TCP segment that is not whole. It keeps the bytes.
func parsePacket(b []byte) (p ipPacket, ok bool) {
	if len(b) < ipHeaderBytes || b[0]>>4 != 4 {
		return p, false
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipHeaderBytes || total < header || total > len(b) {
		return p, false
	}
	p = ipPacket{b[:total], b[header:total]}
	return p, !p.isTCP() || len(p.body) >= tcpHeaderBytes && p.tcpHeader() >= tcpHeaderBytes && p.tcpHeader() <= len(p.body)
}

func (p ipPacket) from() []byte { return p.all[12:16] }
func (p ipPacket) to() []byte   { return p.all[16:20] }

// isTCP says whether there is a TCP segment (RFC 9293) in the packet; the later fragments of one have no header.
func (p ipPacket) isTCP() bool {
	return p.all[9] == protocolTCP && binary.BigEndian.Uint16(p.all[6:])&fragmentOffset == 0
}

func (p ipPacket) tcpHeader() int  { return int(p.body[12]>>4) * 4 }
func (p ipPacket) has(f byte) bool { return p.body[13]&f != 0 }

// flow is a connection: both its addresses and ports, the lesser end first.
type flow [12]byte

func (p ipPacket) flow() (f flow) {
	a := append(bytes.Clone(p.from()), p.body[0:2]...)
	b := append(bytes.Clone(p.to()), p.body[2:4]...)
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	copy(f[:], a)
	copy(f[6:], b)
	return f
}

// resets are the packets that end the connection that a segment is of: for who it was sent to, and for its sender. The first is taken
// only by one that lacks nothing of what was sent before (RFC 5961); any other answers with what it lacks, and that is answered exactly.
func (p ipPacket) resets() (there, back []byte) {
	seq, ack := binary.BigEndian.Uint32(p.body[4:]), binary.BigEndian.Uint32(p.body[8:])
	length := uint32(len(p.body) - p.tcpHeader())
	if p.has(flagFIN) {
		length++
	}
	source, dest := p.body[0:2], p.body[2:4]
	return newRST(p.from(), p.to(), source, dest, seq, ack), newRST(p.to(), p.from(), dest, source, ack, seq+length)
}

// newRST is a packet that has the receiver end a connection, as if it came from the other end of it.
func newRST(from, to, source, dest []byte, seq, ack uint32) []byte {
	const total = ipHeaderBytes + tcpHeaderBytes
	p := make([]byte, total)
	p[0], p[3], p[8], p[9] = 4<<4|ipHeaderBytes/4, total, 64, protocolTCP
	copy(p[12:], from)
	copy(p[16:], to)
	binary.BigEndian.PutUint16(p[10:], checksum(0, p[:ipHeaderBytes]))
	tcp := p[ipHeaderBytes:]
	copy(tcp[0:], source)
	copy(tcp[2:], dest)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = tcpHeaderBytes/4<<4, flagRST|flagACK
	binary.BigEndian.PutUint16(tcp[16:], checksum(protocolTCP+tcpHeaderBytes, p[12:])) // the addresses are part of the sum, and follow on each other
	return p
}

// checksum is that of RFC 1071 over an even number of bytes, and over what is in sum already.
func checksum(sum uint32, p []byte) uint16 {
	for ; len(p) > 0; p = p[2:] {
		sum += uint32(binary.BigEndian.Uint16(p))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
