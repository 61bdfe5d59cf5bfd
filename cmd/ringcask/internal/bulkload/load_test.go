package bulkload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore keeps what is written and checks what Store promises to be asked.
type fakeStore struct {
	t     *testing.T
	delay func() time.Duration
	fail  func(key string) error

	mu       sync.Mutex
	held     map[string]string
	underWay map[string]bool
	calls    int
	peak     int
	active   int
}

func newFakeStore(t *testing.T) *fakeStore {
	return &fakeStore{
		t: t, delay: func() time.Duration { return time.Millisecond }, fail: func(string) error { return nil },
		held: map[string]string{}, underWay: map[string]bool{},
	}
}

func (s *fakeStore) WriteBatch(ctx context.Context, batch []records.Record) []error {
	s.mu.Lock()
	s.calls++
	s.active++
	s.peak = max(s.peak, s.active)
	for _, r := range batch {
		if s.underWay[string(r.Key)] {
			s.t.Errorf("key %q is under way twice", r.Key)
		}
		s.underWay[string(r.Key)] = true
	}
	delay := s.delay()
	s.mu.Unlock()
	time.Sleep(delay) // fake time
	if err := ctx.Err(); err != nil {
		s.t.Errorf("a batch that was sent was cancelled: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	errs := make([]error, len(batch))
	for i, r := range batch {
		delete(s.underWay, string(r.Key))
		if errs[i] = s.fail(string(r.Key)); errs[i] == nil {
			s.held[string(r.Key)] = string(r.Value)
		}
	}
	return errs
}

func source(t *testing.T, lines ...string) *records.Reader {
	t.Helper()
	r, err := records.NewReader(strings.NewReader(strings.Join(lines, "\n")), 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func line(key string, value any) string {
	return strings.TrimSpace(string(records.AppendRecord(nil, []byte(key), fmt.Append(nil, value))))
}

func TestTheLastOfAKeysRecordsWins(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		store := newFakeStore(t)
		store.delay = func() time.Duration { return time.Duration(rng.IntN(5000)) * time.Microsecond }
		want := map[string]string{}
		var lines []string
		keys := rand.New(rand.NewPCG(uint64(seed), 2))
		for i := range 5000 {
			key := fmt.Sprint("key", keys.IntN(200))
			lines = append(lines, line(key, i))
			want[key] = fmt.Sprint(i)
		}
		l := New(store, Options{BatchLen: 7, Concurrency: 5})
		if err := l.Run(t.Context(), source(t, lines...)); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(store.held, want) {
			t.Error("the store does not hold the last value of each key")
		}
		if s := l.Summary(); s.Written != 5000 || s.Failed != 0 || s.BadLines != 0 || s.Lines != 5000 {
			t.Errorf("%+v", s)
		}
		if store.peak != 5 {
			t.Errorf("%d batches at once, want 5", store.peak)
		}
	})
}

func TestBatchesKeepTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(t)
		var lines []string
		for i := range 100 {
			lines = append(lines, line(fmt.Sprintf("%03d", i), strings.Repeat("x", 97)))
		}
		l := New(store, Options{BatchLen: 30, BatchBytes: 1000, Concurrency: 1})
		if err := l.Run(t.Context(), source(t, append(lines, line("big", strings.Repeat("x", 5000)))...)); err != nil {
			t.Fatal(err)
		}
		if store.calls != 11 {
			t.Errorf("%d calls, want 10 of ten records and one of the large one", store.calls)
		}
		if s := l.Summary(); s.Bytes != 100*100+5003 {
			t.Errorf("%d bytes", s.Bytes)
		}
	})
}

func TestBadLinesAndFailuresAreToldAndDoNotStopTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(t)
		store.fail = func(key string) error {
			if key == "c" {
				return errors.New("no quorum")
			}
			return nil
		}
		var told []string
		l := New(store, Options{
			BadLine: func(bad *records.LineError) { told = append(told, fmt.Sprint("bad ", bad.Line)) },
			Failed:  func(n int, key []byte, err error) { told = append(told, fmt.Sprintf("%d %s %v", n, key, err)) },
		})
		err := l.Run(t.Context(), source(t, line("a", 1), "rubbish", line("c", 1), "", "{}", line("b", 1)))
		slices.Sort(told)
		if want := []string{"3 c no quorum", "bad 2", "bad 5"}; err != nil || !slices.Equal(told, want) {
			t.Errorf("%v, %q", err, told)
		}
		if s := l.Summary(); s.Written != 2 || s.Failed != 1 || s.BadLines != 2 || s.Lines != 6 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAStrictLoadStopsAtTheFirstBadLineAfterWritingWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(t)
		l := New(store, Options{Strict: true})
		err := l.Run(t.Context(), source(t, line("a", 1), "rubbish", line("b", 1)))
		var bad *records.LineError
		if !errors.As(err, &bad) || bad.Line != 2 {
			t.Errorf("%v", err)
		}
		if s := l.Summary(); s.Written != 1 || s.BadLines != 1 || s.Lines != 2 || store.held["a"] != "1" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAStrictLoadStopsAtTheFirstFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(t)
		refused := errors.New("refused")
		store.fail = func(string) error { return refused }
		var lines []string
		for i := range 10_000 {
			lines = append(lines, line(fmt.Sprint(i), i))
		}
		l := New(store, Options{Strict: true, BatchLen: 1, Concurrency: 2})
		if err := l.Run(t.Context(), source(t, lines...)); !errors.Is(err, refused) || !errors.Is(err, errStopped) {
			t.Errorf("%v", err)
		}
		if s := l.Summary(); s.Failed == 0 || s.Failed > 4 || s.Lines > 20 {
			t.Errorf("it went on: %+v", s)
		}
	})
}

func TestAnInterruptedLoadWaitsForWhatIsUnderWayAndLeavesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(t)
		store.delay = func() time.Duration { return time.Second }
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		l := New(store, Options{BatchLen: 10, Concurrency: 2})
		var lines []string
		for i := 0; len(lines) < 1000; i++ {
			// The workers' turns: one whose queue is full would keep the reader from the other.
			if key := fmt.Sprint(i); l.workerOf([]byte(key)) == len(lines)%2 {
				lines = append(lines, line(key, i))
			}
		}
		if err := l.Run(ctx, source(t, lines...)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if s := l.Summary(); s.Written != 60 || s.Failed != 0 || len(store.held) != 60 {
			t.Errorf("%+v, want three batches of each worker", s)
		}
	})
}

func TestWhatCameBeforeABrokenSourceIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore(t)
		broken := errors.New("disk on fire")
		r, err := records.NewReader(io.MultiReader(strings.NewReader(line("a", 1)+"\n"), errReader{broken}), 0)
		if err != nil {
			t.Fatal(err)
		}
		l := New(store, Options{})
		if err := l.Run(t.Context(), r); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if s := l.Summary(); s.Written != 1 || store.held["a"] != "1" {
			t.Errorf("%+v", s)
		}
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
