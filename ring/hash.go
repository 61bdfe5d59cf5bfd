package ring

import "github.com/cespare/xxhash/v2"

// nodeHash is a node's part of its rendezvous scores.
func nodeHash(id NodeID) uint64 { return xxhash.Sum64String(string(id)) }

// score is the rendezvous weight of a node for a partition: the node with the greatest score is the first choice.
// Finalizer of SplitMix64 (Steele, Lea and Flood), applied to each part so that neither shows through.
func score(node uint64, p PartitionID) uint64 {
	return mix(node ^ mix(uint64(p)+0x9e3779b97f4a7c15))
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
