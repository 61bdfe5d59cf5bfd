package devcluster

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringcask/ringcask/internal/testport"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestTheManifestIsAsPublished(t *testing.T) {
	nodes, err := Plan(Options{
		Executable: "/usr/local/bin/ringcask", Dir: "/srv/ringcask-data", Nodes: 2, BasePort: 8080, Settings: []string{"--replicas=2", "--sync=always"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		nodes[i].PID = 4711 + i
	}
	dir := t.TempDir()
	if err := WriteManifest(dir, nodes[:1]); err != nil {
		t.Fatal(err)
	}
	if err := WriteManifest(dir, nodes); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "dev.json")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("dev.json differs from %s (-update rewrites it):\n%s", golden, diff)
	}
	back, err := ReadManifest(dir)
	if err != nil || !cmp.Equal(back, nodes) {
		t.Errorf("%v, %v", back, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("temporary files are left: %v", files)
	}
}

func TestADirectoryWithoutManifestHasNoNodesAndABrokenOneIsAnError(t *testing.T) {
	dir := t.TempDir()
	if nodes, err := ReadManifest(dir); err != nil || nodes != nil {
		t.Errorf("%v, %v", nodes, err)
	}
	if err := os.WriteFile(ManifestPath(dir), []byte(`{"nodes":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadManifest(dir); err == nil || !strings.Contains(err.Error(), ManifestPath(dir)) {
		t.Errorf("%v", err)
	}
}

func TestImpossibleClustersAreRefused(t *testing.T) {
	for _, tc := range []struct {
		nodes, port int
		want        string
	}{
		{0, 8080, "between 1 and 100 nodes"},
		{101, 8080, "between 1 and 100 nodes"},
		{3, 0, "base port between 1 and"},
		{3, 65530, "base port between 1 and 65511"},
		{3, 65511, ""},
		{1, 65531, ""},
	} {
		_, err := Plan(Options{Executable: "/x", Dir: "/y", Nodes: tc.nodes, BasePort: tc.port})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%d nodes from %d: %v, want %q", tc.nodes, tc.port, err, tc.want)
		}
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	free := testport.Addrs(t, 7)
	nodes := []Node{{ID: "n1", HTTP: free[0], RPC: free[1], Peer: free[2], Gossip: free[5]}, {ID: "n2", HTTP: free[3], RPC: taken.Addr().String(), Peer: free[4], Gossip: free[6]}}
	err = CheckPorts(nodes)
	if want := "port " + strconv.Itoa(port) + ", for RPC of node n2, cannot be used"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if strings.Count(err.Error(), "cannot be used") != 1 {
		t.Errorf("free ports are called taken: %v", err)
	}
	if err := CheckPorts(nodes[:1]); err != nil {
		t.Error(err)
	}
}
