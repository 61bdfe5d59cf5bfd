//go:build race

package antientropy

// raceDetector: the race detector of Go 1.26 itself fails in clusters that are simulated for long ("CHECK failed: tsan_rtl.cpp", or a fault in
// the runtime; https://github.com/golang/go/issues/78156). The tests of package node run exchangers under it.
const raceDetector = true
