package devcluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// manifestName is the manifest's file in the cluster's directory.
const manifestName = "dev.json"

// manifest is the content of dev.json.
type manifest struct {
	Nodes []Node `json:"nodes"`
}

// ManifestPath is where the cluster of that directory has its manifest.
func ManifestPath(dir string) string { return filepath.Join(dir, manifestName) }

// WriteManifest replaces the manifest of dir in one step: readers see the old one or the new one.
func WriteManifest(dir string, nodes []Node) error {
	data, err := encodeManifest(nodes)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, manifestName+".*")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = temporary.Write(data)
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), ManifestPath(dir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write manifest: %w", err), os.Remove(temporary.Name()))
	}
	return nil
}

func encodeManifest(nodes []Node) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(manifest{nodes})
	return b.Bytes(), err
}

// ReadManifest returns the nodes of the manifest of dir, none if there is no manifest.
func ReadManifest(dir string) ([]Node, error) {
	data, err := os.ReadFile(ManifestPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", ManifestPath(dir), err)
	}
	return m.Nodes, nil
}
