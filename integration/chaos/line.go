package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// line is a proxy with a queue of what is to be done to it. The proxy changes a connection's chain of effects only between two chunks,
// and one that flows to a stopped process may be stuck in the middle of a chunk until that process goes on: so what is asked for is done
// in order, but nobody waits for it as long as the queue has room, and of a stuck line nothing arrives anyway.
type line struct {
	proxy *toxiproxy.Proxy
	todo  chan func() error
	done  chan error
}

// changesMax bounds the queue of a line. A line gets two changes of each fault that concerns it, and one of each reset. When the queue is full, whoever asks
// for one more waits until the line has got on: what was asked for must not be left out, least of all the end of a fault.
const changesMax = 4096

func openLine(server *toxiproxy.ApiServer, name, listen, upstream string) (*line, error) {
	l := &line{proxy: toxiproxy.NewProxy(server, name, listen, upstream), todo: make(chan func() error, changesMax), done: make(chan error, 1)}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("chaos: proxy %s: %w", name, err)
	}
	go l.work()
	return l, nil
}

// work does what is asked for until close. Its error is the first.
func (l *line) work() {
	var first error
	for do := range l.todo {
		if err := do(); err != nil && first == nil {
			first = fmt.Errorf("chaos: proxy %s: %w", l.proxy.Name, err)
		}
	}
	l.proxy.Stop()
	l.done <- first
}

func (l *line) close() error {
	close(l.todo)
	return <-l.done
}

// The directions of a connection through a line, by the names that the proxy has for them.
const (
	forward  = "upstream"
	backward = "downstream"
)

// impose has a condition hold in one direction, until lift with the same id.
func (l *line) impose(id, direction string, c condition) {
	for effect, attributes := range c.effects() {
		l.todo <- func() error { return l.add(id+effect+direction, effect, direction, attributes) }
	}
}

func (l *line) lift(id, direction string, c condition) {
	for effect := range c.effects() {
		l.todo <- func() error { return l.proxy.Toxics.RemoveToxic(context.Background(), id+effect+direction) }
	}
}

// effects are the proxy's names and settings of a condition. A "timeout" of zero swallows, and ends the connections when it is removed.
func (c condition) effects() map[string]map[string]int64 {
	effects := map[string]map[string]int64{}
	if c.cut {
		effects["timeout"] = map[string]int64{"timeout": 0}
	}
	if c.delay > 0 {
		effects["latency"] = map[string]int64{"latency": c.delay.Milliseconds(), "jitter": c.delay.Milliseconds() / 2}
	}
	if c.bytesPerSecond > 0 {
		effects["bandwidth"] = map[string]int64{"rate": max(1, c.bytesPerSecond>>10)} // in KiB
	}
	return effects
}

func (l *line) add(name, effect, direction string, attributes map[string]int64) error {
	text, err := json.Marshal(map[string]any{"name": name, "type": effect, "stream": direction, "attributes": attributes})
	if err != nil {
		return err
	}
	_, err = l.proxy.Toxics.AddToxicJson(strings.NewReader(string(text)))
	return err
}

// reset breaks all connections of now.
func (l *line) reset() {
	l.todo <- func() error {
		l.proxy.Stop()
		return l.proxy.Start()
	}
}
