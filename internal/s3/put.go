// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"io"
)

// Put stores an object for the server itself, which has authorized it; it is on disk when Put returns. It replaces what
// is under the key. Errors: Invalid for a bad key, NotFound for a missing bucket, Exhausted for a full disk.
func (d *Door) Put(ctx context.Context, bucket, key string, body io.Reader) error {
	if _, err := d.store.locate(bucket, key); err != nil {
		return err
	}
	g, err := d.store.stage()
	if err != nil {
		return err
	}
	defer g.discard()
	if _, err := io.Copy(g, body); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err = g.publish(bucket, key, attributes{}, nil)
	return err
}
