//go:build !linux

package yield

// osYield does nothing: the goroutine's yield alone has to do.
func osYield() {}
