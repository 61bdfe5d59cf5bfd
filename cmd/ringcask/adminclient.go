package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/ringcask/ringcask/client"
)

// adminAnswerBytesMax bounds what a node may answer: that of ten thousand partitions is a few megabytes.
const adminAnswerBytesMax = 64 << 20

// adminClient asks nodes over HTTP what they hold.
type adminClient struct {
	http    http.Client
	timeout time.Duration
}

func newAdminClient(timeout time.Duration) *adminClient {
	return &adminClient{http: http.Client{Transport: new(http.Transport)}, timeout: timeout}
}

func (c *adminClient) close() { c.http.CloseIdleConnections() }

var errNotMet = errors.New("its address is not known: it was not met since the answering node started")

// fetch gets a report from a node at an HTTP address, which may be empty for one that is not known.
func fetch[T any](ctx context.Context, c *adminClient, addr, path string) (*T, error) {
	if addr == "" {
		return nil, errNotMet
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		if failed := new(url.Error); errors.As(err, &failed) {
			err = failed.Err // what was asked of whom is known
		}
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, adminAnswerBytesMax))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, refusalOf(response.Status, body)
	}
	report := new(T)
	if err := json.Unmarshal(body, report); err != nil {
		return nil, fmt.Errorf("an answer that makes no sense: %w", err)
	}
	return report, nil
}

// refusalOf is what a node says in an answer of an error.
func refusalOf(status string, body []byte) error {
	var refusal struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(body, &refusal) != nil || refusal.Error.Code == "" {
		return errors.New(status)
	}
	return fmt.Errorf("%s: %s", refusal.Error.Code, refusal.Error.Message)
}

// told is what one member answered.
type told[T any] struct {
	member client.TopologyMember
	report *T
	err    error
}

// fetchAll gets a report from each of the members, from all at once.
func fetchAll[T any](ctx context.Context, c *adminClient, members []client.TopologyMember, path string) []told[T] {
	all := make([]told[T], len(members))
	var asking sync.WaitGroup
	for i, m := range members {
		asking.Go(func() {
			report, err := fetch[T](ctx, c, m.HTTP, path)
			all[i] = told[T]{m, report, err}
		})
	}
	asking.Wait()
	return all
}
