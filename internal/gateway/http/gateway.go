package httpgw

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ringcask/ringcask/internal/wire"
)

// Gateway is an http.Handler for all of a node's paths.
type Gateway struct {
	opt     Options
	metrics *metrics
	// scrape answers /metrics.
	scrape http.Handler
	// buffers are *[]byte that answers are encoded into.
	buffers sync.Pool
	// draining is closed when Serve begins to end, so that streams end, too.
	draining  chan struct{}
	drainOnce sync.Once
}

// New makes a gateway and registers its metrics. It starts nothing. It fails if a required option is missing or the
// registry has metrics of these names already.
func New(opt Options) (*Gateway, error) {
	opt = opt.withDefaults()
	if err := opt.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opt.Registry, opt.Inspector, opt.Admission, opt.Now)
	if err != nil {
		return nil, fmt.Errorf("httpgw: register metrics: %w", err)
	}
	return &Gateway{
		opt:      opt,
		metrics:  m,
		scrape:   promhttp.HandlerFor(opt.Registry, promhttp.HandlerOpts{}),
		buffers:  sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }},
		draining: make(chan struct{}),
	}, nil
}

// requestBytes is what a request counts for in admission before its body or answer is known.
const requestBytes = 4 << 10

// exchange is one request and its answer.
type exchange struct {
	*Gateway
	w      http.ResponseWriter
	r      *http.Request
	rc     *http.ResponseController
	key    []byte
	params params
	// held are the bytes that admission counts for the request.
	held int64
}

const (
	pathKV    = "/kv/"
	pathRange = "/kv/range"
	pathBatch = "/kv/batch"
)

// ServeHTTP answers a request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Whoever declares a body has to send it in time, whether it is read here or discarded by the server.
	x := &exchange{Gateway: g, w: w, r: r, rc: http.NewResponseController(w)}
	if r.ContentLength != 0 {
		x.setReadDeadline(time.Now().Add(g.opt.MessageTimeout))
	}
	path := r.URL.EscapedPath()
	if !strings.HasPrefix(path, pathKV) {
		x.serveNode(path)
		return
	}
	start := time.Now()
	op, fail := x.serveKV(path)
	code := codeOK
	if fail != nil {
		code = fail.fault.Code.String()
		if !fail.written {
			x.writeFailure(fail)
		}
	}
	g.metrics.observe(op, code, time.Since(start))
}

// serveKV answers a request under /kv/ that admission lets in, or says why not. What it wrote when it says nothing is
// the answer.
func (x *exchange) serveKV(path string) (op, *failure) {
	op, handle, fail := x.route(path)
	if fail != nil {
		return op, fail
	}
	if f := x.opt.Admission.Acquire(requestBytes); f != nil {
		return op, failed(f)
	}
	x.held = requestBytes
	defer func() { x.opt.Admission.Release(x.held) }()
	return op, handle(x)
}

// route finds out what a request wants. Only GET of /kv/range with a parameter of ranges is a range, and only POST of
// /kv/batch is a batch: keys of these names can be used like all others.
func (x *exchange) route(path string) (op, func(*exchange) *failure, *failure) {
	if path == pathBatch && x.r.Method == http.MethodPost {
		return opBatch, (*exchange).batch, x.parse(false)
	}
	var op op
	var handle func(*exchange) *failure
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		if path == pathRange && asksRange(x.r.URL.RawQuery) {
			return opRange, (*exchange).scan, x.parse(true)
		}
		op, handle = opGet, (*exchange).get
	case http.MethodPut:
		op, handle = opPut, (*exchange).put
	case http.MethodDelete:
		op, handle = opDelete, (*exchange).delete
	default:
		return opOther, nil, x.methodNotAllowed(path)
	}
	key, err := url.PathUnescape(path[len(pathKV):])
	switch {
	case err != nil:
		return op, nil, badRequest("key: %v", err)
	case key == "":
		return op, nil, badRequest("empty key")
	case len(key) > x.opt.KeyBytesMax:
		return op, nil, tooLarge("key of %d bytes is longer than %d", len(key), x.opt.KeyBytesMax)
	}
	x.key = []byte(key)
	return op, handle, x.parse(false)
}

func (x *exchange) methodNotAllowed(path string) *failure {
	f := badRequest("method %.16q is not allowed here", x.r.Method)
	f.status, f.allow = http.StatusMethodNotAllowed, "GET, HEAD, PUT, DELETE"
	if path == pathBatch {
		f.allow += ", POST"
	}
	return f
}

// grow counts further bytes that the request holds.
func (x *exchange) grow(bytes int) *failure {
	if f := x.opt.Admission.Grow(int64(bytes)); f != nil {
		return failed(f)
	}
	x.held += int64(bytes)
	return nil
}

// deadline is when the store has to be done.
func (x *exchange) deadline() time.Time { return time.Now().Add(x.params.timeout) }

// setReadDeadline bounds what still arrives of the request. A connection that has no deadlines, as in tests, has none.
func (x *exchange) setReadDeadline(at time.Time) { _ = x.rc.SetReadDeadline(at) }

// setWriteDeadline bounds how long the client may take to accept what is written next. If it has not sent all of its body
// the server waits for the rest before it writes anything.
func (x *exchange) setWriteDeadline() {
	patience := x.opt.MessageTimeout
	if x.r.ContentLength != 0 {
		patience *= 2
	}
	_ = x.rc.SetWriteDeadline(time.Now().Add(patience))
}

// respond writes an answer at once.
func (x *exchange) respond(status int, contentType []string, body []byte) {
	h := x.w.Header()
	h["Content-Type"] = contentType
	h.Set("Content-Length", itoa(len(body)))
	x.setWriteDeadline()
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		// A client that is gone needs no answer.
		_, _ = x.w.Write(body)
	}
}

var (
	typeJSON   = []string{"application/json"}
	typeBytes  = []string{"application/octet-stream"}
	typeNDJSON = []string{"application/x-ndjson"}
)

// bufferBytesMax is the size above which a buffer is not kept.
const bufferBytesMax = 64 << 10

// respondJSON encodes an answer into a buffer that is used again, and writes it.
func (x *exchange) respondJSON(status int, encode func(b []byte) []byte) {
	buf := x.buffers.Get().(*[]byte)
	b := append(encode((*buf)[:0]), '\n')
	x.respond(status, typeJSON, b)
	if cap(b) <= bufferBytesMax {
		*buf = b
		x.buffers.Put(buf)
	}
}

// failure is an error answer.
type failure struct {
	fault *wire.Fault
	// status is zero for that of the fault's code; allow is the header Allow.
	status int
	allow  string
	// also adds members beside "error"; body stands for the whole answer. Both may be nil.
	also, body func(b []byte) []byte
	// written says that the client has been told already.
	written bool
}

func failed(f *wire.Fault) *failure { return &failure{fault: f} }

func badRequest(format string, args ...any) *failure {
	return refused(wire.CodeBadRequest, format, args...)
}

func tooLarge(format string, args ...any) *failure {
	return refused(wire.CodeTooLarge, format, args...)
}

// refused is a failure before anything was done.
func refused(code wire.Code, format string, args ...any) *failure {
	return failed(&wire.Fault{Code: code, Effect: wire.EffectNone, Message: fmt.Sprintf(format, args...)})
}
