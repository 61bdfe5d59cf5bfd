//go:build planted

package planted

import "sync/atomic"

var sown atomic.Uint32

// Sow has a mistake made from now on, and no other; zero is none.
func Sow(b Bug) { sown.Store(uint32(b)) }

// On says whether a mistake is to be made.
func On(b Bug) bool { return Bug(sown.Load()) == b }
