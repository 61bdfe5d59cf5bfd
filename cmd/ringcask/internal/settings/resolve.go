package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringcask/ringcask/node"
)

// OriginKind is the kind of source that a value came from, in rising priority.
type OriginKind uint8

// The kinds of source.
const (
	FromDefault OriginKind = iota
	FromFile
	FromEnvironment
	FromFlag
)

// Origin says where a value came from.
type Origin struct {
	Kind OriginKind
	// Where is the file and line, the variable or the flag; empty for a default.
	Where string
}

func (o Origin) String() string {
	kind := [...]string{"default", "file", "environment", "flag"}[o.Kind]
	if o.Where == "" {
		return kind
	}
	return kind + " " + o.Where
}

// Given is a setting's value as text, the way that one source gave it.
type Given struct {
	Name, Text string
	Origin     Origin
}

// Resolved is the outcome: a configuration and where its values came from.
type Resolved struct {
	// Config has the zero value in each field that no source gave.
	Config  node.Config
	origins map[string]Origin
}

// Origin says where the value of the setting of that name came from.
func (r *Resolved) Origin(name string) Origin { return r.origins[name] }

// Resolve applies what the sources gave, in rising priority: each source overrides those before it.
func Resolve(sources ...[]Given) (*Resolved, error) {
	r := &Resolved{origins: map[string]Origin{}}
	for _, source := range sources {
		for _, g := range source {
			s, ok := Lookup(g.Name)
			if !ok {
				return nil, fmt.Errorf("%s: unknown setting %q%s", g.Origin, g.Name, DidYouMean(g.Name, names()))
			}
			if err := s.Set(&r.Config, g.Text); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", g.Origin, s.Name, err)
			}
			r.origins[s.Name] = g.Origin
		}
	}
	return r, nil
}

// Environment finds the settings among environ, in the form of os.Environ. A variable that begins with RINGCASK_ and is
// neither a setting nor one of others is an error.
func Environment(environ []string, others ...string) ([]Given, error) {
	byVariable := map[string]Setting{}
	known := slices.Clone(others)
	for _, s := range Table() {
		byVariable[s.Variable()] = s
		known = append(known, s.Variable())
	}
	var given []Given
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, variablePrefix) || slices.Contains(others, name) {
			continue
		}
		s, ok := byVariable[name]
		if !ok {
			return nil, fmt.Errorf("environment: unknown variable %s%s", name, DidYouMean(name, known))
		}
		given = append(given, Given{Name: s.Name, Text: text, Origin: Origin{FromEnvironment, name}})
	}
	return given, nil
}

// Arguments returns the flags that make a node run with the resolved settings whose names keep lets through, whatever
// its file and environment say. Settings that no source gave are left out.
func (r *Resolved) Arguments(keep func(Setting) bool) []string {
	var args []string
	for _, s := range Table() {
		if r.Origin(s.Name).Kind != FromDefault && keep(s) {
			args = append(args, s.Flag()+"="+s.Format(&r.Config))
		}
	}
	return args
}

func names() []string {
	var all []string
	for _, s := range Table() {
		all = append(all, s.Name)
	}
	return all
}
