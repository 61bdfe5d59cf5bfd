//go:build !planted

package planted

// On says whether a mistake is to be made: never.
func On(Bug) bool { return false }
