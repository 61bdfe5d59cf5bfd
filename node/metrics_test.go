package node

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/coordinator"
)

func TestEveryMetricOfTheNodeIsDocumented(t *testing.T) {
	manual, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	if err := (&Node{metrics: new(coordinator.Metrics)}).registerMetrics(registry); err != nil {
		t.Fatal(err)
	}
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		registry.Describe(described)
	}()
	name := regexp.MustCompile(`fqName: "(ringcask_\w+)"`)
	known := map[string]bool{}
	for desc := range described {
		if found := name.FindStringSubmatch(desc.String()); found != nil {
			known[found[1]] = true
			if !strings.Contains(string(manual), "`"+found[1]+"`") {
				t.Errorf("docs/metrics.md does not describe %s", found[1])
			}
		}
	}
	_, section, _ := strings.Cut(string(manual), "\n## Other")
	named := regexp.MustCompile("`(ringcask_\\w+)`").FindAllStringSubmatch(section, -1)
	for _, found := range named {
		if !known[found[1]] {
			t.Errorf("docs/metrics.md describes %s, which there is not", found[1])
		}
	}
	if len(named) < 10 {
		t.Errorf("docs/metrics.md describes only %d metrics of other rooms", len(named))
	}
}
