//go:build !linux

package storage

// yieldThread does nothing: few systems say how a thread may yield, and it is not needed but for how long others wait.
func yieldThread() {}
