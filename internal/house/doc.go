// Package house holds the tests of the house rules that no compiler checks: which room may import which, and that every
// package says what it is, exactly once. It has no code of its own.
package house
