package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// listed joins phrases as a sentence does.
func listed(phrases []string) string {
	if len(phrases) < 2 {
		return strings.Join(phrases, "")
	}
	return strings.Join(phrases[:len(phrases)-1], ", ") + " and " + phrases[len(phrases)-1]
}

// grouped is a number with a comma between its thousands.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// brief is a duration in at most three digits and its unit, or in minutes and seconds.
func brief(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return wholeUnits.Replace(d.Round(time.Second).String() + ";")
	case d >= time.Second:
		return strconv.FormatFloat(threeDigits(d.Seconds()), 'f', -1, 64) + " s"
	case d >= time.Millisecond:
		return strconv.FormatFloat(threeDigits(d.Seconds()*1e3), 'f', -1, 64) + " ms"
	case d > 0:
		return strconv.FormatFloat(threeDigits(d.Seconds()*1e6), 'f', -1, 64) + " µs"
	}
	return "0 s"
}

// wholeUnits leaves out the zeros of whole minutes and hours.
var wholeUnits = strings.NewReplacer("h0m0s;", "h", "m0s;", "m", ";", "")

func threeDigits(v float64) float64 {
	scale := math.Pow(10, 2-math.Floor(math.Log10(v)))
	return math.Round(v*scale) / scale
}

// number is a measured value in about three digits, or a whole number with its thousands apart.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) >= 1e15 || math.Abs(v) < 1e-4:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case math.Abs(v) >= 100 || v == math.Trunc(v):
		return grouped(int(math.Round(v)))
	}
	return strconv.FormatFloat(math.Copysign(threeDigits(math.Abs(v)), v), 'f', -1, 64)
}

// share is a part of a whole in percent. It is 100 or 0 only if it is all or nothing.
func share(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	percent := 100 * float64(part) / float64(whole)
	for digits := 1; ; digits++ {
		text := strconv.FormatFloat(percent, 'f', digits, 64)
		rounded, _ := strconv.ParseFloat(text, 64)
		if part == 0 || part == whole || rounded > 0 && rounded < 100 || digits == 6 {
			return strings.TrimSuffix(text, ".0") + " %"
		}
	}
}
