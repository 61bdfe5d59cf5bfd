// Package ring decides which nodes hold which keys. It is pure data: no clock, no socket, no goroutine, no global state.
//
// # Vocabulary
//
// A key belongs to the partition xxhash64(key) mod P, where P, the partition count, is fixed for the life of a
// cluster. A partition has N replicas: N different nodes, the first of which is its primary. The preference list of a
// partition is its replicas in table order, then its fallbacks: every other member, in the order in which they would
// stand in. A copy is one (partition, node) pair: a Table has P × N of them. The load of a node is the number of its
// copies.
//
// # The table
//
// A Table is immutable and explicit: it says for every partition which nodes hold it, and never computes that from the
// member list again. Plan makes a table from the one before it and the new members. It is deterministic: the same old
// table and the same set of members, in whatever order, give the same new table on every machine; with no old table
// the result is determined by the set of members and the Config alone. Fingerprint tells in eight bytes whether two nodes
// hold the same table.
//
// # How Plan works
//
//	primaries   the bounded-load consistent-hash ring of github.com/buraksezer/consistent over xxhash64: at most
//	            ceil(Load × P/n) partitions for each of n nodes
//	keep        what the old table has stays where it is, as far as members and zones allow
//	fill        what is missing goes to the node with the greatest rendezvous hash among those with room
//	lift        a node with less than 15/16 of its fair share takes copies over from the most loaded ones
//	relieve     a node above its cap hands copies on, along the shortest chain of moves that ends at a node with room
//	order       the replica next to the primary is chosen so that the partitions of a lost primary fall to many nodes
//
// Data moves where the ring names a primary that had no copy, and by fill, lift and relieve; together they stay near the
// minimum that a membership change makes necessary. docs/ring.md has the measured figures.
//
// # Zones
//
// The N replicas of a partition stand in N different zones if there are so many. If there are fewer zones than
// replicas, every zone that has the nodes for it gets one replica, then every zone a second one, and so on: no zone
// holds two more than another that has a node to spare. A node without a zone counts as a zone of its own.
//
// Zones win over load. A node's cap is ceil(LoadMax × P × N / n), or the fair share that the zones force upon it where
// that is more: of three zones with eight, one and one node, the latter two hold every partition at N = 3.
//
// # Concurrency
//
// Tables are never changed once made, and may be shared by any number of goroutines. What their methods return is shared,
// too, and must not be changed, unless the method says that it is fresh.
//
// Sources: DeCandia et al., "Dynamo", §4.2, §4.3 and §6.2 (strategy 3); Mirrokni, Thorup and Zadimoghaddam,
// "Consistent Hashing with Bounded Loads"; Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates"
// (rendezvous hashing); Edmonds, "Submodular Functions, Matroids, and Certain Polyhedra" (why the shortest chain of
// moves is always valid).
package ring
