package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// px is a length in the picture, written with one decimal: a tenth of a pixel is finer than a screen.
type px float64

// String is what stands in an attribute.
func (p px) String() string { return strconv.FormatFloat(math.Round(float64(p)*10)/10, 'f', -1, 64) }

// tick is a place on an axis and what is written there.
type tick struct {
	At   px
	Text string
}

// timeAxis lays times from zero to end between left and right.
type timeAxis struct {
	end         time.Duration
	left, right px
}

func (a timeAxis) x(at time.Duration) px {
	at = min(max(at, 0), a.end)
	return a.left + (a.right-a.left)*px(float64(at)/float64(a.end))
}

func (a timeAxis) ticks() (all []tick) {
	step := roundLength(a.end, 12)
	for at := time.Duration(0); at <= a.end; at += step {
		all = append(all, tick{At: a.x(at), Text: clock(at)})
	}
	return all
}

// clock is a time on the axis: 1:05 is a minute and five seconds, 1:00:00 an hour.
func clock(at time.Duration) string {
	text := fmt.Sprintf("%d:%02d", int(at.Minutes())%60, int(at.Seconds())%60)
	if at >= time.Hour {
		text = fmt.Sprintf("%d:%02d:%02d", int(at.Hours()), int(at.Minutes())%60, int(at.Seconds())%60)
	}
	if rest := at % time.Second; rest >= time.Millisecond {
		text += strings.TrimRight(fmt.Sprintf(".%03d", rest/time.Millisecond), "0")
	}
	return text
}

// valueAxis lays values from low to high between bottom and top, by their logarithm if log is set.
type valueAxis struct {
	low, high   float64
	log         bool
	bottom, top px
}

func (a valueAxis) y(value float64) px {
	low, high := a.low, a.high
	value = min(max(value, low), high)
	if a.log {
		low, high, value = math.Log10(low), math.Log10(high), math.Log10(value)
	}
	return a.bottom - (a.bottom-a.top)*px((value-low)/(high-low))
}

// rateAxis holds rates from zero to one that is at least most.
func rateAxis(most float64, bottom, top px) (valueAxis, []tick) {
	step := roundStep(most / 4)
	a := valueAxis{high: step * max(1, math.Ceil(most/step)), bottom: bottom, top: top}
	var ticks []tick
	for v := 0.0; v <= a.high*1.001; v += step {
		ticks = append(ticks, tick{At: a.y(v), Text: number(v)})
	}
	return a, ticks
}

// roundStep is the least of 1, 2 and 5 times a power of ten that is not less than v.
func roundStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{1, 2, 5} {
		if digit*power >= v {
			return digit * power
		}
	}
	return 10 * power
}

// latencyAxis holds latencies between powers of ten, by their logarithm. Nothing is shown shorter than a microsecond.
func latencyAxis(least, most time.Duration, bottom, top px) (valueAxis, []tick) {
	low := math.Floor(math.Log10(max(least, time.Microsecond).Seconds()) + 1e-9)
	high := math.Ceil(math.Log10(max(most, time.Microsecond).Seconds()) - 1e-9)
	high = max(high, low+1)
	a := valueAxis{low: math.Pow(10, low), high: math.Pow(10, high), log: true, bottom: bottom, top: top}
	var ticks []tick
	for power := low; power <= high; power++ {
		v := math.Pow(10, power)
		ticks = append(ticks, tick{At: a.y(v), Text: brief(time.Duration(math.Round(v * 1e9)))})
	}
	return a, ticks
}
