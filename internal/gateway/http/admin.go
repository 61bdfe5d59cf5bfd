package httpgw

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
)

const (
	pathAdmin           = "/admin/"
	pathAdminPartitions = "/admin/partitions"
	pathAdminExchange   = "/admin/exchange"
	pathAdminKey        = "/admin/key/"
)

// serveAdmin answers what an operator asks. Nothing here changes what is stored.
func (x *exchange) serveAdmin(path string) {
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		x.writeFailure(badRequest("query: %v", err))
		return
	}
	fail := refused(wire.CodeNotFound, "no such path: there are /admin/partitions, /admin/key/{key} and /admin/exchange")
	switch {
	case path == pathAdminPartitions:
		fail = x.adminPartitions(query)
	case path == pathAdminExchange:
		fail = x.adminExchange(query)
	case strings.HasPrefix(path, pathAdminKey):
		fail = x.adminKey(path[len(pathAdminKey):], query)
	}
	if fail != nil {
		x.writeFailure(fail)
	}
}

// adminPartitions describes the node's partitions, or the one that is asked for.
func (x *exchange) adminPartitions(query url.Values) *failure {
	if f := x.mustRead(); f != nil {
		return f
	}
	if f := onlyParams(query, "partition", "sizes"); f != nil {
		return f
	}
	only, sizes := gateway.AllPartitions, true
	if text := query.Get("partition"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return badRequest("partition=%.32q is no number of a partition", text)
		}
		only = int(n)
	}
	if query.Has("sizes") {
		var f *failure
		if sizes, f = boolParam(query, "sizes"); f != nil {
			return f
		}
	}
	report := x.opt.Admin.Partitions(x.r.Context(), only, sizes)
	if only != gateway.AllPartitions && len(report.Partitions) == 0 {
		return refused(wire.CodeNotFound, "this node does not hold partition %d", only)
	}
	return x.respondValue(report)
}

// adminKey describes what this node holds of a key, whoever else holds it.
func (x *exchange) adminKey(encoded string, query url.Values) *failure {
	if f := x.mustRead(); f != nil {
		return f
	}
	if f := onlyParams(query); f != nil {
		return f
	}
	key, err := url.PathUnescape(encoded)
	switch {
	case err != nil:
		return badRequest("key: %v", err)
	case key == "":
		return badRequest("empty key")
	case len(key) > x.opt.KeyBytesMax:
		return tooLarge("key of %d bytes is longer than %d", len(key), x.opt.KeyBytesMax)
	}
	report, err := x.opt.Admin.Key([]byte(key))
	if err != nil {
		return refused(wire.CodeUnavailable, "%v", err)
	}
	return x.respondValue(report)
}

// adminExchange begins exchanges, pauses or resumes them.
func (x *exchange) adminExchange(query url.Values) *failure {
	if x.r.Method != http.MethodPost {
		return x.refuseMethod("POST")
	}
	if f := onlyParams(query, "pause"); f != nil {
		return f
	}
	if !query.Has("pause") {
		x.opt.Admin.ExchangeNow()
	} else {
		pause, f := boolParam(query, "pause")
		if f != nil {
			return f
		}
		x.opt.Admin.PauseExchange(pause)
	}
	return x.respondValue(&wire.ExchangeReport{Paused: x.opt.Admin.ExchangePaused()})
}

// mustRead refuses what is not a look.
func (x *exchange) mustRead() *failure {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return x.refuseMethod("GET, HEAD")
	}
	return nil
}

func (x *exchange) refuseMethod(allow string) *failure {
	f := badRequest("method %.16q is not allowed here", x.r.Method)
	f.status, f.allow = http.StatusMethodNotAllowed, allow
	return f
}

// onlyParams refuses parameters that are not known or given twice.
func onlyParams(query url.Values, known ...string) *failure {
	left := len(query)
	for _, name := range known {
		switch len(query[name]) {
		case 0:
		case 1:
			left--
		default:
			return badRequest("parameter %s is given twice", name)
		}
	}
	if left > 0 {
		return badRequest("unknown parameter: known are %q", known)
	}
	return nil
}

func boolParam(query url.Values, name string) (bool, *failure) {
	switch text := query.Get(name); text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, badRequest("%s=%.32q is neither true nor false", name, text)
	}
}

// respondValue answers with what is asked for rarely, and needs no encoder of its own.
func (x *exchange) respondValue(v any) *failure {
	body, err := json.Marshal(v)
	if err != nil {
		return failed(&wire.Fault{Code: wire.CodeInternal, Effect: wire.EffectNone, Message: err.Error()})
	}
	x.respond(http.StatusOK, typeJSON, append(body, '\n'))
	return nil
}
