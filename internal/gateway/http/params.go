package httpgw

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

// params are the query parameters of a request. Those that a method has no use for are checked and otherwise ignored.
type params struct {
	r, w     coordinator.Level
	ordered  wire.Choice // default where the request says nothing
	sloppy   wire.Choice // likewise
	timeout  time.Duration
	ttl      time.Duration // zero is for ever
	siblings bool
	// context is of an earlier get, if hasContext.
	context    causal.Vector
	hasContext bool

	rng rangeParams
}

// rangeParams are the parameters of a range.
type rangeParams struct {
	start, end, prefix []byte
	limit              int // zero is what it is by default
	reverse, keysOnly  bool
	partial            bool
	cursor             string
	// bounded and directed say that bounds or a direction were given, be it beside a cursor.
	bounded, directed bool
}

// rangeSelects are the parameters that make GET /kv/range a range.
const rangeSelects = " start end prefix limit reverse keys_only cursor "

// ttlMax keeps the sum of now and a time to live from running over.
const ttlMax = 100 * 365 * 24 * time.Hour

// eachParam calls f with each parameter in turn, until it fails.
func eachParam(query string, f func(name, value string) *failure) *failure {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return badRequest("query: %v", err)
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return badRequest("query parameter %s: %v", name, err)
		}
		if fail := f(name, value); fail != nil {
			return fail
		}
	}
	return nil
}

// asksRange says whether a query has a parameter that only ranges have.
func asksRange(query string) bool {
	found := false
	eachParam(query, func(name, _ string) *failure {
		found = found || name != "" && strings.Contains(rangeSelects, " "+name+" ")
		return nil
	})
	return found
}

// parse reads the query into x.params. Whatever is unknown, given twice or invalid is refused by name.
func (x *exchange) parse(isRange bool) *failure {
	x.params = params{timeout: x.opt.Timeout}
	var seen []string
	return eachParam(x.r.URL.RawQuery, func(name, value string) *failure {
		for _, s := range seen {
			if s == name {
				return badRequest("query parameter %s is given twice", name)
			}
		}
		seen = append(seen, name)
		known, problem := x.param(name, value)
		if !known && isRange {
			known, problem = x.params.rng.param(name, value)
		}
		switch {
		case !known:
			return badRequest("unknown query parameter %.64q", name)
		case problem != "":
			return badRequest("query parameter %s=%.64q %s", name, value, problem)
		}
		return nil
	})
}

// param reads a parameter that any request may have. The problem continues a sentence that begins with the parameter.
func (x *exchange) param(name, value string) (known bool, problem string) {
	p := &x.params
	switch name {
	case "r":
		p.r, problem = parseLevel(value)
	case "w":
		p.w, problem = parseLevel(value)
	case "ordered":
		var ordered bool
		ordered, problem = parseBool(value)
		p.ordered = wire.ChoiceOf(ordered)
	case "siblings":
		p.siblings, problem = parseBool(value)
	case "sloppy":
		var sloppy bool
		sloppy, problem = parseBool(value)
		p.sloppy = wire.ChoiceOf(sloppy)
	case "timeout":
		p.timeout, problem = parseDuration(value, x.opt.TimeoutMax)
	case "ttl":
		p.ttl, problem = parseDuration(value, ttlMax)
	case "context":
		p.context, problem = x.parseContext(value)
		p.hasContext = problem == ""
	default:
		return false, ""
	}
	return true, problem
}

func (p *rangeParams) param(name, value string) (known bool, problem string) {
	switch name {
	case "start":
		p.start, p.bounded = []byte(value), true
	case "end":
		p.end, p.bounded = []byte(value), true
	case "prefix":
		p.prefix, p.bounded = []byte(value), true
	case "limit":
		n, err := strconv.Atoi(value)
		if p.limit = n; err != nil || n < 1 {
			problem = "must be a whole number of at least 1"
		}
	case "reverse":
		p.reverse, problem = parseBool(value)
		p.directed = true
	case "keys_only":
		p.keysOnly, problem = parseBool(value)
	case "partial":
		p.partial, problem = parseBool(value)
	case "cursor":
		if p.cursor = value; value == "" {
			problem = "is empty: leave it out to begin at the beginning"
		}
	default:
		return false, ""
	}
	return true, problem
}

func parseLevel(value string) (coordinator.Level, string) {
	level, err := wire.ParseLevel(value)
	if err != nil || value == "" {
		return 0, "must be a number of replicas, one, quorum or all"
	}
	return level, ""
}

// parseBool takes a parameter without a value for true.
func parseBool(value string) (bool, string) {
	switch value {
	case "", "true", "1":
		return true, ""
	case "false", "0":
		return false, ""
	}
	return false, "must be true or false"
}

// parseDuration reads a duration as Go writes them, or a whole number of milliseconds.
func parseDuration(value string, most time.Duration) (time.Duration, string) {
	d, err := time.ParseDuration(value)
	if err != nil {
		millis, numberErr := strconv.ParseInt(value, 10, 64)
		if numberErr != nil {
			return 0, `must be a duration such as "1.5s" or a number of milliseconds`
		}
		d = most + 1
		if millis <= most.Milliseconds() {
			d = time.Duration(max(millis, 0)) * time.Millisecond
		}
	}
	switch {
	case d < time.Millisecond:
		return 0, "must be at least a millisecond"
	case d > most:
		return 0, "is more than the " + most.String() + " that are allowed"
	}
	return d, ""
}

// parseContext reads a causal context, URL-safe base64 with or without padding, and refuses one from the future.
func (x *exchange) parseContext(value string) (causal.Vector, string) {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return nil, "is not URL-safe base64"
	}
	cc, err := causal.DecodeVector(data)
	if err != nil {
		return nil, "is no context that a node gave out: " + err.Error()
	}
	if err := x.opt.Clock.ObserveClient(cc.Max()); err != nil {
		return nil, "is ahead of this node's clock: " + err.Error()
	}
	return cc, ""
}

// appendContext appends the member "context".
func appendContext(b []byte, cc causal.Vector) []byte {
	b = append(b, `"context":"`...)
	b = base64.RawURLEncoding.AppendEncode(b, causal.AppendVector(nil, cc))
	return append(b, '"')
}
