//go:build race

package sim

// raceDetector: the race detector of Go 1.26 itself fails in clusters that are simulated for long. Each package runs under it in its own tests.
const raceDetector = true
