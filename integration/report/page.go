package report

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// Write writes a summary as one HTML page that needs nothing but itself: it loads nothing, and is whole without its script. Errors are those of w.
func Write(w io.Writer, s Summary) error {
	return page.Execute(w, s)
}
