//go:build !linux

package yield

// thread does nothing: the goroutine's yield alone has to do.
func thread() {}
