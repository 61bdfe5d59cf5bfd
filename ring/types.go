package ring

import "fmt"

// NodeID names a member: 1 to 64 bytes of letters, digits, '.', '_' and '-'.
type NodeID string

// PartitionID numbers a partition, from 0 to the partition count less one.
type PartitionID uint32

// Member is a node as the planner sees it.
type Member struct {
	ID NodeID
	// Zone is the failure domain that the node stands in; nodes without one each count as a zone of their own.
	Zone string
}

// NameBytesMax is the greatest length of a NodeID and of a zone's name.
const NameBytesMax = 64

// Validate says what is wrong with the name of a node, if anything.
func (id NodeID) Validate() error {
	if id == "" {
		return fmt.Errorf("ring: a node has an empty name")
	}
	return validateName("node", string(id))
}

// Validate says what is wrong with the member's names, if anything. A zone is named as a node is, or empty.
func (m Member) Validate() error {
	if err := m.ID.Validate(); err != nil {
		return err
	}
	if err := validateName("zone", m.Zone); err != nil {
		return fmt.Errorf("%w (of node %s)", err, m.ID)
	}
	return nil
}

func validateName(what, name string) error {
	if len(name) > NameBytesMax {
		return fmt.Errorf("ring: %s name %.16q… is %d bytes long, the limit is %d", what, name, len(name), NameBytesMax)
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return fmt.Errorf("ring: %s name %q has a byte that is not a letter, digit, '.', '_' or '-'", what, name)
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '.' || c == '_' || c == '-'
}
