package settings

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringcask/ringcask/node"
)

func TestTheTableSetsEveryFieldOfTheConfigurationExactlyOnce(t *testing.T) {
	var c node.Config
	by := map[uintptr][]string{}
	for _, s := range Table() {
		by[reflect.ValueOf(s.field(&c)).Pointer()] = append(by[reflect.ValueOf(s.field(&c)).Pointer()], s.Name)
	}
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		if got := by[v.Field(i).Addr().Pointer()]; len(got) != 1 {
			t.Errorf("node.Config.%s is set by %v, want exactly one setting", v.Type().Field(i).Name, got)
		}
	}
	if len(Table()) != v.NumField() {
		t.Errorf("%d settings for %d fields", len(Table()), v.NumField())
	}
}

func TestNamesAreTheFieldsNamesInKebabCase(t *testing.T) {
	var c node.Config
	v := reflect.ValueOf(&c).Elem()
	for _, s := range Table() {
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).Addr().Interface() == s.field(&c) && !strings.EqualFold(strings.ReplaceAll(s.Name, "-", ""), name) {
				t.Errorf("the setting of node.Config.%s is called %q", name, s.Name)
			}
		}
	}
}

// sample gives every setting a value that is not its default.
func sample(s Setting) string {
	switch s.Unit {
	case Count:
		return "7"
	case Bytes:
		return "3MiB"
	case Duration:
		return "1m30s"
	case Switch:
		return "true"
	case Members:
		return "n1=127.0.0.1:8083@east,n2=[::1]:8093+[::1]:9000@west,n3=h:1+h:7"
	}
	return s.Name + ":1"
}

func TestEverySettingCanBeGivenByEverySource(t *testing.T) {
	for _, s := range Table() {
		want := sample(s)
		path := filepath.Join(t.TempDir(), "ringcask.yaml")
		if err := os.WriteFile(path, []byte(s.Name+": '"+want+"'\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := File(path)
		if err != nil {
			t.Fatal(err)
		}
		env, err := Environment([]string{"PATH=/bin", s.Variable() + "=" + want})
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range [][]Given{file, env, {{Name: s.Name, Text: want, Origin: Origin{FromFlag, s.Flag()}}}} {
			r, err := Resolve(source)
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			if got := s.Format(&r.Config); got != want {
				t.Errorf("%s from %s is %q, want %q", s.Name, r.Origin(s.Name), got, want)
			}
		}
	}
}

func TestAFlagOverridesTheEnvironmentWhichOverridesTheFile(t *testing.T) {
	given := func(kind OriginKind, timeout string) []Given {
		return []Given{{Name: "timeout", Text: timeout, Origin: Origin{Kind: kind}}}
	}
	file, env, flag := given(FromFile, "1s"), given(FromEnvironment, "2s"), given(FromFlag, "3s")
	for _, tc := range []struct {
		name    string
		sources [][]Given
		want    time.Duration
		origin  OriginKind
	}{
		{"nothing", [][]Given{nil, nil, nil}, 0, FromDefault},
		{"file", [][]Given{file, nil, nil}, time.Second, FromFile},
		{"environment", [][]Given{nil, env, nil}, 2 * time.Second, FromEnvironment},
		{"flag", [][]Given{nil, nil, flag}, 3 * time.Second, FromFlag},
		{"file and environment", [][]Given{file, env, nil}, 2 * time.Second, FromEnvironment},
		{"file and flag", [][]Given{file, nil, flag}, 3 * time.Second, FromFlag},
		{"environment and flag", [][]Given{nil, env, flag}, 3 * time.Second, FromFlag},
		{"all", [][]Given{file, env, flag}, 3 * time.Second, FromFlag},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Resolve(tc.sources...)
			if err != nil {
				t.Fatal(err)
			}
			if r.Config.Timeout != tc.want || r.Origin("timeout").Kind != tc.origin {
				t.Errorf("timeout %v from %s", r.Config.Timeout, r.Origin("timeout"))
			}
		})
	}
}

func TestUnknownNamesAreRefusedWithTheNearestOne(t *testing.T) {
	for _, tc := range []struct{ yaml, want string }{
		{"replica: 3", `f:1: unknown setting "replica" (did you mean "replicas"?)`},
		{"id: n1\nhttp_addr: x", `f:2: unknown setting "http_addr" (did you mean "http-addr"?)`},
		{"colour: blue", `f:1: unknown setting "colour"`},
		{"Replicas: 3", `f:1: unknown setting "Replicas" (did you mean "replicas"?)`},
	} {
		if _, err := parseFile("f", []byte(tc.yaml)); err == nil || err.Error() != tc.want {
			t.Errorf("%q: %v, want %s", tc.yaml, err, tc.want)
		}
	}
	_, err := Environment([]string{"RINGCASK_REPLICA=3"})
	if want := `environment: unknown variable RINGCASK_REPLICA (did you mean "RINGCASK_REPLICAS"?)`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if given, err := Environment([]string{"RINGCASK_ADDR=x", "RINGCASKET=y"}, "RINGCASK_ADDR"); err != nil || len(given) != 0 {
		t.Errorf("variables of others: %v, %v", given, err)
	}
}

func TestAFileThatIsNotAMappingOfSettingsIsRefusedWithTheLine(t *testing.T) {
	for _, tc := range []struct{ yaml, want string }{
		{"- id", "f:1: must be a mapping"},
		{"id: n1\nid: n2", "f:2: id was set before, on line 1"},
		{"id:", "f:1: id: has no value"},
		{"id: ''", "has no value"},
		{"id: [a]", "f:1: id: must be a single value"},
		{"replicas: {a: 1}", "f:1: replicas: must be a single value"},
		{"a: &x 1\nid: *x", "unknown setting"},
		{"id: &x n1\ndir: *x", "f:2: dir: must be a single value"},
		{"replicas: three", `"three" is not a whole number`},
		{"timeout: 5", `"5" is not a duration`},
		{"segment-bytes-max: 1.5GiB", "is not an amount of bytes"},
		{"insecure: maybe", "neither true nor false"},
		{"members: [{id: n1, port: 3}]", `a member has no "port"`},
		{"members: [{id: n1}]", "is not a member"},
		{"members: n1", "is not a member"},
		{"id: [", "yaml"},
	} {
		given, err := parseFile("f", []byte(tc.yaml))
		if err == nil {
			_, err = Resolve(given)
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %s", tc.yaml, err, tc.want)
		}
	}
}

func TestMembersMayBeASequenceInAFile(t *testing.T) {
	given, err := parseFile("f", []byte("members:\n- {id: n1, peer: 'h1:8083', zone: east}\n- id: n2\n  peer: h2:8083\n  gossip: h3:7946\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Resolve(given)
	want := []node.Member{{ID: "n1", Peer: "h1:8083", Zone: "east"}, {ID: "n2", Peer: "h2:8083", Gossip: "h3:7946"}}
	if err != nil || !cmp.Equal(r.Config.Members, want) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestWhatIsPrintedIsAFileThatGivesTheSameConfiguration(t *testing.T) {
	var given []Given
	for _, s := range Table() {
		given = append(given, Given{Name: s.Name, Text: sample(s), Origin: Origin{FromFlag, s.Flag()}})
	}
	for _, source := range [][]Given{given, {{Name: "id", Text: "true: # 'x'"}}, nil} {
		r, err := Resolve(source)
		if err != nil {
			t.Fatal(err)
		}
		var printed bytes.Buffer
		if err := r.Print(&printed); err != nil {
			t.Fatal(err)
		}
		back, err := parseFile("printed", printed.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, &printed)
		}
		again, err := Resolve(back)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Config.WithDefaults(), again.Config); diff != "" {
			t.Errorf("%s\n%s", diff, &printed)
		}
	}
}

func TestPrintSaysWhereEachValueCameFrom(t *testing.T) {
	r, err := Resolve(
		[]Given{{Name: "sync", Text: "never", Origin: Origin{FromFile, "node.yaml:7"}}},
		[]Given{{Name: "timeout", Text: "5s", Origin: Origin{FromEnvironment, "RINGCASK_TIMEOUT"}}},
		[]Given{{Name: "id", Text: "n1", Origin: Origin{FromFlag, "--id"}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"sync: never", "# file node.yaml:7"}, {"timeout: 5s", "# environment RINGCASK_TIMEOUT"}, {"id: n1", "# flag --id"},
		{"partitions: 256", "# default"}, {"# members:", "# default"}, {"segment-bytes-max: 256MiB", "# default"},
	} {
		found := false
		for line := range strings.SplitSeq(out.String(), "\n") {
			found = found || strings.HasPrefix(line, want[0]+" ") && strings.HasSuffix(line, want[1])
		}
		if !found {
			t.Errorf("no line %q … %q in\n%s", want[0], want[1], &out)
		}
	}
}

func TestArgumentsGiveTheSameConfigurationToAnotherNode(t *testing.T) {
	var given []Given
	for _, s := range Table() {
		given = append(given, Given{Name: s.Name, Text: sample(s), Origin: Origin{FromEnvironment, s.Variable()}})
	}
	r, err := Resolve(given)
	if err != nil {
		t.Fatal(err)
	}
	var back []Given
	for _, arg := range r.Arguments(func(Setting) bool { return true }) {
		name, text, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		back = append(back, Given{Name: name, Text: text})
	}
	again, err := Resolve(back)
	if err != nil || !cmp.Equal(r.Config, again.Config) {
		t.Errorf("%v\n%s", err, cmp.Diff(r.Config, again.Config))
	}
	if args := r.Arguments(func(s Setting) bool { return s.Name == "sync" }); !cmp.Equal(args, []string{"--sync=sync:1"}) {
		t.Errorf("%q", args)
	}
}

func TestTheDefaultOfReplicasIsAsTheManualSays(t *testing.T) {
	for members, want := range []int{0: 1, 1: 1, 2: 2, 3: 3, 4: 3} {
		c := node.Config{Members: make([]node.Member, members)}.WithDefaults()
		if c.Replicas != want {
			t.Errorf("%d members: %d replicas, want %d", members, c.Replicas, want)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("id: n1\nmembers: [{id: n1, peer: 'x:1'}]\n"))
	f.Add([]byte("replicas: &a 3\nr: *a"))
	f.Add([]byte("# nothing\n"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		given, err := parseFile("f", data)
		if err != nil {
			return
		}
		if _, err := Resolve(given); err != nil && !strings.HasPrefix(err.Error(), "file f:") {
			t.Fatalf("no place in %v", err)
		}
	})
}

func FuzzParseMembers(f *testing.F) {
	f.Add("n1=127.0.0.1:8083,n2=[::1]:8093@east")
	f.Add("=,@")
	f.Fuzz(func(t *testing.T, text string) {
		members, err := ParseMembers(text)
		if err != nil {
			return
		}
		again, err := ParseMembers(FormatMembers(members))
		if err != nil || !cmp.Equal(members, again) {
			t.Fatalf("%q is %v, then %v, %v", text, members, again, err)
		}
	})
}
