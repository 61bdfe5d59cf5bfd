package wire

import (
	"fmt"
	"strconv"
)

// Level is how many replicas must answer a request: a positive number, or one of the names below. Its values are those of
// the coordinator's levels.
type Level int8

const (
	// LevelDefault is the cluster's setting. It is not sent.
	LevelDefault Level = 0
	// LevelOne, LevelQuorum and LevelAll are 1, N/2+1 and N.
	LevelOne    Level = -1
	LevelQuorum Level = -2
	LevelAll    Level = -3
)

// levelMax is the greatest number of replicas that can be asked for.
const levelMax = 127

func (l Level) String() string {
	switch l {
	case LevelDefault:
		return "default"
	case LevelOne:
		return "one"
	case LevelQuorum:
		return "quorum"
	case LevelAll:
		return "all"
	}
	return strconv.Itoa(int(l))
}

// Of is how many of n replicas a level means, n at most; LevelDefault means as many as LevelQuorum.
func (l Level) Of(n int) int {
	switch {
	case l == LevelOne:
		return 1
	case l == LevelAll:
		return n
	case l <= LevelDefault:
		return n/2 + 1
	}
	return min(int(l), n)
}

// ParseLevel is the level of a text: a number from 1 to 127, "one", "quorum" or "all"; the empty text is LevelDefault.
func ParseLevel(text string) (Level, error) {
	switch text {
	case "":
		return LevelDefault, nil
	case "one":
		return LevelOne, nil
	case "quorum":
		return LevelQuorum, nil
	case "all":
		return LevelAll, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > levelMax {
		return LevelDefault, fmt.Errorf("level %.20q is neither a number of replicas nor one, quorum or all", text)
	}
	return Level(n), nil
}

func (l Level) encode(w *Writer) {
	if l > 0 {
		w.Uint(uint64(l))
		return
	}
	w.Str(l.String())
}

func decodeLevel(r *Reader) Level {
	if r.Kind() == KindInt {
		return Level(r.Int(1, levelMax))
	}
	text := r.Bytes()
	for _, named := range []Level{LevelOne, LevelQuorum, LevelAll} {
		if string(text) == named.String() {
			return named
		}
	}
	level, err := ParseLevel(string(text))
	if err != nil {
		r.fail("%v", err)
	} else if level == LevelDefault {
		r.fail("empty level")
	}
	return level
}
