package peer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs"
)

func compareIDs(a, b ring.NodeID) int { return strings.Compare(string(a), string(b)) }

// admission decides who is let in, by what is remembered of every member and by who is alive.
type admission struct {
	fs   vfs.FS
	path string

	// mu is held while an identity is judged, made durable and let in: so no two boots of a member get in at once. It
	// is held over a file write, but never over a wait for a peer.
	mu    sync.Mutex
	known map[ring.NodeID]identity
}

// openAdmission reads the memory file in dir. A missing one is empty. Errors: *MemoryError, or the file system's.
func openAdmission(fsys vfs.FS, dir string) (*admission, error) {
	a := &admission{fs: fsys, path: filepath.Join(dir, MemoryFile), known: make(map[ring.NodeID]identity)}
	content, err := vfs.ReadFile(fsys, a.path, int64(memoryFileMax))
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("peer: read memory: %w", err)
	}
	identities, err := decodeMemory(content)
	if err != nil {
		return nil, &MemoryError{Path: a.path, Reason: err.Error()}
	}
	for _, known := range identities {
		a.known[known.id] = known
	}
	return a, nil
}

// admit lets in the node at the other end of c, or says why not. accepted is called when nothing stands against it any more, before
// anyone else can use the link. Another boot of the node that has links is asked, on all of them at once, whether it still answers:
// only a dead one is replaced, and only where none lives is a newcomer told that it is outdated, rather than a copy.
func (a *admission) admit(c *conn, accepted func()) *HandshakeError {
	for {
		holders, verdict := a.tryAdmit(c, accepted)
		if len(holders) == 0 || verdict != nil && verdict.Fatal() {
			return verdict
		}
		if holder := firstToAnswer(c.ctx, holders); holder != nil {
			return &HandshakeError{
				Node: c.remote.id, Reason: ReasonDuplicateNode,
				Detail: fmt.Sprintf("another holder of node id %s is alive at %s: live %s, newcomer %s",
					c.remote.id, holder.addr, holder.theirs.identity, c.theirs.identity),
			}
		}
		if c.ctx.Err() != nil {
			cause := context.Cause(c.ctx)
			return &HandshakeError{Node: c.remote.id, Reason: ReasonInternal, Detail: "gave up: " + cause.Error()}
		}
		if verdict != nil {
			return verdict
		}
		for _, holder := range holders {
			holder.stop(errReplaced)
			c.remote.drop(holder)
		}
	}
}

// tryAdmit lets c in, or says why not. Where it names links of another boot, it has not let c in, and they must first be found
// dead.
func (a *admission) tryAdmit(c *conn, accepted func()) (holders []*conn, verdict *HandshakeError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	newcomer := c.theirs.identity
	holders = c.remote.otherBoots(newcomer.boot)
	if verdict := judge(a.known, c.theirs); verdict != nil || len(holders) > 0 {
		return holders, verdict
	}
	if err := a.rememberLocked(newcomer); err != nil {
		return nil, &HandshakeError{Node: newcomer.id, Reason: ReasonInternal, Detail: err.Error()}
	}
	c.p.opt.Clock.Observe(c.theirs.clock)
	c.phase.Store(int32(entering))
	accepted()
	c.remote.add(c)
	c.phase.Store(int32(open))
	close(c.opened)
	return nil, nil
}

// judge is why a newcomer is refused by what is known of all members; nil if nothing stands against it.
func judge(known map[ring.NodeID]identity, theirs *hello) *HandshakeError {
	newcomer := theirs.identity
	for _, other := range known {
		if newcomer.actor != 0 && other.id != newcomer.id && other.actor == newcomer.actor {
			return &HandshakeError{
				Node: newcomer.id, Reason: ReasonDuplicateActor,
				Detail: fmt.Sprintf("actor %s of node %s is that of node %s, whose data directory it must be a copy of: last met %s, newcomer %s",
					newcomer.actor, newcomer.id, other.id, other, newcomer),
			}
		}
	}
	last, met := known[newcomer.id]
	if !met || newcomer.boot == last.boot && newcomer.incarnation >= last.incarnation || newcomer.boot != last.boot && theirs.continues(last) {
		return nil
	}
	return &HandshakeError{
		Node: newcomer.id, Reason: ReasonOutdated, Last: Run{Incarnation: last.incarnation, Boot: last.boot},
		Detail: fmt.Sprintf("the data directory of node %s is an older state, or another one, than it had: last met %s, newcomer %s",
			newcomer.id, last, newcomer),
	}
}

func (i identity) String() string {
	return fmt.Sprintf("(incarnation %d, boot %016x, actor %s)", i.incarnation, i.boot, i.actor)
}

// rememberLocked makes an identity durable, unless it is.
func (a *admission) rememberLocked(now identity) error {
	last, met := a.known[now.id]
	if met && last == now {
		return nil
	}
	a.known[now.id] = now
	err := vfs.WriteFileAtomic(a.fs, a.path, encodeMemory(slices.Collect(maps.Values(a.known))))
	if err != nil {
		// Which of the two the file holds is unknown: the next newcomer must be written again.
		if a.known[now.id] = last; !met {
			delete(a.known, now.id)
		}
		return fmt.Errorf("peer: remember %s: %w", now.id, err)
	}
	return nil
}

// changeActor remembers that a running boot has drawn a new actor.
func (a *admission) changeActor(id ring.NodeID, boot uint64, actor causal.Actor) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, met := a.known[id]
	if !met || now.boot != boot {
		return nil
	}
	now.actor = actor
	return a.rememberLocked(now)
}
