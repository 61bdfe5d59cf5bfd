package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// noisy is the part of the machine that others may use before a round is pointed out.
const noisy = 0.15

// table is the results of workloads that have the same columns, in the order in which they came.
type table struct {
	works   []string
	columns []string
	cells   map[string]map[string][]*result // by workload and column
}

// writeTables writes what was measured in Markdown.
func writeTables(w io.Writer, results []*result) error {
	var b strings.Builder
	for _, t := range tablesOf(results) {
		t.write(&b)
	}
	quiet, busiest := 0, 0.0
	for _, r := range results {
		busiest = max(busiest, r.OthersCPU)
		if r.OthersCPU <= noisy {
			quiet++
		}
	}
	if len(results) > 0 {
		fmt.Fprintf(&b, "Medians (least..most of the rounds). ↑ more is better, ↓ less is better.\n"+
			"Other processes used at most %.0f %% of the machine; over %.0f %% in %d of %d cells.\n",
			busiest*100, noisy*100, len(results)-quiet, len(results))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tablesOf puts workloads that have the same columns into one table.
func tablesOf(results []*result) (tables []*table) {
	cells := map[string]map[string][]*result{}
	columns := map[string][]string{}
	var works []string
	for _, r := range results {
		if cells[r.Work] == nil {
			cells[r.Work] = map[string][]*result{}
			works = append(works, r.Work)
		}
		if cells[r.Work][r.Engine] == nil {
			columns[r.Work] = append(columns[r.Work], r.Engine)
		}
		cells[r.Work][r.Engine] = append(cells[r.Work][r.Engine], r)
	}
	for _, work := range works {
		i := slices.IndexFunc(tables, func(t *table) bool { return slices.Equal(t.columns, columns[work]) })
		if i < 0 {
			i = len(tables)
			tables = append(tables, &table{columns: columns[work], cells: cells})
		}
		tables[i].works = append(tables[i].works, work)
	}
	return tables
}

// comparison is a column of ratios: of one column to the best of others.
type comparison struct {
	title string
	of    string
	to    []string
}

// comparisons are ours to the best peer; without peers, each column to the first.
func (t *table) comparisons() (all []comparison) {
	var peers []string
	for _, c := range t.columns {
		if _, registered := registered[c]; registered && !strings.HasPrefix(c, "ours") {
			peers = append(peers, c)
		}
	}
	switch {
	case len(peers) == 0:
		for _, c := range t.columns[1:] {
			all = append(all, comparison{c + " / " + t.columns[0], c, t.columns[:1]})
		}
	case slices.Contains(t.columns, "ours"):
		all = append(all, comparison{"ours / best peer", "ours", peers})
	}
	return all
}

func (t *table) write(b *strings.Builder) {
	compared := t.comparisons()
	b.WriteString("| |")
	for _, c := range t.columns {
		b.WriteString(" " + c + " |")
	}
	for _, c := range compared {
		b.WriteString(" " + c.title + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(t.columns)+len(compared)) + "\n")
	for _, work := range t.works {
		for _, m := range t.metrics(work) {
			arrow := map[string]string{higher: " ↑", lower: " ↓"}[m.Better]
			fmt.Fprintf(b, "| %s: %s%s |", work, m.Name, arrow)
			for _, c := range t.columns {
				b.WriteString(" " + t.figure(work, c, m.Name) + " |")
			}
			for _, c := range compared {
				b.WriteString(" " + t.ratio(work, c, m) + " |")
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
}

// metrics are those of the first column that has any.
func (t *table) metrics(work string) []metric {
	for _, c := range t.columns {
		for _, r := range t.cells[work][c] {
			if r.Error == "" {
				return r.Metrics
			}
		}
	}
	return []metric{{Name: "all failed"}}
}

// values are those of the rounds that did not fail.
func (t *table) values(work, column, name string) map[int]float64 {
	values := map[int]float64{}
	for _, r := range t.cells[work][column] {
		for _, m := range r.Metrics {
			if r.Error == "" && m.Name == name {
				values[r.Round] = m.Value
			}
		}
	}
	return values
}

func (t *table) figure(work, column, name string) string {
	values := sorted(t.values(work, column, name))
	failed := ""
	for _, r := range t.cells[work][column] {
		if r.Error != "" {
			failed = " FAILED"
		}
	}
	switch len(values) {
	case 0:
		return strings.TrimSpace(failed)
	case 1:
		return figure(values[0]) + failed
	}
	return fmt.Sprintf("%s (%s..%s)%s", figure(median(values)), figure(values[0]), figure(values[len(values)-1]), failed)
}

// ratio is that of the medians, and that in each round; the best of several is best by its median.
func (t *table) ratio(work string, c comparison, m metric) string {
	ours := t.values(work, c.of, m.Name)
	var best map[int]float64
	name := ""
	for _, to := range c.to {
		values := t.values(work, to, m.Name)
		if len(values) == 0 {
			continue
		}
		now, so := median(sorted(values)), median(sorted(best))
		if best == nil || (m.Better == higher && now > so) || (m.Better == lower && now < so) {
			best, name = values, to
		}
	}
	if m.Better == "" || len(ours) == 0 || best == nil || median(sorted(best)) == 0 {
		return ""
	}
	var rounds []float64
	for round, v := range ours {
		if b, ok := best[round]; ok && b != 0 {
			rounds = append(rounds, v/b)
		}
	}
	slices.Sort(rounds)
	text := fmt.Sprintf("%.2f ×", median(sorted(ours))/median(sorted(best)))
	if len(rounds) > 1 {
		text += fmt.Sprintf(" (%.2f..%.2f)", rounds[0], rounds[len(rounds)-1])
	}
	if len(c.to) > 1 {
		text += " " + name
	}
	return text
}

func sorted(values map[int]float64) []float64 {
	all := make([]float64, 0, len(values))
	for _, v := range values {
		all = append(all, v)
	}
	slices.Sort(all)
	return all
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// figure has three or four digits that say something, and commas between thousands.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a < 0.1:
		return fmt.Sprintf("%.4f", v)
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	case a >= 10_000: // to three digits and a half
		unit := math.Pow(10, math.Floor(math.Log10(a))-3)
		v = math.Round(v/unit) * unit
	}
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
