package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"

	"github.com/ringcask/ringcask/integration/fault"
)

//go:embed page.html timeline.html page.css page.js
var files embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"grouped": grouped, "counted": counted, "brief": brief, "clock": clock, "number": number, "share": share,
	"group": func(kind string) string { return group(fault.Kind(kind)) },
}).ParseFS(files, "page.html", "timeline.html"))

// view is what the templates show.
type view struct {
	Summary
	Policy   string
	Style    template.CSS
	Script   template.JS
	Timeline timeline
	Rows     []sliceRow
	Strikes  []strikeRow
}

// Write writes a summary as one HTML page that needs nothing but itself: it loads nothing, and is whole without its script. Errors are those of w.
func Write(w io.Writer, s Summary) error {
	style, script := text("page.css"), text("page.js")
	v := view{
		Summary: s, Timeline: draw(s), Rows: sliceRows(s), Strikes: strikeRows(s),
		Style: template.CSS(style), Script: template.JS(script),
		Policy: "default-src 'none'; base-uri 'none'; form-action 'none'; style-src " + hash(style) + "; script-src " + hash(script),
	}
	return page.Execute(w, v)
}

// text is an embedded file, which cannot be missing.
func text(name string) string {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(content)
}

// hash is what a content security policy allows a text by.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
