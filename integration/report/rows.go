package report

import (
	"slices"
	"strings"
	"time"
)

// sliceRow is a slice in the table that says what the picture shows.
type sliceRow struct {
	Slice
	// Rates are in a second.
	OkRate, FailedRate, UnknownRate float64
	// Faults are the kinds under way.
	Faults string
}

// kindsMax is how many kinds of faults are named in one row.
const kindsMax = 4

func sliceRows(s Summary) []sliceRow {
	rate := func(n int) float64 { return float64(n) / s.SliceLength.Seconds() }
	rows := make([]sliceRow, len(s.Slices))
	for i, slice := range s.Slices {
		rows[i] = sliceRow{
			Slice: slice, OkRate: rate(slice.Ok), FailedRate: rate(slice.Failed), UnknownRate: rate(slice.Unknown),
			Faults: strings.Join(underWay(s.Faults, slice.From, slice.From+s.SliceLength), ", "),
		}
	}
	return rows
}

// underWay are the kinds of faults that were there for some of a stretch of time.
func underWay(faults []Strike, from, to time.Duration) (kinds []string) {
	for _, f := range faults {
		kind := string(f.Fault.Kind)
		if f.Skipped || f.Began >= to || f.Ended < from || slices.Contains(kinds, kind) {
			continue
		}
		if len(kinds) == kindsMax {
			return append(kinds, "…")
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// strikeRow is a fault in the table of all of them.
type strikeRow struct {
	Strike
	Group, Whom, Measure string
}

func strikeRows(s Summary) []strikeRow {
	rows := make([]strikeRow, len(s.Faults))
	for i, f := range s.Faults {
		rows[i] = strikeRow{Strike: f, Group: group(f.Fault.Kind), Whom: whomText(f.Fault, s), Measure: measureText(f.Fault)}
	}
	return rows
}
