// Package memindex is a sorted map from keys to metas and locations that lives in memory of its own: the tier in
// memory of the index of a log-structured store (Bitcask's keydir). It has no Go pointer per key or node, so that the
// garbage collector does no work that grows with the number of keys. It knows nothing of files: a Location is numbers.
//
// # Vocabulary
//
//	meta        up to 255 bytes that stand with a key
//	location    where a key's record is: sequence number, segment, offset, length, flags
//	block       granules of 128 bytes in a row; its address is a ref of 32 bits
//	chunk       memory taken from the system at once, 64 KiB to 2 MiB, which blocks are cut from
//	generation  the changes between two moments at which views were taken; each node knows that of its birth
//	retired     of a node: replaced, and kept because a live view sees it
//
// # Layout
//
// A B+tree whose nodes are blocks. Leaves have the entries, inner nodes refs and the shortest separators that tell
// their children apart (a prefix B-tree).
//
//	leaf   | header | prefix | slots or directory | entry | entry | ... | free |
//	entry  | length of meta | room | rest of key | meta | location |
//	inner  | header | n-1 heads of 8 bytes | n refs | n-1 ends | prefix | rests of n-1 separators |
//
// A leaf says once what its entries have in common, and each entry has only the rest:
//
//   - the prefix of the keys;
//   - the frame of the locations: for each field a base, and how many bits the entries' distances from it need. The
//     length is counted from that of key and meta. A location of such bits takes 7 to 10 bytes instead of 21. There are
//     two bits to spare at least, for numbers that grow;
//   - the metas' length if all have the same. Else each entry begins with it;
//   - the size of an entry if all have the same. Keys of one length with metas of a few lengths have, too: before each key
//     there is room for what the longest meta takes more, up to 4 bytes on average when a leaf is built, so that a meta can
//     be replaced by a longer one in place.
//
// Where entries are of several sizes they stand in the order of their keys, and a slot of 2 bytes says where each begins; a
// search looks at the first 8 bytes of a rest, and at the others where these are equal.
// Where all have one size they stand as they came, and a directory of 2 bytes for each has the order: an insertion moves
// some bytes of that instead of half a leaf, and a search finds the few entries that a key may be among without a look at
// any. An Appender and a rebuild write entries and directory in order.
//
// There are no gaps between entries. An entry that does not fit the leaf's form (another prefix, a location outside of the
// frame, a meta that there is no room for) has the leaf built anew. A leaf has the granules that it needs when it is built, up to 4 KiB, and grows by a
// twelfth of its size, its directory with it: half-full leaves, as random insertion and splits leave them, waste little. A
// leaf that is split for the table's greatest key stays full, and that key begins the next. An entry greater than 4 KiB is
// alone in its leaf. A leaf under 1 KiB is joined with a neighbour, or shares its entries. An inner node has room for some
// children more, so that most splits of leaves change it in place.
//
// The arena gives the best fit among free blocks, whole if little of it would be left, and joins what is freed with its
// free neighbours, so that memory that was freed in one size serves another. Close alone gives memory back to the
// system.
//
// # Concurrency
//
// Get, Find, View, Len and Bytes may run beside one another. Changes (Set, SetAt, Delete, Update, Sweep, Adopt, those of an Appender) and Close exclude
// them and one another: the caller has a sync.RWMutex or the like. A View and its iterators need no lock whatever goes
// on, and Release may be called by any goroutine at any time; one iterator is for one goroutine at a time.
//
// A change copies a node only if a live view may see it, which is if the node was born no later than the newest live
// view's generation; else it changes the node in place. So a leaf is copied once for each generation, however long a
// view lives. A node that was replaced is handed to the newest generation that sees it; when that dies, to the newest
// older one that does, or back to the arena. Views that come and go beside an old one thus cost no memory. Changes give
// nodes back a few at a time.
//
// # Costs
//
// Measured with 5 million keys of 16 bytes, metas of 15 random bytes, records of 160 to 1060 bytes in segments of
// 256 MiB; bytes for each key in all, resident, free blocks and inner nodes included (31 of them are key and meta):
//
//	                       Set in random order     in order    Append
//	random keys                           47.8         38.6      42.8
//	"user:%011d"                          34.0         26.0      30.2
//
// With 1 million random keys, in CPU time on two busy cores where a load from memory takes 70 to 80 ns (medians of eight
// runs): Get 0.53 µs, Set of a new key on the way to a million 0.78 µs, of a key that is there 0.63 µs, Next 0.07 µs. None
// of them allocates on the Go heap. Append takes 0.11 µs (wall time). Leaves without a directory, whose entries were in
// order, took 0.70, 1.00, 0.74, 0.05 and 0.11 µs in turns with that, and 2.5 bytes a key less. Leaves that grew by one
// granule at a time, frames without bits to spare, and inner nodes built anew at each split took 1.4 times as long for new
// keys. With metas of 13 to 15 bytes all of it takes as long, and a key 1.4 bytes more; without room for longer metas Get, Set
// of a new key and of one that is there took 1.7, 1.4 and 2.6 times as long.
//
// # Limits
//
// Keys have at most 65535 bytes. The table takes at most half a TiB, and panics if the system has no memory, as Go
// does. A table that is not closed is never given back.
//
// # Sources
//
// Bayer & Unterauer, "Prefix B-trees" (1977), for truncated separators and prefixes. Rodeh, "B-trees, Shadowing, and
// Clones" (2008), for copy-on-write; the lists of retired nodes are ZFS's dead lists. Goldstein, Ramakrishnan & Shaft,
// "Compressing Relations and Indexes" (1998), for frames of reference.
package memindex
