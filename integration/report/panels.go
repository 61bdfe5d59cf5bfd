package report

import (
	"fmt"
	"strings"
	"time"
)

// panel is one of the diagrams that share the time axis. What it draws is SVG path data.
type panel struct {
	Top, Bottom px
	Ticks       []tick
}

// Places that follow from others.
func (p panel) TitleY() px { return p.Top - 9 }
func (p panel) Height() px { return p.Bottom - p.Top }

// ratePanel shows operations per second, stacked: acknowledged at the bottom, then unknown, then failed.
type ratePanel struct {
	panel
	Ok, Unknown, Failed string
}

// sliverHeight is the least height of what is not zero, so that a single failure among thousands of answers is seen.
const sliverHeight px = 2

func drawRates(s Summary, a timeAxis, top, bottom px) ratePanel {
	rate := func(n int) float64 { return float64(n) / s.SliceLength.Seconds() }
	most := 0
	for _, slice := range s.Slices {
		most = max(most, slice.All())
	}
	values, ticks := rateAxis(rate(most), bottom, top)
	var ok, unknown, failed strings.Builder
	for _, slice := range s.Slices {
		left, right, foot := a.x(slice.From), a.x(slice.From+s.SliceLength), bottom
		stack := func(path *strings.Builder, n int) {
			if n == 0 {
				return
			}
			head := foot - max(bottom-values.y(rate(n)), sliverHeight)
			fmt.Fprintf(path, "M%v %vV%vH%vV%vZ", left, foot, head, right, foot)
			foot = head
		}
		stack(&ok, slice.Ok)
		stack(&unknown, slice.Unknown)
		stack(&failed, slice.Failed)
	}
	return ratePanel{
		panel: panel{Top: top, Bottom: bottom, Ticks: ticks},
		Ok:    ok.String(), Unknown: unknown.String(), Failed: failed.String(),
	}
}

// latencyPanel shows how long acknowledged operations took: lines for p50 and p99 with a band between them, dots for the longest.
type latencyPanel struct {
	panel
	P50, P99, Band, Max string
}

func drawLatencies(s Summary, a timeAxis, top, bottom px) latencyPanel {
	least, most := extremes(s.Slices)
	values, ticks := latencyAxis(least, most, bottom, top)
	y := func(d time.Duration) px { return values.y(d.Seconds()) }
	p := latencyPanel{panel: panel{Top: top, Bottom: bottom, Ticks: ticks}}
	var p50, p99, band, longest strings.Builder
	for _, run := range unbroken(s.Slices) {
		back := ""
		for i, slice := range run {
			x := a.x(slice.From + s.SliceLength/2)
			step := "L"
			if i == 0 {
				step = "M"
			}
			fmt.Fprintf(&p50, "%s%v %v", step, x, y(slice.Latency.P50))
			fmt.Fprintf(&p99, "%s%v %v", step, x, y(slice.Latency.P99))
			fmt.Fprintf(&band, "%s%v %v", step, x, y(slice.Latency.P99))
			fmt.Fprintf(&longest, "M%v %vh0", x, y(slice.Latency.Max))
			back = fmt.Sprintf("L%v %v", x, y(slice.Latency.P50)) + back
		}
		band.WriteString(back + "Z")
		// A line of no length is drawn as a dot: a slice without neighbours is seen, too.
		p50.WriteString("h0")
		p99.WriteString("h0")
	}
	p.P50, p.P99, p.Band, p.Max = p50.String(), p99.String(), band.String(), longest.String()
	return p
}

// extremes are the least median and the greatest latency.
func extremes(all []Slice) (least, most time.Duration) {
	for _, slice := range all {
		if l := slice.Latency; l != nil {
			if least == 0 || l.P50 < least {
				least = l.P50
			}
			most = max(most, l.Max)
		}
	}
	return least, most
}

// unbroken are the stretches of slices with acknowledged operations: no line leads across a time without any.
func unbroken(all []Slice) (runs [][]Slice) {
	from := 0
	for i, slice := range all {
		if slice.Latency != nil {
			continue
		}
		if from < i {
			runs = append(runs, all[from:i])
		}
		from = i + 1
	}
	if from < len(all) {
		runs = append(runs, all[from:])
	}
	return runs
}
