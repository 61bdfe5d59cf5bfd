package coordinator

import (
	"errors"
	"testing"
)

func TestLevelsResolveToNumbersOfReplicas(t *testing.T) {
	for _, tc := range []struct {
		level, def Level
		n, want    int
	}{
		{LevelOne, LevelQuorum, 3, 1},
		{LevelQuorum, LevelOne, 1, 1},
		{LevelQuorum, LevelOne, 3, 2},
		{LevelQuorum, LevelOne, 4, 3},
		{LevelQuorum, LevelOne, 5, 3},
		{LevelAll, LevelOne, 5, 5},
		{LevelDefault, LevelOne, 3, 1},
		{LevelDefault, LevelAll, 3, 3},
		{LevelDefault, 2, 3, 2},
		{LevelDefault, LevelDefault, 3, 2},
		{3, LevelOne, 3, 3},
		{1, LevelAll, 3, 1},
	} {
		got, err := resolveLevel("w", tc.level, tc.def, tc.n)
		if err != nil || got != tc.want {
			t.Errorf("level %d (default %d) of %d replicas: got %d, %v, want %d", tc.level, tc.def, tc.n, got, err, tc.want)
		}
	}
}

func TestALevelThatCanNeverBeMetIsABadRequest(t *testing.T) {
	for _, l := range []Level{4, 127, -4, -128} {
		var detail *RequestError
		if got, err := resolveLevel("w", l, LevelQuorum, 3); !errors.Is(err, ErrBadRequest) || !errors.As(err, &detail) {
			t.Errorf("level %d of 3 replicas: got %d, %v", l, got, err)
		}
	}
}
