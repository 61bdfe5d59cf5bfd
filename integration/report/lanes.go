package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ringcask/ringcask/integration/fault"
)

// lane is a node's part of the picture, or that of all nodes, with the faults that struck it.
type lane struct {
	Name        string
	Top, Bottom px
	Bars        []bar
}

// bar is a fault in a lane.
type bar struct {
	X, Y, Width, Height px
	// TextX is where the label stands, and Anchor which end of it.
	TextX  px
	Anchor string
	// Group is the style: process, split, link, disk or clock. Label is empty where there is no room for it; Title has everything.
	Group, Label, Title string
}

// Places that follow from others.
func (l lane) TextY() px { return (l.Top + l.Bottom) / 2 }
func (b bar) TextY() px  { return b.Y + 11.5 }

// The measures of lanes. A letter is about letterWidth wide.
const (
	barHeight   px = 15
	barStep     px = 18
	lanePad     px = 4
	letterWidth px = 6.1
	barWidthMin px = 3
	labelPad    px = 6
	rowsMax        = 4
)

// drawLanes draws one lane for each node, from top down, and one for what struck all nodes if anything did.
func drawLanes(s Summary, a timeAxis, top px) (lanes []lane, bottom px) {
	everyone, nodes := byLane(s)
	if len(everyone) > 0 {
		lanes = append(lanes, drawLane("all nodes", everyone, s, a, top))
		top = lanes[0].Bottom
	}
	for n, struck := range nodes {
		l := drawLane(nodeName(s, n), struck, s, a, top)
		lanes, top = append(lanes, l), l.Bottom
	}
	return lanes, top
}

// byLane sorts faults that were carried out by whom they struck.
func byLane(s Summary) (everyone []Strike, nodes [][]Strike) {
	nodes = make([][]Strike, len(s.Nodes))
	for _, f := range s.Faults {
		switch struck := f.Fault.Nodes; {
		case f.Skipped:
		case len(struck) == 0 || len(struck) >= len(s.Nodes) && len(s.Nodes) > 1:
			everyone = append(everyone, f)
		default:
			for _, n := range struck {
				if n >= 0 && n < len(nodes) {
					nodes[n] = append(nodes[n], f)
				}
			}
		}
	}
	return everyone, nodes
}

func drawLane(name string, struck []Strike, s Summary, a timeAxis, top px) lane {
	l := lane{Name: shortened(name, int((a.left-12)/letterWidth)), Top: top}
	var rows packing
	for _, f := range struck {
		b := newBar(f, s, a)
		left, right := b.extent()
		row, fits := rows.place(left, right, b.X+b.Width)
		if !fits {
			b.Label = ""
		}
		b.Y = top + lanePad + barStep*px(row)
		l.Bars = append(l.Bars, b)
	}
	l.Bottom = top + 2*lanePad + barStep*px(max(1, len(rows.ends)))
	return l
}

// newBar is a bar in no row yet. Its label begins in it and may go on beyond it; near the end of the axis it stands before it.
func newBar(f Strike, s Summary, a timeAxis) bar {
	b := bar{
		X: a.x(f.Began), Height: barHeight, Anchor: "start",
		Group: group(f.Fault.Kind), Label: string(f.Fault.Kind), Title: strikeText(f, s),
	}
	b.Width = max(a.x(f.Ended)-b.X, barWidthMin)
	b.TextX = b.X + labelPad
	if b.TextX+b.labelWidth() > a.right {
		b.TextX, b.Anchor = b.X-labelPad, "end"
	}
	return b
}

func (b bar) labelWidth() px { return letterWidth * px(utf8.RuneCountInString(b.Label)) }

// extent is from where to where a bar with its label reaches.
func (b bar) extent() (left, right px) {
	if b.Anchor == "end" {
		return b.TextX - b.labelWidth(), b.X + b.Width
	}
	return b.X, max(b.X+b.Width, b.TextX+b.labelWidth())
}

// packing puts things that have a length into rows, so that they do not overlap as long as rowsMax rows are enough.
type packing struct{ ends []px }

// place puts something that begins at from into a row: with its label if a row is free up to labelled, else without, up to end.
func (p *packing) place(from, labelled, end px) (row int, fits bool) {
	row = slices.IndexFunc(p.ends, func(taken px) bool { return taken <= from })
	if row < 0 && len(p.ends) < rowsMax {
		row = len(p.ends)
		p.ends = append(p.ends, 0)
	}
	if row < 0 {
		row = slices.Index(p.ends, slices.Min(p.ends))
		p.ends[row] = max(p.ends[row], end)
		return row, false
	}
	p.ends[row] = labelled + 2
	return row, true
}

// group says which faults look alike.
func group(k fault.Kind) string {
	switch k {
	case fault.Kill, fault.PowerLoss, fault.Restart, fault.Pause:
		return "process"
	case fault.Halves, fault.MajorityRing, fault.OneWay, fault.CutLink, fault.Isolate:
		return "split"
	case fault.DiskFull, fault.DiskError, fault.DiskSlow, fault.Flip, fault.Wipe:
		return "disk"
	case fault.Skew:
		return "clock"
	}
	return "link"
}

// strikeText is a fault as it was carried out, for people.
func strikeText(f Strike, s Summary) string {
	text := fmt.Sprintf("%s, %s to %s", faultText(f.Fault, s), clock(f.Began), clock(f.Ended))
	if f.Note != "" {
		text += "; " + f.Note
	}
	return text
}

// faultText is a fault with its nodes and its measure.
func faultText(f fault.Fault, s Summary) string {
	text := string(f.Kind)
	if measure := measureText(f); measure != "" {
		text += " (" + measure + ")"
	}
	if whom := whomText(f, s); whom != "" {
		text += ": " + whom
	}
	return text
}

// whomText names whom a fault strikes, and between whom it lies.
func whomText(f fault.Fault, s Summary) string {
	var names, others []string
	for _, n := range f.Nodes {
		names = append(names, nodeName(s, n))
	}
	for n, name := range s.Nodes {
		if !slices.Contains(f.Nodes, n) {
			others = append(others, name)
		}
	}
	switch {
	case f.Kind == fault.Halves && len(others) > 0:
		return strings.Join(names, " ") + " | " + strings.Join(others, " ")
	case f.Kind == fault.OneWay:
		return strings.Join(names, " ↛ ")
	case f.Kind == fault.CutLink:
		return strings.Join(names, " ⊣⊢ ")
	}
	return strings.Join(names, " ")
}

func measureText(f fault.Fault) string {
	switch {
	case f.Delay != 0 && f.Kind == fault.Skew:
		return fmt.Sprintf("%+d ms", f.Delay.Milliseconds())
	case f.Delay != 0:
		return brief(f.Delay)
	case f.BytesPerSecond != 0:
		return number(float64(f.BytesPerSecond)/1024) + " KiB/s"
	case f.Share != 0:
		return number(100*f.Share) + " %"
	case f.Count != 0:
		return counted(f.Count, "byte")
	}
	return ""
}

func nodeName(s Summary, n int) string {
	if n >= 0 && n < len(s.Nodes) {
		return s.Nodes[n]
	}
	return fmt.Sprintf("node %d", n)
}

func shortened(text string, letters int) string {
	if utf8.RuneCountInString(text) <= letters {
		return text
	}
	return string([]rune(text)[:letters-1]) + "…"
}
