package house

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code    = regexp.MustCompile("`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
)

// anchors are the fragments that a page's headings can be reached by.
func anchors(page string) (all []string) {
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		text := link.ReplaceAllString(strings.ToLower(h[1]), "")
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return r
			}
			return -1
		}, text))
	}
	return all
}

// brokenLinks returns the relative links of a page, which stands in dir, that lead nowhere.
func brokenLinks(dir, page string) (broken []string) {
	for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(fence.ReplaceAllString(page, ""), ""), -1) {
		to, err := url.Parse(found[1])
		if err == nil && to.IsAbs() {
			continue
		}
		if err != nil || !resolves(dir, page, to) {
			broken = append(broken, found[1])
		}
	}
	return broken
}

// resolves says whether a relative link's file is there, and has the heading that it names.
func resolves(dir, page string, to *url.URL) bool {
	if to.Path != "" {
		path := filepath.Join(dir, filepath.FromSlash(to.Path))
		if _, err := os.Stat(path); err != nil {
			return false
		}
		if to.Fragment == "" {
			return true
		}
		target, err := os.ReadFile(path)
		if err != nil {
			return false
		}
		page = string(target)
	}
	return slices.Contains(anchors(page), to.Fragment)
}

func TestEveryRelativeLinkOfTheManualLeadsSomewhere(t *testing.T) {
	pages := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != "..":
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		page, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pages++
		for _, to := range brokenLinks(filepath.Dir(path), string(page)) {
			t.Errorf("%s: the link to %s is broken", path, to)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 10 {
		t.Errorf("found only %d pages", pages)
	}
}

func TestABrokenLinkIsFound(t *testing.T) {
	page := "# A page\n\n## What `it` does\n\n[a](missing.md) [b](#what-it-does) [c](#nowhere) [d](house_test.go) [e](https://example.org/x)\n" +
		"[f](doc.go#nowhere) `[g](code.md)`\n```\n[h](fenced.md)\n```\n"
	want := []string{"missing.md", "#nowhere", "doc.go#nowhere"}
	if got := brokenLinks(".", page); !slices.Equal(got, want) {
		t.Errorf("broken links: %q, want %q", got, want)
	}
}
