// Package node is the composition root: it opens, wires, starts and stops the rooms of one node, and decides nothing
// else.
//
//	            clients                               peers
//	               │                                    │
//	 gateway/http ─┴─ gateway/rpc                   peer.Serve
//	               │                                    │
//	               ▼            forwarded writes        │
//	          coordinator ◄─────────────────────────────┤
//	           │       │                                │ store, read, scan
//	           ▼       ▼                                │
//	   peer.Peer    replica.Replica ◄───────────────────┘
//	(other nodes)      │
//	     ▲             ▼
//	     │      storage.Engine
//	cluster.Liveness: whom to avoid
//
// Starting goes from the bottom up: the data directory is opened and recovered first, the listeners are bound last, so
// that a node that answers can serve. It coordinates writes once its peers have let it in (or contactGrace is over): until
// then other replicas do. With a new data directory it waits for all of them, however long: only they together can say that the cluster is
// new, too. A node that a peer finds outdated (its disk was rolled back or replaced) begins anew while it runs: it is ready, forwards, and takes
// what others store, but coordinates and answers for no partition before that is filled again. Stopping goes from the top down: the faces stop accepting and finish what is under way
// (at most Config.DrainTimeout), the peer links close, the engine is synced and closed, and last the mark of a clean
// shutdown is written.
//
// Every goroutine is started by Run and ends before Run returns. Nothing in the package is shared between nodes, so that several
// live in one process.
package node
