// Package convergence tells from what the members of a cluster say of their partitions whether all replicas hold the same.
//
// # The verdict on a partition
//
//	differs   two replicas have trees under the same rule, and these have different roots
//	unknown   else, if something keeps the replicas from being compared: one does not answer, has no tree, has a tree under another rule,
//	          cannot read a key, or is not filled. The reasons are given
//	equal     else
//
// Roots are looked at one after the other, on nodes that go on taking writes: what differs in one look may be a write on its way. Who
// asks has to look more than once. A partition that is equal may still be known to need repair, because an exchange that would say
// otherwise has not come yet: these needs are told apart. So are the hints that members keep for others: a replica can have by repair what
// a hint brings once more.
//
// It decides only: it asks nobody, and has no clock.
package convergence
