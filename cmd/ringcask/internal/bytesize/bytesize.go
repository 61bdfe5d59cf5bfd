package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit is a suffix and how many bytes it stands for.
type unit struct {
	suffix string
	bytes  int64
}

// units are ordered so that no suffix hides a longer one, and so that Format finds the largest binary unit first.
var units = []unit{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
	{"B", 1},
}

// Parse reads an amount of bytes, which must be a whole number between 0 and the greatest int64.
func Parse(text string) (int64, error) {
	digits, scale := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if len(digits) > len(u.suffix) && strings.EqualFold(digits[len(digits)-len(u.suffix):], u.suffix) {
			digits, scale = strings.TrimSpace(digits[:len(digits)-len(u.suffix)]), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount of bytes: write a whole number such as 1048576, 64KiB or 256MiB", text)
	}
	if int64(n) > math.MaxInt64/scale {
		return 0, fmt.Errorf("%q is more bytes than can be counted", text)
	}
	return int64(n) * scale, nil
}

// Format writes n with the largest binary unit that divides it, so that Parse gives n again. A negative n has no unit.
func Format(n int64) string {
	for _, u := range units {
		if strings.HasSuffix(u.suffix, "iB") && n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// Approximate writes n for a human to read, in decimal units with three significant digits: "37.2 MB".
func Approximate(n float64) string {
	for _, u := range units {
		if !strings.HasSuffix(u.suffix, "iB") && u.bytes > 1 && n >= float64(u.bytes) {
			v := n / float64(u.bytes)
			decimals := 2
			for limit := 10.0; decimals > 0 && v >= limit; limit *= 10 {
				decimals--
			}
			return strconv.FormatFloat(v, 'f', decimals, 64) + " " + u.suffix
		}
	}
	return strconv.FormatFloat(n, 'f', 0, 64) + " B"
}
