// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// target is a server and the one request that it is asked again and again. The load generator writes bytes that were made
// before and reads no more of an answer than it must: two cores are shared by client and server.
type target struct {
	address string // host:port
	tls     *tls.Config
	request []byte
	next    func() []byte // instead of request: each time another one; it may be called from all connections at once
}

// newTarget makes a POST of JSON; header is nothing or lines that end with \r\n.
func newTarget(address, path, body string, secure *tls.Config, header string) target {
	if secure != nil {
		secure = secure.Clone()
		secure.NextProtos = nil // HTTP/1.1, as the peers speak
		secure.ServerName, _, _ = net.SplitHostPort(address)
	}
	return target{address: address, tls: secure, request: fmt.Appendf(nil,
		"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", path, address, len(body), header, body)}
}

func (t target) dial() (net.Conn, error) {
	if t.tls != nil {
		return tls.Dial("tcp", t.address, t.tls)
	}
	return net.Dial("tcp", t.address)
}

// loaded is the outcome of a load.
type loaded struct {
	middle  float64 // median latency, µs
	rate    float64 // answers a second
	client  float64 // share of all processor time that the client took
	answers int
}

// load asks on c connections, each waiting for its answer, for a while. Any answer but 200 is an error.
func (t target) load(ctx context.Context, c int, length time.Duration) (loaded, error) {
	connections := make([]net.Conn, c)
	for i := range connections {
		conn, err := t.dial()
		if err != nil {
			return loaded{}, err
		}
		defer conn.Close()
		connections[i] = conn
	}
	took := make([][]float64, c)
	errs := make([]error, c)
	var all sync.WaitGroup
	cpu, begin := ownCPU(), time.Now()
	for i, conn := range connections {
		all.Go(func() { took[i], errs[i] = t.ask(ctx, conn, begin.Add(length)) })
	}
	all.Wait()
	wall := time.Since(begin).Seconds()
	latencies := slices.Concat(took...)
	return loaded{
		middle: median(latencies) * 1e6, rate: float64(len(latencies)) / wall, answers: len(latencies),
		client: (ownCPU() - cpu).Seconds() / wall / float64(runtime.NumCPU()),
	}, errors.Join(errs...)
}

// ask returns the latencies in seconds.
func (t target) ask(ctx context.Context, conn net.Conn, until time.Time) ([]float64, error) {
	took := make([]float64, 0, 1<<16)
	answers := bufio.NewReaderSize(conn, 16<<10)
	for begin := time.Now(); begin.Before(until) && ctx.Err() == nil; {
		request := t.request
		if t.next != nil {
			request = t.next()
		}
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		if err := skipAnswer(answers); err != nil {
			return nil, err
		}
		end := time.Now()
		took, begin = append(took, end.Sub(begin).Seconds()), end
	}
	return took, ctx.Err()
}

// times asks until nothing is left.
func (t target) times(ctx context.Context, left *atomic.Int64) error {
	conn, err := t.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReaderSize(conn, 16<<10)
	for left.Add(-1) >= 0 && ctx.Err() == nil {
		if _, err := conn.Write(t.next()); err != nil {
			return err
		}
		if err := skipAnswer(answers); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// skipAnswer reads one HTTP/1.1 answer that tells its length.
func skipAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	good, first, length := bytes.HasPrefix(status, []byte("HTTP/1.1 200")), string(status), -1
	for {
		header, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		header = bytes.TrimSpace(header)
		if len(header) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(header, []byte(":")); bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	if !good {
		body, _ := io.ReadAll(io.LimitReader(r, int64(min(length, 500))))
		return fmt.Errorf("%s %s", bytes.TrimSpace([]byte(first)), body)
	}
	_, err = r.Discard(length)
	return err
}
