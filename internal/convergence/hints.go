package convergence

import "fmt"

// Undelivered says in words what the members that answered keep for others, by member and target. It is empty once nothing is left.
func Undelivered(answers []Answer) (lines []string) {
	for _, a := range answers {
		if a.Report == nil {
			continue
		}
		for _, t := range a.Report.Hints {
			if t.Count > 0 {
				line := fmt.Sprintf("%s keeps hints for %s: %d", a.Node, t.Node, t.Count)
				if t.LastError != "" {
					line += ", not taken: " + t.LastError
				}
				lines = append(lines, line)
			}
			if t.Needs > 0 {
				lines = append(lines, fmt.Sprintf("%s dropped hints for %s: partitions to exchange in their place: %d", a.Node, t.Node, t.Needs))
			}
		}
	}
	return lines
}
