// Package sim is the simulated cluster: whole nodes (package node, with all that it is made of) and clients (package client) in one process and in
// fake time, on a network in memory and on disks that lose power, break and fill up. Everything that goes wrong is drawn from a seed. Workloads run
// meanwhile, and their checkers judge; at the end all replicas must be equal.
//
//	     clients ──────────┐   package client, package integration/workload
//	        │              │
//	 ┌──────┴──────────────┴───┐
//	 │ Network: paths, flows,  │  frames are lost, repeated, held back; links are slow, cut, reset
//	 │ datagrams               │
//	 └──┬─────────┬─────────┬──┘
//	server n1  server n2  server n3    a clock that jumps; a process that is killed and started again
//	    │         │         │
//	vfstest.FS vfstest.FS vfstest.FS   what was not synced is lost with the power; full, faulty, slow, flipped, wiped
//
// # A run
//
// Run draws the settings (how many nodes and partitions, how large segments and stores of hints are, which workloads), draws a plan of faults
// (package integration/fault), starts the cluster, runs workloads and plan, heals everything, waits until the cluster has converged, reads
// everything back, and stops the cluster. What can be violated, besides what the workloads' checkers find:
//
//	nothing proven  no write of a workload was acknowledged
//	not converged   in bounded fake time after the last fault, not all replicas of all partitions were filled, readable, under the same rule, and of the same root
//	differs         replicas whose roots are equal do not hold the same siblings, byte by byte: the disks are read without the nodes
//	torn            a crash left a part of a batch on the disk of the node that had decided it, before the node was started again
//	node            a node did not start again, or not stop in order; or what was left of it after a crash cannot be read
//	ended           a node ended by itself
//	stop            the last orderly shutdown of a node failed
//	unreadable      a disk cannot be read at the end
//
// That no goroutine is left is checked by the bubble itself, which panics.
//
// # Faults
//
// All kinds of package fault are carried out. One that destroys data begins only once all that was destroyed before is filled again, and has been read
// (which takes a scrub); if it never is in time, the fault is left out. Members are static: those that join and leave will be faults, too, drawn with the
// others and carried out by the injector. How the simulation differs from a real machine:
//
//   - A netsplit holds messages until it ends, as TCP does for a while; or loses them, and the connections that there were stay dead without knowing it;
//     or refuses, and breaks connections. Which of them is drawn.
//   - Loss, repetition and reordering strike whole frames of the links between nodes, and datagrams. That is more than TCP can do, and a test of the protocol's
//     own ids: late and repeated requests and answers must do no harm. What goes by TCP's promises is spared: the handshake
//     all of it, and writes that are handed on to be coordinated repetition; see framer.
//   - A paused process cannot be stopped, for its goroutines are those of the bubble: all that it sends and hears is held instead. Its timers go on, so it
//     may find that the others are silent.
//   - A slow disk is slow where segments of logs are synced. So is, for a moment before, that of a node which is about to be killed or to lose its power: other
//     syncs take no time, and a crash would never find a write that is not synced.
//   - A clock that is wrong jumps while the node runs, and back.
//   - A node whose disk failed a write is restarted when the disk is well again, as an operator would.
//
// # What a seed fixes
//
// It fixes the settings, the plan, what workloads write and choose, which messages are slow or lost (in the order in which they are sent), the actors of
// the nodes, and what a crash leaves. It does not fix the order in which the Go scheduler runs goroutines that are ready at the same instant, nor the choice of a select or the
// order of a map. So two runs of a seed are much alike and not the same; seeds run with one processor, which leaves the scheduler less to choose. A failure that
// needs a rare order may take several runs to show again.
//
// # Use
//
//	go test ./integration/sim                             # some seeds
//	make sim SEEDS=10000                                  # a long night
//	go test ./integration/sim -v -run '^TestSeeds$' -sim.seed 7 -sim.plan plan.json
//	go test -tags planted -run Planted ./integration/sim  # the mistakes of internal/planted are found
package sim
