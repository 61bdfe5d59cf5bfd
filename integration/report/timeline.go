package report

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// timeline is the picture: marks, two panels and the lanes of faults, from top down, on one time axis.
type timeline struct {
	Width, Height px
	Left, Right   px
	Ticks         []tick
	Marks         []mark
	Rates         ratePanel
	Latencies     latencyPanel
	Lanes         []lane
	// FaultsTop is where lanes begin, and Bottom where all of them end: the time axis is there.
	FaultsTop, Bottom px
	// After is where the workload was over, if the axis goes on.
	After px
	// Slices is how many slices there are between Left and Right, for the script.
	Slices int
	// Description says in words what there is to see.
	Description string
}

// mark is a moment, or a stretch of time, with its name.
type mark struct {
	X, Width px
	// TextX and TextY are where its name stands, Anchor which end of it.
	TextX, TextY px
	Anchor, Text string
}

// The measures of the picture.
const (
	pictureWidth  px = 1120
	pictureLeft   px = 76
	pictureRight  px = pictureWidth - 22
	titleHeight   px = 32
	ratesHeight   px = 170
	latencyHeight px = 150
	axisHeight    px = 24
	markStep      px = 15
	markPad       px = 4
)

// Places that follow from others.
func (t timeline) AfterWidth() px   { return t.Right - t.After }
func (t timeline) PlotHeight() px   { return t.Bottom - t.Rates.Top }
func (t timeline) AxisX() px        { return t.Left - 8 }
func (t timeline) AxisText() px     { return t.Bottom + 16 }
func (t timeline) FaultsTitleY() px { return t.FaultsTop - 8 }

func draw(s Summary) timeline {
	a := timeAxis{end: s.SliceLength * time.Duration(len(s.Slices)), left: pictureLeft, right: pictureRight}
	t := timeline{Width: pictureWidth, Left: a.left, Right: a.right, Ticks: a.ticks(), Slices: len(s.Slices), Description: describe(s)}
	t.After = a.x(s.Duration)
	if s.Duration == 0 {
		t.After = a.right
	}
	marks, top := drawMarks(s, a)
	t.Marks = marks
	top += titleHeight
	t.Rates = drawRates(s, a, top, top+ratesHeight)
	top = t.Rates.Bottom + titleHeight
	t.Latencies = drawLatencies(s, a, top, top+latencyHeight)
	t.FaultsTop = t.Latencies.Bottom + titleHeight
	t.Lanes, t.Bottom = drawLanes(s, a, t.FaultsTop)
	t.Height = t.Bottom + axisHeight
	return t
}

// drawMarks marks the longest gap and the phases after the workload.
func drawMarks(s Summary, a timeAxis) (marks []mark, bottom px) {
	var rows packing
	add := func(from, to time.Duration, text string) {
		m := mark{X: a.x(from), Width: a.x(to) - a.x(from), Text: text, Anchor: "start"}
		width := letterWidth * px(utf8.RuneCountInString(text))
		left := m.X + markPad
		m.TextX = left
		if left+width > a.right {
			m.TextX, m.Anchor = m.X-markPad, "end"
			left = m.TextX - width
		}
		row, _ := rows.place(left, left+width+8, left+width)
		m.TextY = markStep * px(row+1)
		marks = append(marks, m)
	}
	if s.Gap.Length() >= s.SliceLength && s.Counts.Ok > 0 {
		add(s.Gap.From, s.Gap.To, "no acknowledgement for "+brief(s.Gap.Length()))
	}
	if 0 < s.Duration && s.Duration < a.end {
		add(s.Duration, s.Duration, "workload over")
	}
	if c := s.Convergence; c != nil && c.Reached {
		add(c.Healed+c.Took, c.Healed+c.Took, "replicas equal")
	}
	return marks, markStep * px(len(rows.ends))
}

// describe is the picture for those who cannot see it.
func describe(s Summary) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Operations per second, latencies and faults over %s. ", brief(s.SliceLength*time.Duration(len(s.Slices))))
	fmt.Fprintf(&b, "%s acknowledged, %s failed, %s unknown. ", grouped(s.Counts.Ok), grouped(s.Counts.Failed), grouped(s.Counts.Unknown))
	if s.Gap.Length() > 0 {
		fmt.Fprintf(&b, "The longest time without an acknowledgement was %s, from %s. ", brief(s.Gap.Length()), clock(s.Gap.From))
	}
	fmt.Fprintf(&b, "%s. The same is in the tables below.", counted(len(s.Faults)+s.FaultsOther, "fault"))
	return b.String()
}
