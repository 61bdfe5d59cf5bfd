package house

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ringcask/ringcask/"

// allowed lists, for each room, the rooms that its code may import; its own sub-packages are always allowed. A room is named by
// the longest entry that is a prefix of the package. Tests may import what they like.
var allowed = map[string][]string{
	"cmd/ringcask":          {"node", "client", "ring", "internal/wire", "internal/convergence", "integration/chaos", "integration/fault", "integration/history", "integration/workload", "integration/report"},
	"node":                  {"antientropy", "hintedhandoff", "internal/gateway", "internal/gateway/http", "internal/gateway/rpc", "internal/peer", "internal/replica", "internal/cluster", "coordinator", "ring", "internal/wire", "internal/causal", "storage", "storage/vfs", "internal/planted"},
	"internal/gateway":      {"coordinator", "internal/causal", "internal/wire", "ring", "storage"},
	"internal/gateway/http": {"internal/gateway", "coordinator", "internal/causal", "internal/wire", "ring"},
	"internal/gateway/rpc":  {"internal/gateway", "coordinator", "internal/causal", "internal/wire", "ring"},
	"internal/peer":         {"coordinator", "ring", "internal/wire", "internal/tail", "internal/causal", "storage", "storage/vfs"},
	"internal/replica":      {"coordinator", "ring", "internal/wire", "internal/causal", "storage", "storage/vfs", "internal/planted"},
	"coordinator":           {"ring", "internal/causal", "internal/wire"},
	"client":                {"ring", "internal/wire", "internal/tail"},
	"integration":           {"client", "internal/wire", "ring"},
	"integration/history":   {},
	"integration/fault":     {},
	"integration/workload":  {"client", "ring", "integration/history"},
	"integration/report":    {"integration/history", "integration/fault", "integration/workload"},
	"integration/chaos":     {"client", "internal/wire", "internal/convergence", "ring", "internal/causal", "storage", "storage/vfs", "integration/history", "integration/fault", "integration/workload", "integration/report"},
	"integration/sim":       {"node", "client", "storage", "storage/vfs", "internal/causal", "internal/wire", "ring", "integration/history", "integration/fault", "integration/workload", "internal/planted"},
	"ring":                  {},
	"storage":               {"storage/vfs", "internal/planted", "internal/yield"},
	"storage/vfs":           {},
	"internal/causal":       {},
	"internal/convergence":  {"internal/wire"},
	"internal/cluster":      {"ring"},
	"internal/planted":      {},
	"internal/tail":         {},
	"internal/wire":         {},
	"internal/yield":        {},
	"internal/house":        {},
	"internal/testport":     {},
	"hintedhandoff":         {"ring", "internal/causal", "storage", "internal/planted", "internal/yield"},
	"antientropy":           {"ring", "internal/wire", "internal/causal", "storage", "storage/vfs", "internal/yield"},
}

type goPackage struct {
	Dir, ImportPath string
	Imports         []string
	GoFiles         []string
	TestGoFiles     []string
	XTestGoFiles    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=Dir,ImportPath,Imports,GoFiles,TestGoFiles,XTestGoFiles", module+"...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// room returns the entry of the rules that a package belongs to, or "".
func room(rules map[string][]string, pkg string) string {
	for ; pkg != "." && pkg != ""; pkg = filepath.Dir(pkg) {
		if _, ok := rules[pkg]; ok {
			return pkg
		}
	}
	return ""
}

// violations checks one package's imports against the rules.
func violations(rules map[string][]string, pkg string, imports []string) (bad []string) {
	home := room(rules, pkg)
	if home == "" {
		return []string{pkg + " is in no room of the import rules"}
	}
	for _, imp := range imports {
		imp, ours := strings.CutPrefix(imp, module)
		if !ours {
			continue
		}
		to := room(rules, imp)
		own := imp == home || strings.HasPrefix(imp, home+"/")
		if !own && !slices.Contains(rules[home], to) {
			bad = append(bad, pkg+" must not import "+imp)
		}
	}
	return bad
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		pkg, _ := strings.CutPrefix(p.ImportPath, module)
		for _, v := range violations(allowed, pkg, p.Imports) {
			t.Error(v)
		}
	}
}

func TestTheImportRulesCatchAnArrowTheWrongWay(t *testing.T) {
	for pkg, imp := range map[string]string{
		"storage":         "internal/causal",
		"ring":            "coordinator",
		"coordinator":     "internal/replica",
		"nowhere/special": "ring",
	} {
		if len(violations(allowed, pkg, []string{module + imp})) == 0 {
			t.Errorf("%s may import %s", pkg, imp)
		}
	}
}

func TestEveryPackageHasExactlyOnePackageComment(t *testing.T) {
	for _, p := range packages(t) {
		var commented []string
		for _, f := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil {
				commented = append(commented, f)
			}
		}
		if len(commented) != 1 {
			t.Errorf("%s has %d package comments, want 1: %v", p.ImportPath, len(commented), commented)
		}
	}
}
