//go:build !race

package antientropy

const raceDetector = false
