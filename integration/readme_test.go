package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestTheCurlLinesOfTheReadmeWorkAsTheyStand(t *testing.T) {
	skipShort(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, clusterOptions{})
	// The README speaks of the default ports, which may be taken here.
	ports := strings.NewReplacer("localhost:8080", c.nodes[0].http, "localhost:8090", c.nodes[1].http, "localhost:8100", c.nodes[2].http)
	said := map[string]string{}
	for line := range strings.Lines(string(readme)) {
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		cmd := exec.Command("sh", "-c", ports.Replace(line))
		out, err := cmd.Output()
		if err != nil || strings.Contains(string(out), `"error"`) {
			t.Errorf("%s: %v: %s", strings.TrimSpace(line), err, out)
		}
		said[strings.TrimSpace(line)] = string(out)
	}
	if len(said) < 8 {
		t.Fatalf("the README has only %d curl lines", len(said))
	}
	for line, want := range map[string]string{
		"curl localhost:8090/kv/fruit/apple":                                      `"value":"green"`,
		"curl -H 'Accept: application/octet-stream' localhost:8100/kv/fruit/pear": "yellow",
		"curl 'localhost:8080/kv/range?prefix=fruit/&limit=10'":                   `"key":"fruit/pear"`,
		"curl localhost:8080/status":                                              `"n3"`,
	} {
		if got, ok := said[line]; !ok || !strings.Contains(got, want) {
			t.Errorf("%s says %q, want %s in it", line, got, want)
		}
	}
}
