package coordinator

// resolveLevel is how many of n replicas a level means, where LevelDefault stands for def.
// Errors: *RequestError for a level that n replicas can never meet, or that is not one.
func resolveLevel(name string, l, def Level, n int) (int, error) {
	if l == LevelDefault {
		l = def
	}
	switch {
	case l < LevelAll:
		return 0, badRequest("%s=%d is not a level", name, l)
	case int(l) > n:
		return 0, badRequest("%s=%d is more than the %d replicas that a key has", name, l, n)
	}
	return l.Of(n), nil
}
