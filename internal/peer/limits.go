package peer

// Limits of what a message may declare, whatever it is long. What it may hold in all is bounded by
// Options.MessageBytesMax.
const (
	nodeIDBytesMax = 64
	// textBytesMax bounds addresses and zones; detailBytesMax what an error or a refusal says.
	textBytesMax   = 256
	detailBytesMax = 4096
	// readInlineMax is how many keys may be read on a link's reader goroutine, where what comes after waits.
	readInlineMax = 16
	// itemsMax bounds the keys of a request or page.
	itemsMax = 1 << 20
	// replicasMax bounds the nodes in a receipt or the causes of an error.
	replicasMax = MembersMax
	// partitionsMax bounds the partitions of a scan.
	partitionsMax = 1 << 20
)
