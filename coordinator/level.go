package coordinator

// resolveLevel is how many of n replicas a level means, where LevelDefault stands for def.
// Errors: *RequestError for a level that n replicas can never meet, or that is not one.
func resolveLevel(name string, l, def Level, n int) (int, error) {
	if l == LevelDefault {
		l = def
	}
	switch {
	case l == LevelOne:
		return 1, nil
	case l == LevelQuorum || l == LevelDefault:
		return n/2 + 1, nil
	case l == LevelAll:
		return n, nil
	case l < 0:
		return 0, badRequest("%s=%d is not a level", name, l)
	case int(l) > n:
		return 0, badRequest("%s=%d is more than the %d replicas that a key has", name, l, n)
	}
	return int(l), nil
}
