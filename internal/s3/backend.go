// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sync/errgroup"

	"fathom.dev/fathom/internal/fault"
)

// backendOf is what versitygw's controllers call. The embedded type refuses all that is not overridden here, and each
// method here begins by asking [Door.touch].
type backendOf struct {
	backend.BackendUnsupported
	door *Door
}

// String implements backend.Backend.
func (b *backendOf) String() string { return "fathom" }

// GetBucketVersioning says: none. The controllers ask it before every write, when the right to that is known.
func (b *backendOf) GetBucketVersioning(_ context.Context, bucket string) (s3response.GetBucketVersioningOutput, error) {
	return s3response.GetBucketVersioningOutput{}, wireError(b.door.store.bucket(bucket))
}

// GetObjectLockConfiguration says: none, see above.
func (b *backendOf) GetObjectLockConfiguration(context.Context, string) ([]byte, error) {
	return nil, s3err.GetAPIError(s3err.ErrObjectLockConfigurationNotFound)
}

// PutObject implements backend.Backend.
func (b *backendOf) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	bucket, key := *in.Bucket, *in.Key
	if err := b.door.touch(ctx, "create", bucket, key); err != nil {
		return s3response.PutObjectOutput{}, wireError(err)
	}
	g, sum, err := b.receive(in.Body, in.ContentLength, in, string(in.ChecksumAlgorithm))
	if err != nil {
		return s3response.PutObjectOutput{}, wireError(err)
	}
	defer g.discard()
	if strings.HasSuffix(key, "/") {
		if g.size != 0 {
			return s3response.PutObjectOutput{}, s3err.GetAPIError(s3err.ErrDirectoryObjectContainsData)
		}
		out := s3response.PutObjectOutput{ETag: quote(g.etag()), Size: &g.size}
		sum.tell(&out)
		return out, wireError(b.door.store.makeFolder(bucket, key))
	}
	a := attributes{Checksum: &sum, Metadata: in.Metadata, Headers: headers(map[string]*string{
		"content-type": in.ContentType, "content-encoding": in.ContentEncoding, "content-disposition": in.ContentDisposition,
		"content-language": in.ContentLanguage, "cache-control": in.CacheControl, "expires": in.Expires,
	})}
	a, err = g.publish(bucket, key, a, ifUnchanged(in.IfMatch, in.IfNoneMatch))
	if err != nil {
		return s3response.PutObjectOutput{}, wireError(err)
	}
	out := s3response.PutObjectOutput{ETag: quote(a.ETag), Size: &a.Size}
	sum.tell(&out)
	return out, nil
}

// receive takes a body in and checks its length and its checksum: that which the message says, else it computes one.
func (b *backendOf) receive(r io.Reader, length *int64, message any, algorithm string) (*staged, checksum, error) {
	sent, err := summed(r, message, algorithm)
	if err != nil {
		return nil, checksum{}, err
	}
	g, err := b.door.store.stage()
	if err != nil {
		return nil, checksum{}, err
	}
	_, err = io.CopyBuffer(g, sent, make([]byte, 256<<10))
	if err == nil && length != nil && g.size != *length {
		err = s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	if err != nil {
		g.discard()
		return nil, checksum{}, err
	}
	return g, sent.sum(), nil
}

func headers(all map[string]*string) map[string]string {
	kept := map[string]string{}
	for name, value := range all {
		v := deref(value)
		if name == "content-encoding" {
			v = withoutChunks(v)
		}
		if v != "" {
			kept[name] = v
		}
	}
	return kept
}

// withoutChunks drops how the body travelled from what it is.
func withoutChunks(encoding string) string {
	var kept []string
	for e := range strings.SplitSeq(encoding, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			kept = append(kept, e)
		}
	}
	return strings.Join(kept, ",")
}

func ifUnchanged(match, noneMatch *string) condition {
	if match == nil && noneMatch == nil {
		return nil
	}
	return func(current attributes, exists bool) error {
		return backend.EvaluateObjectPutPreconditions(current.ETag, match, noneMatch, exists)
	}
}

// found is an open object and what a reader asked of it.
type found struct {
	name     string // bucket and key
	file     *os.File
	attr     attributes
	modified time.Time
	start    int64
	length   int64
	rng      *string // Content-Range; nil: the whole object
	parts    *int32  // how many there are, where one was asked for
	rest     io.Reader
}

// extent is how much of an object is asked for: a range, or a part of those that it was uploaded in; nil: all.
type extent struct {
	rng  *string
	part *int32
}

// find opens an object for GetObject and HeadObject.
func (b *backendOf) find(ctx context.Context, bucket, key *string, e extent, p backend.PreConditions) (found, error) {
	if err := b.door.touch(ctx, "get", *bucket, *key); err != nil {
		return found{}, err
	}
	f, info, err := b.door.store.open(*bucket, *key)
	if err != nil {
		return found{}, err
	}
	o := found{name: *bucket + "/" + *key, file: f, modified: info.ModTime()}
	if info.IsDir() {
		o.attr = attributes{ETag: emptyMD5, Headers: map[string]string{"content-type": "application/x-directory"}}
	} else {
		o.attr = readAttributes(f, info)
	}
	if err := o.narrow(e, p); err != nil {
		_ = f.Close()
		return found{}, err
	}
	return o, nil
}

const emptyMD5 = "d41d8cd98f00b204e9800998ecf8427e"

func (o *found) narrow(e extent, p backend.PreConditions) error {
	if err := backend.EvaluatePreconditions(o.attr.ETag, o.modified, p); err != nil {
		return err
	}
	if e.part != nil {
		return o.narrowToPart(*e.part)
	}
	start, length, valid, err := backend.ParseObjectRange(o.attr.Size, deref(e.rng))
	if err != nil {
		return err
	}
	o.start, o.length = start, length
	if valid {
		o.tellRange()
	}
	return nil
}

func (o *found) tellRange() {
	if o.length > 0 {
		o.rng = ptr(fmt.Sprintf("bytes %d-%d/%d", o.start, o.start+o.length-1, o.attr.Size))
	}
}

// narrowToPart leaves one part. An object that was not uploaded in parts has one.
func (o *found) narrowToPart(number int32) error {
	count := max(o.attr.Parts.count(), 1)
	if number > count {
		return s3err.GetInvalidPartNumberRangeErr(count, number)
	}
	o.length = o.attr.Size
	if o.attr.Parts.count() > 0 {
		o.start, o.length = o.attr.Parts.at(number)
		o.parts = &count
	}
	o.tellRange()
	return nil
}

// checksum lets the client check what it reads, when it asked to and reads all.
func (o *found) checksum(mode types.ChecksumMode) checksum {
	if mode != types.ChecksumModeEnabled || o.rng != nil || o.attr.Checksum == nil {
		return checksum{}
	}
	return *o.attr.Checksum
}

func (o *found) contentType() *string {
	if t := o.attr.header("content-type"); t != nil {
		return t
	}
	t := "binary/octet-stream"
	return &t
}

// GetObject implements backend.Backend.
func (b *backendOf) GetObject(ctx context.Context, in *awss3.GetObjectInput) (*awss3.GetObjectOutput, error) {
	o, err := b.find(ctx, in.Bucket, in.Key, extent{in.Range, in.PartNumber},
		backend.PreConditions{IfMatch: in.IfMatch, IfNoneMatch: in.IfNoneMatch, IfModSince: in.IfModifiedSince, IfUnmodeSince: in.IfUnmodifiedSince})
	if err != nil {
		return nil, wireError(err)
	}
	var body io.ReadCloser = &backend.FileSectionReadCloser{R: io.NewSectionReader(o.file, o.start, o.length), F: o.file}
	if o.attr.Size == 0 {
		_ = o.file.Close()
		body = io.NopCloser(strings.NewReader(""))
	}
	out := &awss3.GetObjectOutput{
		Body: body, AcceptRanges: ptr("bytes"), ContentLength: &o.length, ContentRange: o.rng, ETag: ptr(quote(o.attr.ETag)),
		LastModified: &o.modified, Metadata: o.attr.Metadata, ContentType: o.contentType(), ContentEncoding: o.attr.header("content-encoding"),
		ContentDisposition: o.attr.header("content-disposition"), ContentLanguage: o.attr.header("content-language"),
		CacheControl: o.attr.header("cache-control"), ExpiresString: o.attr.header("expires"),
		StorageClass: types.StorageClassStandard, PartsCount: o.parts,
	}
	o.checksum(in.ChecksumMode).tell(out)
	return out, nil
}

// HeadObject implements backend.Backend.
func (b *backendOf) HeadObject(ctx context.Context, in *awss3.HeadObjectInput) (*awss3.HeadObjectOutput, error) {
	o, err := b.find(ctx, in.Bucket, in.Key, extent{in.Range, in.PartNumber},
		backend.PreConditions{IfMatch: in.IfMatch, IfNoneMatch: in.IfNoneMatch, IfModSince: in.IfModifiedSince, IfUnmodeSince: in.IfUnmodifiedSince})
	if err != nil {
		return nil, wireError(err)
	}
	_ = o.file.Close()
	out := &awss3.HeadObjectOutput{
		AcceptRanges: ptr("bytes"), ContentLength: &o.length, ContentRange: o.rng, ETag: ptr(quote(o.attr.ETag)),
		LastModified: &o.modified, Metadata: o.attr.Metadata, ContentType: o.contentType(), ContentEncoding: o.attr.header("content-encoding"),
		ContentDisposition: o.attr.header("content-disposition"), ContentLanguage: o.attr.header("content-language"),
		CacheControl: o.attr.header("cache-control"), ExpiresString: o.attr.header("expires"),
		StorageClass: types.StorageClassStandard, PartsCount: o.parts,
	}
	o.checksum(in.ChecksumMode).tell(out)
	return out, nil
}

// DeleteObject implements backend.Backend. An object that is not there is not an error.
func (b *backendOf) DeleteObject(ctx context.Context, in *awss3.DeleteObjectInput) (*awss3.DeleteObjectOutput, error) {
	if err := b.door.touch(ctx, "delete", *in.Bucket, *in.Key); err != nil {
		return nil, wireError(err)
	}
	var allowed condition
	if in.IfMatch != nil || in.IfMatchLastModifiedTime != nil || in.IfMatchSize != nil {
		allowed = func(current attributes, exists bool) error {
			if !exists {
				return s3err.GetAPIError(s3err.ErrNoSuchKey)
			}
			return backend.EvaluateObjectDeletePreconditions(current.ETag, unixNano(current.Modified), current.Size,
				backend.ObjectDeletePreconditions{IfMatch: in.IfMatch, IfMatchLastModTime: in.IfMatchLastModifiedTime, IfMatchSize: in.IfMatchSize})
		}
	}
	return &awss3.DeleteObjectOutput{}, wireError(b.door.store.remove(*in.Bucket, *in.Key, allowed))
}

// DeleteObjects implements backend.Backend: each key is decided, recorded and answered by itself.
func (b *backendOf) DeleteObjects(ctx context.Context, in *awss3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	if len(in.Delete.Objects) > 1000 {
		return s3response.DeleteResult{}, badRequest("MalformedXML", "At most 1000 keys can be deleted at once.")
	}
	errs := make([]error, len(in.Delete.Objects))
	var group errgroup.Group
	group.SetLimit(32)
	for i, o := range in.Delete.Objects {
		group.Go(func() error {
			if deref(o.VersionId) != "" && deref(o.VersionId) != "null" {
				errs[i] = notImplemented("versions")
				return nil
			}
			_, errs[i] = b.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: in.Bucket, Key: ptr(deref(o.Key))})
			return nil
		})
	}
	_ = group.Wait()
	var out s3response.DeleteResult
	for i, o := range in.Delete.Objects {
		if errs[i] == nil {
			out.Deleted = append(out.Deleted, types.DeletedObject{Key: o.Key})
			continue
		}
		e := types.Error{Key: o.Key, Code: ptr("InternalError"), Message: ptr("Try again later.")}
		if known, ok := errs[i].(s3err.APIError); ok { //nolint:errorlint // wireError returns it as it is
			e.Code, e.Message = &known.Code, &known.Description
		}
		out.Error = append(out.Error, e)
	}
	return out, nil
}

// CopyObject implements backend.Backend: it asks to read the source and to write the destination.
func (b *backendOf) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	src, err := b.source(ctx, *in.CopySource, "", backend.PreConditions{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModSince: in.CopySourceIfModifiedSince, IfUnmodeSince: in.CopySourceIfUnmodifiedSince})
	if err != nil {
		return s3response.CopyObjectOutput{}, wireError(err)
	}
	defer src.file.Close()
	if err := b.door.touch(ctx, "create", *in.Bucket, *in.Key); err != nil {
		return s3response.CopyObjectOutput{}, wireError(err)
	}
	if strings.HasSuffix(*in.Key, "/") {
		return s3response.CopyObjectOutput{}, s3err.GetAPIError(s3err.ErrDirectoryObjectContainsData)
	}
	if src.name == *in.Bucket+"/"+*in.Key && in.MetadataDirective != types.MetadataDirectiveReplace {
		return s3response.CopyObjectOutput{}, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	algorithm := string(in.ChecksumAlgorithm)
	if algorithm == "" && src.attr.Checksum != nil {
		algorithm = src.attr.Checksum.Algorithm
	}
	g, sum, err := b.receive(src, &src.length, nothingSaid, algorithm)
	if err != nil {
		return s3response.CopyObjectOutput{}, wireError(err)
	}
	defer g.discard()
	a := attributes{Checksum: &sum, Headers: src.attr.Headers, Metadata: src.attr.Metadata}
	if in.MetadataDirective == types.MetadataDirectiveReplace {
		a = attributes{Checksum: &sum, Metadata: in.Metadata, Headers: headers(map[string]*string{
			"content-type": in.ContentType, "content-encoding": in.ContentEncoding, "content-disposition": in.ContentDisposition,
			"content-language": in.ContentLanguage, "cache-control": in.CacheControl, "expires": in.Expires,
		})}
	}
	if a, err = g.publish(*in.Bucket, *in.Key, a, nil); err != nil {
		return s3response.CopyObjectOutput{}, wireError(err)
	}
	result := &s3response.CopyObjectResult{ETag: ptr(quote(a.ETag)), LastModified: ptr(unixNano(a.Modified))}
	sum.tell(result)
	return s3response.CopyObjectOutput{CopyObjectResult: result}, nil
}

// nothingSaid is a message without a checksum.
var nothingSaid = struct{}{}

// source opens the source of a copy.
func (b *backendOf) source(ctx context.Context, from, rng string, p backend.PreConditions) (*found, error) {
	bucket, key, version, err := backend.ParseCopySource(from)
	if err != nil {
		return nil, err
	}
	if version != "" && version != "null" {
		return nil, notImplemented("versions")
	}
	o, err := b.find(ctx, &bucket, &key, extent{}, p)
	if err != nil {
		return nil, err
	}
	if o.start, o.length, err = backend.ParseCopySourceRange(o.attr.Size, rng); err != nil || strings.HasSuffix(key, "/") {
		_ = o.file.Close()
		if err == nil {
			err = fault.New(fault.Invalid, "copy", "%q is a folder", key)
		}
		return nil, err
	}
	o.length = min(o.length, o.attr.Size-o.start)
	return &o, nil
}

// Read reads the part of the object that was asked for.
func (o *found) Read(p []byte) (int, error) {
	if o.rest == nil {
		o.rest = io.NewSectionReader(o.file, o.start, o.length)
	}
	return o.rest.Read(p)
}

func ptr[T any](v T) *T { return &v }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func quote(etag string) string { return `"` + etag + `"` }
