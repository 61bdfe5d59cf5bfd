package hintedhandoff

import (
	"errors"
	"fmt"

	"github.com/ringcask/ringcask/ring"
)

// Errors. None of them leaves a hint behind.
var (
	// ErrInvalid: the target's name is none, or a key is empty.
	ErrInvalid = errors.New("hintedhandoff: no valid target or key")
	// ErrFull: the hints have Options.BytesMax.
	ErrFull = errors.New("hintedhandoff: no room for more hints")
	// ErrOverloaded: too many hints are being added.
	ErrOverloaded = errors.New("hintedhandoff: too many hints are being added")
	// ErrUndeliverable is for Options.Send to wrap: the target will never take one of the items as a hint. Alone such a hint is dropped,
	// unless it is counted, and its partition becomes a need.
	ErrUndeliverable = errors.New("hintedhandoff: the target takes this from no hint")
)

// CountedError refuses to forget a target: so many of its hints are copies that a write counted.
type CountedError struct {
	Target  ring.NodeID
	Counted int
}

func (e *CountedError) Error() string {
	return fmt.Sprintf("hintedhandoff: %d hints for %s are copies that counted toward a write's quorum", e.Counted, e.Target)
}

// errUnanswered is the failure of a batch whose answer did not come.
var errUnanswered = errors.New("hintedhandoff: the target did not answer in time")

// errMalformed is wrapped by the errors of the decoders: the bytes are not what the encoder wrote.
var errMalformed = errors.New("hintedhandoff: malformed record")

func malformed(why string) error { return fmt.Errorf("%w: %s", errMalformed, why) }
