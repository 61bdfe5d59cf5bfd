//go:build !unix

package storage

import "math"

// descriptorsMax is how many files the process may have open. Where that is not known there is no limit.
func descriptorsMax() int { return math.MaxInt32 }
