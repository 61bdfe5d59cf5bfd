// Package sim is a cluster in a bubble.
package sim
