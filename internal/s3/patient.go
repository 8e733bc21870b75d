// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"net"
	"sync/atomic"
	"time"
)

// patient is a listener whose connections wait a minute for each byte, not for ever.
type patient struct{ net.Listener }

func (l patient) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: c}, nil
}

// patientConn sets a deadline before each read and write, but never one later than was asked for.
type patientConn struct {
	net.Conn
	readBy, writeBy atomic.Int64 // ns since 1970; 0: not asked
}

func (c *patientConn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(sooner(&c.readBy)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *patientConn) Write(b []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(sooner(&c.writeBy)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// SetDeadline implements net.Conn.
func (c *patientConn) SetDeadline(t time.Time) error {
	remember(&c.readBy, t)
	remember(&c.writeBy, t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *patientConn) SetReadDeadline(t time.Time) error {
	remember(&c.readBy, t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *patientConn) SetWriteDeadline(t time.Time) error {
	remember(&c.writeBy, t)
	return c.Conn.SetWriteDeadline(t)
}

func remember(asked *atomic.Int64, t time.Time) {
	if t.IsZero() {
		asked.Store(0)
		return
	}
	asked.Store(max(t.UnixNano(), 1))
}

func sooner(asked *atomic.Int64) time.Time {
	limit := time.Now().Add(idle)
	if n := asked.Load(); n != 0 && n < limit.UnixNano() {
		return time.Unix(0, n)
	}
	return limit
}
