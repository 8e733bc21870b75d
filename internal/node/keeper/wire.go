// SPDX-License-Identifier: Apache-2.0

//go:build unix

package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"fathom.dev/fathom/internal/fault"
)

// request is one question; each has a connection of its own.
type request struct {
	Op   string
	ID   string `json:",omitempty"`
	Note string `json:",omitempty"`
	Spec *Spec  `json:",omitempty"`
}

// answer is one reply.
type answer struct {
	Error   string     `json:",omitempty"`
	Kind    fault.Kind `json:",omitempty"`
	Pid     int        `json:",omitempty"`
	Exit    Exit       `json:",omitzero"`
	Listing *Listing   `json:",omitempty"`
	Version int        `json:",omitempty"`
}

// version of the protocol. A keeper of another version is ended, with what it keeps.
const version = 1

const maxMessage = 16 << 20

// send writes a message, its length before it, and files beside it.
func send(c *net.UnixConn, message any, files ...*os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	raw := binary.BigEndian.AppendUint32(nil, uint32(len(body))) //nolint:gosec // checked when read
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	if _, _, err := c.WriteMsgUnix(raw, rights, nil); err != nil {
		return err
	}
	_, err = c.Write(body)
	return err
}

// receive reads a message and the files beside it.
func receive(c *net.UnixConn, message any) ([]*os.File, error) {
	head, rights := make([]byte, 4), make([]byte, syscall.CmsgSpace(4*16))
	n, count, _, _, err := c.ReadMsgUnix(head, rights)
	if err != nil {
		return nil, err
	}
	files, err := filesOf(rights[:count])
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c, head[n:]); err != nil {
		return files, err
	}
	length := binary.BigEndian.Uint32(head)
	if length > maxMessage {
		return files, fmt.Errorf("a message of %d bytes", length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c, body); err != nil {
		return files, err
	}
	return files, json.Unmarshal(body, message)
}

func filesOf(rights []byte) ([]*os.File, error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "held"))
		}
	}
	return files, nil
}

// socketName in the node's directory.
const socketName = "keep.sock"

// within calls f with a path of the socket that is short enough for the kernel, however long the directory's is.
func within(dir string, f func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return f(filepath.Join(fmt.Sprintf("/proc/self/fd/%d", d.Fd()), socketName))
}

func failure(err error) answer {
	if err == nil {
		return answer{}
	}
	return answer{Error: err.Error(), Kind: fault.KindOf(err)}
}

func (a answer) err() error {
	if a.Error == "" {
		return nil
	}
	return fault.Wrap(a.Kind, "", &fault.Error{Kind: a.Kind, Err: errors.New(a.Error)})
}
