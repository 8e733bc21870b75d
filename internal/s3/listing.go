// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"io/fs"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3response"

	"fathom.dev/fathom/internal/fault"
)

// HeadBucket implements backend.Backend.
func (b *backendOf) HeadBucket(ctx context.Context, in *awss3.HeadBucketInput) (*awss3.HeadBucketOutput, error) {
	who, _ := ctx.Value(callerKey{}).(caller)
	if err := b.door.decide(who, "list", *in.Bucket, ""); err != nil {
		return nil, wireError(err)
	}
	if err := b.door.store.bucket(*in.Bucket); err != nil {
		return nil, wireError(err)
	}
	return &awss3.HeadBucketOutput{}, nil
}

// ListBuckets implements backend.Backend: the buckets that the caller may list.
func (b *backendOf) ListBuckets(ctx context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
	who, _ := ctx.Value(callerKey{}).(caller)
	all, err := b.door.store.buckets()
	if err != nil {
		return s3response.ListAllMyBucketsResult{}, wireError(err)
	}
	out := s3response.ListAllMyBucketsResult{Owner: s3response.CanonicalUser{ID: who.user.Name}, Prefix: in.Prefix}
	for _, info := range all {
		name := info.Name()
		if !strings.HasPrefix(name, in.Prefix) || name <= in.ContinuationToken {
			continue
		}
		err := b.door.decide(who, "list", name, "")
		if fault.Is(err, fault.Forbidden) {
			continue
		}
		if err != nil {
			return s3response.ListAllMyBucketsResult{}, wireError(err)
		}
		if in.MaxBuckets > 0 && len(out.Buckets.Bucket) == int(in.MaxBuckets) {
			out.ContinuationToken = out.Buckets.Bucket[in.MaxBuckets-1].Name
			break
		}
		out.Buckets.Bucket = append(out.Buckets.Bucket, s3response.ListAllMyBucketsEntry{Name: name, CreationDate: info.ModTime()})
	}
	return out, nil
}

// walk lists a page of keys. It costs what the page and the folders on the way to it hold.
func (b *backendOf) walk(ctx context.Context, bucket, prefix, delimiter, marker string, limit int32) (backend.WalkResults, error) {
	if err := b.door.touch(ctx, "list", bucket, prefix); err != nil {
		return backend.WalkResults{}, err
	}
	if err := b.door.store.bucket(bucket); err != nil {
		return backend.WalkResults{}, err
	}
	root, err := b.door.store.root.OpenRoot(bucket)
	if err != nil {
		return backend.WalkResults{}, storageFault(err)
	}
	defer root.Close()
	files := root.FS()
	page, err := backend.Walk(ctx, files, prefix, delimiter, marker, limit, func(key string, e fs.DirEntry) (s3response.Object, error) {
		return b.listed(files, bucket, key, e)
	}, nil)
	return page, storageFault(err)
}

// listed describes one key of a page. Folders are listed only when they are empty; links and odd names never.
func (b *backendOf) listed(files fs.FS, bucket, key string, e fs.DirEntry) (s3response.Object, error) {
	if checkKey(key) != nil {
		return s3response.Object{}, backend.ErrSkipObj
	}
	if e.IsDir() {
		if inside, err := fs.ReadDir(files, strings.TrimSuffix(key, "/")); err != nil || len(inside) > 0 {
			return s3response.Object{}, backend.ErrSkipObj
		}
	}
	f, info, err := b.door.store.open(bucket, key)
	if err != nil {
		return s3response.Object{}, backend.ErrSkipObj // removed meanwhile, a link, a pipe
	}
	defer f.Close()
	o := s3response.Object{Key: &key, LastModified: ptr(info.ModTime()), StorageClass: types.ObjectStorageClassStandard}
	if e.IsDir() {
		o.ETag, o.Size = ptr(quote(emptyMD5)), ptr(int64(0))
	} else {
		a := readAttributes(f, info)
		o.ETag, o.Size = ptr(quote(a.ETag)), ptr(info.Size())
		if a.Checksum != nil {
			o.ChecksumAlgorithm, o.ChecksumType = []types.ChecksumAlgorithm{types.ChecksumAlgorithm(a.Checksum.Algorithm)}, types.ChecksumType(a.Checksum.Type)
		}
	}
	return o, nil
}

// ListObjects implements backend.Backend.
func (b *backendOf) ListObjects(ctx context.Context, in *awss3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	page, err := b.walk(ctx, *in.Bucket, deref(in.Prefix), deref(in.Delimiter), deref(in.Marker), *in.MaxKeys)
	if err != nil {
		return s3response.ListObjectsResult{}, wireError(err)
	}
	out := s3response.ListObjectsResult{
		Name: in.Bucket, Prefix: backend.GetPtrFromString(deref(in.Prefix)), Marker: backend.GetPtrFromString(deref(in.Marker)), MaxKeys: in.MaxKeys, IsTruncated: &page.Truncated,
		Delimiter: backend.GetPtrFromString(deref(in.Delimiter)), Contents: page.Objects, CommonPrefixes: page.CommonPrefixes,
	}
	if page.Truncated {
		out.NextMarker = &page.NextMarker
	}
	return out, nil
}

// ListObjectsV2 implements backend.Backend.
func (b *backendOf) ListObjectsV2(ctx context.Context, in *awss3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	marker := max(deref(in.StartAfter), deref(in.ContinuationToken))
	page, err := b.walk(ctx, *in.Bucket, deref(in.Prefix), deref(in.Delimiter), marker, *in.MaxKeys)
	if err != nil {
		return s3response.ListObjectsV2Result{}, wireError(err)
	}
	count := int32(len(page.Objects) + len(page.CommonPrefixes))
	out := s3response.ListObjectsV2Result{
		Name: in.Bucket, Prefix: backend.GetPtrFromString(deref(in.Prefix)), MaxKeys: in.MaxKeys, KeyCount: &count, IsTruncated: &page.Truncated,
		Delimiter:         backend.GetPtrFromString(deref(in.Delimiter)),
		ContinuationToken: backend.GetPtrFromString(deref(in.ContinuationToken)), StartAfter: backend.GetPtrFromString(deref(in.StartAfter)),
		Contents: page.Objects, CommonPrefixes: page.CommonPrefixes,
	}
	if page.Truncated {
		out.NextContinuationToken = &page.NextMarker
	}
	return out, nil
}
