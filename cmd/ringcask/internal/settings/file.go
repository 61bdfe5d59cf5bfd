package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"
)

// fileBytesMax bounds a configuration file.
const fileBytesMax = 1 << 20

// File reads the settings of a YAML file: one mapping of setting names to scalars. Members may also be a sequence of
// mappings with id, peer and, if need be, gossip and zone.
func File(path string) ([]Given, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(data) > fileBytesMax {
		return nil, fmt.Errorf("%s: a configuration file may have at most %d bytes", path, fileBytesMax)
	}
	return parseFile(path, data)
}

func parseFile(path string, data []byte) ([]Given, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if document.Kind == 0 {
		return nil, nil // empty, or comments only
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: must be a mapping of settings to values, such as `replicas: 3`", path, root.Line)
	}
	var given []Given
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		s, ok := Lookup(key.Value)
		if !ok {
			return nil, fmt.Errorf("%s:%d: unknown setting %q%s", path, key.Line, key.Value, DidYouMean(key.Value, names()))
		}
		if line, twice := seen[s.Name]; twice {
			return nil, fmt.Errorf("%s:%d: %s was set before, on line %d", path, key.Line, s.Name, line)
		}
		seen[s.Name] = key.Line
		text, err := valueText(s, value)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", path, value.Line, s.Name, err)
		}
		given = append(given, Given{Name: s.Name, Text: text, Origin: Origin{FromFile, fmt.Sprintf("%s:%d", path, key.Line)}})
	}
	return given, nil
}

// valueText is a YAML value as the text that an environment variable would have.
func valueText(s Setting, value *yaml.Node) (string, error) {
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		return "", errEmpty
	case value.Kind == yaml.ScalarNode:
		return value.Value, nil
	case value.Kind == yaml.SequenceNode && s.Unit == Members:
		return membersText(value)
	}
	return "", errors.New("must be a single value")
}

// membersText reads a sequence of {id, peer, gossip, zone}.
func membersText(list *yaml.Node) (string, error) {
	text := ""
	for _, entry := range list.Content {
		if entry.Kind != yaml.MappingNode {
			return "", fmt.Errorf("line %d: a member is a mapping with id, peer, gossip and zone", entry.Line)
		}
		fields := map[string]string{}
		for i := 0; i+1 < len(entry.Content); i += 2 {
			key, value := entry.Content[i], entry.Content[i+1]
			if !slices.Contains([]string{"id", "peer", "gossip", "zone"}, key.Value) {
				return "", fmt.Errorf("line %d: a member has no %q: it has id, peer, gossip and zone", key.Line, key.Value)
			}
			if _, twice := fields[key.Value]; twice || value.Kind != yaml.ScalarNode {
				return "", fmt.Errorf("line %d: a member's %s must be given once, as a single value", key.Line, key.Value)
			}
			fields[key.Value] = value.Value
		}
		if text != "" {
			text += ","
		}
		text += fields["id"] + "=" + fields["peer"]
		if fields["gossip"] != "" {
			text += "+" + fields["gossip"]
		}
		if fields["zone"] != "" {
			text += "@" + fields["zone"]
		}
	}
	return text, nil
}
