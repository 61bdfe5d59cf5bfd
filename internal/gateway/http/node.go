package httpgw

import (
	"encoding/json"
	"net/http"

	"github.com/ringcask/ringcask/internal/wire"
)

// serveNode answers what is asked of the node itself. It passes admission by: whoever watches a node must not be shut
// out by its load.
func (x *exchange) serveNode(path string) {
	var answer func()
	switch path {
	case "/health":
		answer = x.health
	case "/ready":
		answer = x.ready
	case "/status":
		answer = x.status
	case "/metrics":
		answer = func() { x.scrape.ServeHTTP(x.w, x.r) }
	default:
		x.writeFailure(refused(wire.CodeNotFound,
			"no such path: a key is under /kv/, the node's state at /status, /health, /ready and /metrics"))
		return
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		f := badRequest("method %.16q is not allowed here", x.r.Method)
		f.status, f.allow = http.StatusMethodNotAllowed, "GET, HEAD"
		x.writeFailure(f)
		return
	}
	answer()
}

// health says that the process is alive, no more.
func (x *exchange) health() {
	x.respondJSON(http.StatusOK, func(b []byte) []byte { return append(b, `{"status":"ok"}`...) })
}

// ready says whether requests should be sent here.
func (x *exchange) ready() {
	if err := x.opt.Inspector.Ready(); err != nil {
		x.writeFailure(refused(wire.CodeUnavailable, "%v", err))
		return
	}
	x.respondJSON(http.StatusOK, func(b []byte) []byte { return append(b, `{"status":"ready"}`...) })
}

func (x *exchange) status() {
	body, err := json.Marshal(x.opt.Inspector.Status())
	if err != nil {
		x.writeFailure(failed(&wire.Fault{Code: wire.CodeInternal, Effect: wire.EffectNone, Message: err.Error()}))
		return
	}
	x.respond(http.StatusOK, typeJSON, append(body, '\n'))
}
