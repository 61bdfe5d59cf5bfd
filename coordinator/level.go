package coordinator

import "strconv"

// resolve is how many of n replicas a level means, where LevelDefault stands for def.
// Errors: *RequestError for a level that n replicas can never meet, or that is not one.
func (l Level) resolve(name string, def Level, n int) (int, error) {
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

// String is the form that ParseLevel reads; empty for LevelDefault.
func (l Level) String() string {
	switch l {
	case LevelDefault:
		return ""
	case LevelOne:
		return "one"
	case LevelQuorum:
		return "quorum"
	case LevelAll:
		return "all"
	}
	return strconv.Itoa(int(l))
}

// ParseLevel reads a level: a number from 1 to 127, or one, quorum or all; an empty text is LevelDefault.
// Errors: *RequestError (ErrBadRequest).
func ParseLevel(text string) (Level, error) {
	for _, l := range []Level{LevelDefault, LevelOne, LevelQuorum, LevelAll} {
		if text == l.String() {
			return l, nil
		}
	}
	n, err := strconv.ParseInt(text, 10, 8)
	if err != nil || n < 1 {
		return 0, badRequest("level %q is neither a number of replicas nor one, quorum or all", text)
	}
	return Level(n), nil
}
