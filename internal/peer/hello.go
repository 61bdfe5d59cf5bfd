package peer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// The protocol versions that this software speaks.
const (
	protocolMin = 3 // 1 knew no earlier runs, 2 did not count actors
	protocolMax = 3
)

// class says which requests a link carries.
type class uint8

const (
	foreground class = iota
	bulk
	classCount
)

func (c class) String() string { return [...]string{"foreground", "bulk"}[min(c, bulk)] }

// place is a member as the hellos compare it.
type place struct {
	id   ring.NodeID
	zone string
}

// hello is the first message of a link in each direction. Its layout is the same in every protocol version from 2 on: what a
// later version adds goes into messages after it.
type hello struct {
	// first says that it has the layout of version 1, which is without earlier runs. It is answered likewise, for its sender to read
	// why it is refused.
	first                    bool
	protocolMin, protocolMax uint32
	// to is the node that is meant: the one that the dialler wants to reach, the one that the acceptor answers.
	to       ring.NodeID
	class    class
	identity identity
	clock    causal.Timestamp
	// now is the sender's physical clock.
	now      time.Time
	table    Table
	members  []place // sorted by id
	zone     string
	peerAddr string
	rpcAddr  string
	httpAddr string
	// earlier are the runs before this one that the node's data directory knows, in the order of their incarnations.
	earlier []Run
}

const (
	helloFields      = 17
	helloFieldsFirst = 16
)

func (h *hello) encode(w *wire.Writer) {
	if h.first {
		w.ArrayLen(helloFieldsFirst)
	} else {
		w.ArrayLen(helloFields)
	}
	w.Uint(uint64(h.protocolMin))
	w.Uint(uint64(h.protocolMax))
	w.Str(string(h.to))
	w.Uint(uint64(h.class))
	w.Str(string(h.identity.id))
	w.Uint(h.identity.incarnation)
	w.Uint(h.identity.boot)
	w.Uint(uint64(h.identity.actor))
	w.Uint(uint64(h.clock))
	w.Int(h.now.UnixNano())
	w.Uint(h.table.Fingerprint)
	w.Uint(uint64(h.table.Replicas))
	w.Uint(uint64(h.table.Partitions))
	w.ArrayLen(len(h.members))
	for _, m := range h.members {
		w.ArrayLen(2)
		w.Str(string(m.id))
		w.Str(m.zone)
	}
	w.Str(h.zone)
	w.ArrayLen(3)
	w.Str(h.peerAddr)
	w.Str(h.rpcAddr)
	w.Str(h.httpAddr)
	if h.first {
		return
	}
	w.ArrayLen(len(h.earlier))
	for _, run := range h.earlier {
		encodeRun(w, run)
	}
}

func decodeHello(r *wire.Reader) *hello {
	h := &hello{}
	fields := r.ArrayLen(helloFields)
	if h.first = fields == helloFieldsFirst; !h.first && fields != helloFields {
		r.Fail("%d fields of a hello, want %d", fields, helloFields)
	}
	h.protocolMin = uint32(r.Uint(math.MaxUint32))
	h.protocolMax = uint32(r.Uint(math.MaxUint32))
	h.to = nodeID(r)
	h.class = class(r.Uint(uint64(classCount) - 1))
	h.identity.id = nodeID(r)
	h.identity.incarnation = r.Uint64()
	h.identity.boot = r.Uint64()
	h.identity.actor = causal.Actor(r.Uint(1<<48 - 1))
	h.clock = causal.Timestamp(r.Uint64())
	h.now = time.Unix(0, r.Int64())
	h.table.Fingerprint = r.Uint64()
	h.table.Replicas = int(r.Uint(math.MaxInt32))
	h.table.Partitions = int(r.Uint(math.MaxInt32))
	for range r.ArrayLen(MembersMax) {
		exactly(r, 2, "a member")
		h.members = append(h.members, place{id: nodeID(r), zone: text(r, textBytesMax)})
	}
	h.zone = text(r, textBytesMax)
	exactly(r, 3, "the addresses")
	h.peerAddr = text(r, textBytesMax)
	h.rpcAddr = text(r, textBytesMax)
	h.httpAddr = text(r, textBytesMax)
	if h.first {
		return h
	}
	for range r.ArrayLen(RunsMax) {
		h.earlier = append(h.earlier, decodeRun(r))
	}
	return h
}

// refusal is why ours does not talk to theirs, as far as the two hellos alone say: nil if nothing stands against it. It
// judges the same from both ends, each in its own words.
func refusal(ours, theirs *hello) *HandshakeError {
	refuse := func(reason Reason, format string, args ...any) *HandshakeError {
		return &HandshakeError{Node: theirs.identity.id, Reason: reason, Detail: fmt.Sprintf(format, args...)}
	}
	us, them := ours.identity.id, theirs.identity.id
	switch {
	case theirs.first || theirs.protocolMin > ours.protocolMax || theirs.protocolMax < ours.protocolMin:
		return refuse(ReasonProtocol, "protocol versions: ours %d to %d, theirs %d to %d",
			ours.protocolMin, ours.protocolMax, theirs.protocolMin, theirs.protocolMax)
	case them == us && theirs.identity.boot != ours.identity.boot:
		return refuse(ReasonConflict,
			"node id %s is ours (incarnation %d, boot %016x) and theirs (incarnation %d, boot %016x)",
			us, ours.identity.incarnation, ours.identity.boot, theirs.identity.incarnation, theirs.identity.boot)
	case them == us:
		return refuse(ReasonWrongNode, "the address is that of this node, %s, itself", us)
	case ours.to != them:
		return refuse(ReasonWrongNode, "member %s was expected there, node %s answers", ours.to, them)
	case theirs.to != us:
		return refuse(ReasonWrongNode, "they expected member %s here, this is %s", theirs.to, us)
	case !isMember(ours.members, them):
		return refuse(ReasonNotMember, "%s is not among our members; %s", them, membersDiff(ours.members, theirs.members))
	case !isMember(theirs.members, us):
		return refuse(ReasonNotMember, "%s is not among their members; %s", us, membersDiff(ours.members, theirs.members))
	case theirs.table.Partitions != ours.table.Partitions:
		return refuse(ReasonPartitions, "partition count differs: ours %d, theirs %d",
			ours.table.Partitions, theirs.table.Partitions)
	case theirs.table.Replicas != ours.table.Replicas:
		return refuse(ReasonReplicas, "replicas (N) differ: ours %d, theirs %d", ours.table.Replicas, theirs.table.Replicas)
	case theirs.table.Fingerprint != ours.table.Fingerprint:
		return refuse(ReasonTable, "table fingerprint differs: ours %016x, theirs %016x; %s",
			ours.table.Fingerprint, theirs.table.Fingerprint, membersDiff(ours.members, theirs.members))
	case theirs.identity.actor != 0 && theirs.identity.actor == ours.identity.actor:
		return refuse(ReasonConflict, "actor %s is ours (%s) and theirs (%s)", theirs.identity.actor, us, them)
	}
	return nil
}

func isMember(members []place, id ring.NodeID) bool {
	return slices.ContainsFunc(members, func(m place) bool { return m.id == id })
}

// membersDiff says how two member lists differ. Only so many members are named.
func membersDiff(ours, theirs []place) string {
	var parts []string
	list := func(what string, ids []string) {
		const most = 8
		if n := len(ids); n > most {
			ids = append(ids[:most:most], fmt.Sprintf("and %d more", n-most))
		}
		if len(ids) > 0 {
			parts = append(parts, what+": "+strings.Join(ids, ", "))
		}
	}
	theirZone := make(map[ring.NodeID]string, len(theirs))
	for _, m := range theirs {
		theirZone[m.id] = m.zone
	}
	var onlyOurs, onlyTheirs, zones []string
	for _, m := range ours {
		zone, ok := theirZone[m.id]
		switch {
		case !ok:
			onlyOurs = append(onlyOurs, string(m.id))
		case zone != m.zone:
			zones = append(zones, fmt.Sprintf("%s (ours %q, theirs %q)", m.id, m.zone, zone))
		}
	}
	for _, m := range theirs {
		if !isMember(ours, m.id) {
			onlyTheirs = append(onlyTheirs, string(m.id))
		}
	}
	list("members only in ours", onlyOurs)
	list("members only in theirs", onlyTheirs)
	list("zones that differ", zones)
	if len(parts) == 0 {
		return "the members and their zones are equal"
	}
	return strings.Join(parts, "; ")
}
