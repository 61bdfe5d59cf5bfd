package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// rssMaxBytes is what a node may use while it is attacked: its limits on connections and messages keep it far below.
const rssMaxBytes = 512 << 20

func TestHostileBytesOnEveryPortHarmNobodyElse(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{})
	n := c.nodes[0]
	ctx := t.Context()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	stop := make(chan struct{})
	var good sync.WaitGroup
	served := 0
	good.Go(func() {
		cl := c.routed()
		for {
			select {
			case <-stop:
				return
			default:
			}
			key := fmt.Appendf(nil, "good-%d", served%100)
			if _, err := cl.Put(ctx, key, key, nil); err != nil {
				t.Errorf("a well-behaved client: %v", err)
				return
			}
			if _, err := cl.Get(ctx, key, nil); err != nil {
				t.Errorf("a well-behaved client: %v", err)
				return
			}
			served++
		}
	})

	var attacks sync.WaitGroup
	for port, addr := range map[string]string{"http": n.http, "rpc": n.rpc, "peer": n.peer} {
		for name, payload := range hostilePayloads(rand.New(rand.NewPCG(seed, 1))) {
			attacks.Go(func() {
				for range 4 {
					attack(t, port+"/"+name, addr, payload)
				}
			})
		}
	}
	slow := holdSlowConnections(t, n.http, n.rpc, n.peer)
	attacks.Wait()
	if rss := residentBytes(t, n); rss > rssMaxBytes {
		t.Errorf("the node uses %d MiB", rss>>20)
	}
	close(stop)
	good.Wait()
	for _, conn := range slow {
		conn.Close()
	}
	if served < 10 {
		t.Errorf("the well-behaved client was served only %d times", served)
	}
	select {
	case <-n.done:
		t.Fatal("the node ended")
	default:
	}
	if strings.Contains(n.output(), "panic") {
		t.Errorf("the node's log speaks of a panic: %s", tail(n.output(), 3000))
	}
}

// hostilePayloads are byte strings that each aim at a decoder's weak spot.
func hostilePayloads(r *rand.Rand) map[string][]byte {
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	deep := bytes.Repeat([]byte{0x91}, 1<<20)
	call := func(tail ...byte) []byte { // [0, 1, "put", …
		return append([]byte{0x94, 0x00, 0x01, 0xa3, 'p', 'u', 't'}, tail...)
	}
	u32 := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	return map[string][]byte{
		"random":          random,
		"truncated":       call(0x92, 0xc4, 0x20, 'a'),
		"4 GiB bin":       call(append([]byte{0x92, 0xc6}, u32(1<<32-1)...)...),
		"4 G array":       call(append([]byte{0xdd}, u32(1<<32-1)...)...),
		"4 G map":         call(append([]byte{0x93, 0xa1, 'k', 0xa1, 'v', 0xdf}, u32(1<<32-1)...)...),
		"deep nesting":    deep,
		"deep in params":  call(deep...),
		"deep maps":       call(bytes.Repeat([]byte{0x81, 0xa1, 'k'}, 1<<18)...),
		"4 GiB frame":     append([]byte("RCPEER\x00\x01"), bytes.Repeat([]byte{0xff}, 64)...),
		"giant body":      []byte("PUT /kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\nabc"),
		"giant header":    append([]byte("GET /kv/k HTTP/1.1\r\nX: "), bytes.Repeat([]byte{'a'}, 4<<20)...),
		"bad percent":     []byte("GET /kv/%zz%00%ff HTTP/1.1\r\nHost: x\r\n\r\n"),
		"newlines":        bytes.Repeat([]byte("\r\n"), 1<<18),
		"nothing":         nil,
		"many small ones": bytes.Repeat([]byte{0x94, 0x00, 0x01, 0xa1, 'x', 0x90}, 1<<16),
	}
}

// attack sends the payload, reads what comes for a moment, and hangs up.
func attack(t *testing.T, name, addr string, payload []byte) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	_, _ = conn.Write(payload) // refused half-way is fine
	buf := make([]byte, 4096)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// holdSlowConnections opens connections that begin a message and never end it.
func holdSlowConnections(t *testing.T, addrs ...string) (held []net.Conn) {
	t.Helper()
	for range 50 {
		for _, addr := range addrs {
			conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte{0x94})
			held = append(held, conn)
		}
	}
	return held
}

func residentBytes(t *testing.T, n *testNode) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
