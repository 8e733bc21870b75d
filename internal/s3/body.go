// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"errors"
	"io"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/utils"
)

const maxRest = 256 << 10

// chunkedBody is a body with HTTP's own chunks that knows whether it was read to its end. boto3 sends S3's chunks inside
// HTTP's, and versitygw stops at the end of S3's: the rest, left on the connection, would be read as the next request.
type chunkedBody struct {
	r     io.Reader
	ended bool
}

func (b *chunkedBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// finish leaves no byte of a chunked body on a connection that lives on.
func finish(c fiber.Ctx) error {
	if c.Request().Header.ContentLength() != -1 {
		return c.Next() // the length is known: versitygw drains these
	}
	stream := c.Request().BodyStream()
	if stream == nil {
		stream = bytes.NewReader(nil)
	}
	body := &chunkedBody{r: stream}
	utils.ContextKeyBodyReader.Set(c, body)
	err := c.Next()
	if _, rest := io.CopyN(io.Discard, body, maxRest); !errors.Is(rest, io.EOF) {
		c.Response().Header.SetConnectionClose()
	}
	return err
}
