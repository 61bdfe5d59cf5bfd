package settings

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/bytesize"
	"github.com/ringcask/ringcask/node"
)

// errEmpty refuses settings that are named and given nothing: an unset variable in a script must not pass for the
// default.
var errEmpty = errors.New("has no value")

// Set reads text as the setting's kind of value and stores it in c.
func (s Setting) Set(c *node.Config, text string) error {
	if strings.TrimSpace(text) == "" {
		return errEmpty
	}
	var err error
	switch p := s.field(c).(type) {
	case *string:
		*p = text
	case *bool:
		*p, err = parseSwitch(text)
	case *int:
		var n int64
		n, err = s.parseInteger(text)
		if *p = int(n); err == nil && int64(*p) != n {
			err = fmt.Errorf("%s is too large", text)
		}
	case *int64:
		*p, err = s.parseInteger(text)
	case *time.Duration:
		*p, err = parseDuration(text)
	case *[]node.Member:
		*p, err = ParseMembers(text)
	}
	return err
}

// Format writes the setting's value in c so that Set gives it again; the zero value of a text or a list is empty.
func (s Setting) Format(c *node.Config) string {
	switch p := s.field(c).(type) {
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return s.formatInteger(int64(*p))
	case *int64:
		return s.formatInteger(*p)
	case *time.Duration:
		return formatDuration(*p)
	case *[]node.Member:
		return FormatMembers(*p)
	}
	return ""
}

func (s Setting) parseInteger(text string) (int64, error) {
	if s.Unit == Bytes {
		return bytesize.Parse(text)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", text)
	}
	return n, nil
}

func (s Setting) formatInteger(n int64) string {
	if s.Unit == Bytes {
		return bytesize.Format(n)
	}
	return strconv.FormatInt(n, 10)
}

func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write 250ms, 2s or 10m", text)
	}
	return d, nil
}

// formatDuration leaves out the zero units at the end: 10m, not 10m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParseMembers reads a member list, id=host:port[+host:port][@zone] with commas between. Whether the parts are well formed is for
// node.Config.Validate to say.
func ParseMembers(text string) ([]node.Member, error) {
	var members []node.Member
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		id, rest, ok := strings.Cut(part, "=")
		addrs, zone, zoned := strings.Cut(rest, "@")
		addr, gossip, gossiping := strings.Cut(addrs, "+")
		if !ok || id == "" || addr == "" || zoned && zone == "" || gossiping && gossip == "" {
			return nil, fmt.Errorf("%q is not a member: write id=host:port, id=host:port@zone or, with a gossip address, id=host:port+host:port@zone, with commas between", part)
		}
		members = append(members, node.Member{ID: id, Peer: addr, Gossip: gossip, Zone: zone})
	}
	return members, nil
}

// FormatMembers writes a member list as ParseMembers reads it.
func FormatMembers(members []node.Member) string {
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = m.ID + "=" + m.Peer
		if m.Gossip != "" {
			parts[i] += "+" + m.Gossip
		}
		if m.Zone != "" {
			parts[i] += "@" + m.Zone
		}
	}
	return strings.Join(parts, ",")
}
