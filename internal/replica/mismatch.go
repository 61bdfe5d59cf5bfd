package replica

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringcask/ringcask/ring"
)

// MismatchError refuses a data directory that belongs to another node, or to a cluster with other settings.
type MismatchError struct {
	Dir string
	// Differences name each thing that differs, what is in the data directory, and what is in the configuration.
	Differences []string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("replica: %s does not fit the configuration: %s", e.Dir, strings.Join(e.Differences, "; "))
}

// differences names what differs between what a data directory was made with and what is configured.
func (c cluster) differences(conf cluster) []string {
	var d []string
	differ := func(what string, here, there any) {
		if here != there {
			d = append(d, fmt.Sprintf("%s is %v in the data directory, %v in the configuration", what, here, there))
		}
	}
	differ("node", c.node, conf.node)
	differ("replication factor", c.replicas, conf.replicas)
	differ("partition count", c.partitions, conf.partitions)
	for _, m := range c.members {
		other, found := memberOf(conf.members, m.ID)
		switch {
		case !found:
			d = append(d, fmt.Sprintf("member %s is in the data directory only", m.ID))
		case other.Zone != m.Zone:
			d = append(d, fmt.Sprintf("zone of member %s is %q in the data directory, %q in the configuration", m.ID, m.Zone, other.Zone))
		}
	}
	for _, m := range conf.members {
		if _, found := memberOf(c.members, m.ID); !found {
			d = append(d, fmt.Sprintf("member %s is in the configuration only", m.ID))
		}
	}
	if len(d) == 0 {
		differ("partition table", c.fingerprint, conf.fingerprint)
	}
	return d
}

func memberOf(members []ring.Member, id ring.NodeID) (ring.Member, bool) {
	i := slices.IndexFunc(members, func(m ring.Member) bool { return m.ID == id })
	if i < 0 {
		return ring.Member{}, false
	}
	return members[i], true
}
