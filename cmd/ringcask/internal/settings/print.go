package settings

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// Print writes the effective configuration as a YAML file that gives it again, with a comment on each line that says
// where the value came from.
func (r *Resolved) Print(w io.Writer) error {
	effective := r.Config.WithDefaults()
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range Table() {
		text := s.Format(&effective)
		if s.ForTests && r.Origin(s.Name).Kind == FromDefault {
			continue
		}
		line := s.Name + ": " + scalar(s, text)
		if text == "" {
			line = "# " + s.Name + ":"
		}
		fmt.Fprintf(table, "%s\t# %s\n", line, r.Origin(s.Name))
	}
	return table.Flush()
}

// scalar writes text as a YAML scalar on one line: plainly where that reads back as the same text.
func scalar(s Setting, text string) string {
	if s.Unit != Text && s.Unit != Members {
		return text
	}
	quoted, err := yaml.Marshal(text)
	if err != nil || strings.Count(string(quoted), "\n") != 1 {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSuffix(string(quoted), "\n")
}
