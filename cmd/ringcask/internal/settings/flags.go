package settings

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Flags is a set of settings as a struct for the command line parser, made from the table so that no flag can be
// forgotten.
type Flags struct {
	settings []Setting
	// target points to a struct with a *bool for each switch and a *string for each other setting; nil is not given.
	target reflect.Value
}

// NewFlags returns flags for the settings whose names keep lets through.
func NewFlags(keep func(Setting) bool) *Flags {
	f := &Flags{}
	var fields []reflect.StructField
	for _, s := range Table() {
		if !keep(s) {
			continue
		}
		typ := reflect.TypeFor[*string]()
		if s.Unit == Switch {
			typ = reflect.TypeFor[*bool]()
		}
		f.settings = append(f.settings, s)
		fields = append(fields, reflect.StructField{Name: "Setting" + strconv.Itoa(len(fields)), Type: typ, Tag: s.tag()})
	}
	f.target = reflect.New(reflect.StructOf(fields))
	return f
}

// tag describes the setting's flag to the command line parser.
func (s Setting) tag() reflect.StructTag {
	help := s.Help
	if d := s.Default(); d != "" && s.Unit != Switch {
		help += " (default: " + d + ")"
	}
	tag := fmt.Sprintf(`name:%q help:%q placeholder:%q group:"settings"`, s.Name, strings.ReplaceAll(help, "$", "$$")+".", s.Example())
	if s.ForTests {
		tag += ` hidden:""`
	}
	return reflect.StructTag(tag)
}

// Target is the struct to embed, once, in a command's.
func (f *Flags) Target() any { return f.target.Interface() }

// Given returns the settings that the command line gave.
func (f *Flags) Given() []Given {
	var given []Given
	for i, s := range f.settings {
		field := f.target.Elem().Field(i)
		if !field.IsNil() {
			text := fmt.Sprint(field.Elem().Interface())
			given = append(given, Given{Name: s.Name, Text: text, Origin: Origin{FromFlag, s.Flag()}})
		}
	}
	return given
}
