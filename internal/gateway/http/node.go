package httpgw

import (
	"net/http"
	"strings"

	"github.com/ringcask/ringcask/internal/wire"
)

// serveNode answers what is asked of the node itself. It passes admission by: whoever watches a node must not be shut
// out by its load.
func (x *exchange) serveNode(path string) {
	if strings.HasPrefix(path, pathAdmin) {
		x.serveAdmin(path)
		return
	}
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
			"no such path: a key is under /kv/, the node's state at /status, /health, /ready and /metrics, what an operator asks under /admin/"))
		return
	}
	if f := x.mustRead(); f != nil {
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
	if f := x.respondValue(x.opt.Inspector.Status()); f != nil {
		x.writeFailure(f)
	}
}
