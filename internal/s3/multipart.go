// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"strconv"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"fathom.dev/fathom/internal/fault"
)

const minPart = 5 << 20 // S3's smallest part that is not the last

// CreateMultipartUpload implements backend.Backend.
func (b *backendOf) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	bucket, key := *in.Bucket, *in.Key
	err := b.door.touch(ctx, "create", bucket, key)
	if err == nil && strings.HasSuffix(key, "/") {
		err = fault.New(fault.Invalid, "key", "a folder cannot be uploaded in parts")
	}
	if err != nil {
		return s3response.InitiateMultipartUploadResult{}, wireError(err)
	}
	id, err := b.door.store.createUpload(bucket, key, attributes{Metadata: in.Metadata, Headers: headers(map[string]*string{
		"content-type": in.ContentType, "content-encoding": in.ContentEncoding, "content-disposition": in.ContentDisposition,
		"content-language": in.ContentLanguage, "cache-control": in.CacheControl, "expires": in.Expires,
	})})
	if err != nil {
		return s3response.InitiateMultipartUploadResult{}, wireError(err)
	}
	return s3response.InitiateMultipartUploadResult{Bucket: bucket, Key: key, UploadId: id}, nil
}

// inUpload asks for a step of an upload, whose beginning and end are in the audit log.
func (b *backendOf) inUpload(ctx context.Context, bucket, key, id *string) (upload, string, error) {
	who, _ := ctx.Value(callerKey{}).(caller)
	if err := b.door.decide(who, "create", *bucket, *key); err != nil {
		return upload{}, "", err
	}
	return b.door.store.findUpload(*bucket, *key, *id)
}

// UploadPart implements backend.Backend.
func (b *backendOf) UploadPart(ctx context.Context, in *awss3.UploadPartInput) (*awss3.UploadPartOutput, error) {
	_, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, wireError(err)
	}
	g, err := b.receive(in.Body, in.ContentLength, []given{
		{in.ChecksumCRC32, utils.HashTypeCRC32}, {in.ChecksumCRC32C, utils.HashTypeCRC32C}, {in.ChecksumSHA1, utils.HashTypeSha1},
		{in.ChecksumSHA256, utils.HashTypeSha256}, {in.ChecksumCRC64NVME, utils.HashTypeCRC64NVME}, {in.ChecksumSHA512, utils.HashTypeSha512},
		{in.ChecksumMD5, utils.HashTypeMd5}, {in.ChecksumXXHASH64, utils.HashTypeXXHASH64},
		{in.ChecksumXXHASH3, utils.HashTypeXXHASH3}, {in.ChecksumXXHASH128, utils.HashTypeXXHASH128},
	})
	if err != nil {
		return nil, wireError(err)
	}
	defer g.discard()
	p, err := g.addPart(dir, int(*in.PartNumber))
	if err != nil {
		return nil, wireError(err)
	}
	return &awss3.UploadPartOutput{ETag: ptr(quote(p.etag))}, nil
}

// UploadPartCopy implements backend.Backend: it asks to read the source and to write the destination.
func (b *backendOf) UploadPartCopy(ctx context.Context, in *awss3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	_, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return s3response.CopyPartResult{}, wireError(err)
	}
	src, err := b.source(ctx, *in.CopySource, deref(in.CopySourceRange), backend.PreConditions{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModSince: in.CopySourceIfModifiedSince, IfUnmodeSince: in.CopySourceIfUnmodifiedSince})
	if err != nil {
		return s3response.CopyPartResult{}, wireError(err)
	}
	defer src.file.Close()
	g, err := b.receive(src, &src.length, nil)
	if err != nil {
		return s3response.CopyPartResult{}, wireError(err)
	}
	defer g.discard()
	p, err := g.addPart(dir, int(*in.PartNumber))
	if err != nil {
		return s3response.CopyPartResult{}, wireError(err)
	}
	return s3response.CopyPartResult{ETag: ptr(quote(p.etag)), LastModified: p.modified}, nil
}

// CompleteMultipartUpload implements backend.Backend.
func (b *backendOf) CompleteMultipartUpload(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	a, err := b.complete(ctx, in)
	if err != nil {
		return s3response.CompleteMultipartUploadResult{}, "", wireError(err)
	}
	return s3response.CompleteMultipartUploadResult{Bucket: in.Bucket, Key: in.Key, ETag: ptr(quote(a.ETag))}, "", nil
}

func (b *backendOf) complete(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (attributes, error) {
	if err := b.door.touch(ctx, "create", *in.Bucket, *in.Key); err != nil {
		return attributes{}, err
	}
	u, dir, err := b.door.store.findUpload(*in.Bucket, *in.Key, *in.UploadId)
	if err != nil {
		return attributes{}, err
	}
	have, err := b.door.store.parts(dir)
	if err != nil {
		return attributes{}, err
	}
	chosen, err := choose(*in.UploadId, have, in.MultipartUpload.Parts)
	if err != nil {
		return attributes{}, err
	}
	g, err := b.door.store.stage()
	if err != nil {
		return attributes{}, err
	}
	defer g.discard()
	a := u.Attributes
	if a.ETag, err = g.join(chosen); err != nil {
		return attributes{}, err
	}
	if in.MpuObjectSize != nil && *in.MpuObjectSize != g.size {
		return attributes{}, s3err.GetIncorrectMpObjectSizeErr(*in.MpuObjectSize, g.size)
	}
	if a, err = g.publish(*in.Bucket, *in.Key, a, ifUnchanged(in.IfMatch, in.IfNoneMatch)); err != nil {
		return attributes{}, err
	}
	_ = b.door.store.removeUpload(dir) // what stays is swept later
	return a, nil
}

// choose picks the parts that the client named, in its order, and checks them.
func choose(id string, have []part, named []types.CompletedPart) ([]part, error) {
	byNumber := map[int]part{}
	for _, p := range have {
		byNumber[p.number] = p
	}
	last := int32(0)
	for _, n := range named {
		if n.PartNumber == nil {
			return nil, s3err.GetAPIError(s3err.ErrMalformedXML)
		}
		if *n.PartNumber <= last {
			return nil, s3err.GetAPIError(s3err.ErrInvalidPartOrder)
		}
		last = *n.PartNumber
	}
	var chosen []part
	for i, n := range named {
		p, ok := byNumber[int(*n.PartNumber)]
		etag := strings.Trim(deref(n.ETag), `"`)
		switch {
		case !ok || etag != "" && etag != p.etag:
			return nil, s3err.GetInvalidPartErr(id, *n.PartNumber, etag)
		case p.size < minPart && i < len(named)-1:
			return nil, s3err.GetEntityTooSmallErr(p.size, minPart)
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// AbortMultipartUpload implements backend.Backend.
func (b *backendOf) AbortMultipartUpload(ctx context.Context, in *awss3.AbortMultipartUploadInput) error {
	_, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
	if err == nil {
		err = b.door.store.removeUpload(dir)
	}
	return wireError(err)
}

// ListParts implements backend.Backend.
func (b *backendOf) ListParts(ctx context.Context, in *awss3.ListPartsInput) (s3response.ListPartsResult, error) {
	_, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return s3response.ListPartsResult{}, wireError(err)
	}
	have, err := b.door.store.parts(dir)
	if err != nil {
		return s3response.ListPartsResult{}, wireError(err)
	}
	after, _ := strconv.Atoi(deref(in.PartNumberMarker))
	limit := 1000
	if in.MaxParts != nil && *in.MaxParts > 0 {
		limit = int(*in.MaxParts)
	}
	out := s3response.ListPartsResult{Bucket: *in.Bucket, Key: *in.Key, UploadID: *in.UploadId, MaxParts: limit,
		PartNumberMarker: after, StorageClass: types.StorageClassStandard}
	for _, p := range have {
		if p.number <= after {
			continue
		}
		if len(out.Parts) == limit {
			out.IsTruncated = true
			break
		}
		out.Parts = append(out.Parts, s3response.Part{PartNumber: p.number, ETag: quote(p.etag), Size: p.size, LastModified: p.modified})
		out.NextPartNumberMarker = p.number
	}
	return out, nil
}

// ListMultipartUploads implements backend.Backend.
func (b *backendOf) ListMultipartUploads(ctx context.Context, in *awss3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	if err := b.door.touch(ctx, "list", *in.Bucket, deref(in.Prefix)); err != nil {
		return s3response.ListMultipartUploadsResult{}, wireError(err)
	}
	if err := b.door.store.bucket(*in.Bucket); err != nil {
		return s3response.ListMultipartUploadsResult{}, wireError(err)
	}
	all, err := b.door.store.uploads(*in.Bucket)
	if err != nil {
		return s3response.ListMultipartUploadsResult{}, wireError(err)
	}
	uploads := make([]s3response.Upload, 0, len(all))
	for _, u := range all {
		uploads = append(uploads, s3response.Upload{Key: u.Key, UploadID: u.ID, Initiated: u.Started, StorageClass: types.StorageClassStandard})
	}
	limit := 1000
	if in.MaxUploads != nil {
		limit = int(*in.MaxUploads)
	}
	page, err := backend.ListMultipartUploads(uploads, deref(in.Prefix), deref(in.Delimiter), deref(in.KeyMarker), deref(in.UploadIdMarker), limit)
	if err != nil {
		return s3response.ListMultipartUploadsResult{}, wireError(err)
	}
	return s3response.ListMultipartUploadsResult{
		Bucket: *in.Bucket, Prefix: deref(in.Prefix), Delimiter: deref(in.Delimiter), KeyMarker: deref(in.KeyMarker),
		UploadIDMarker: deref(in.UploadIdMarker), MaxUploads: limit, IsTruncated: page.IsTruncated, NextKeyMarker: page.NextKeyMarker,
		NextUploadIDMarker: page.NextUploadIDMarker, Uploads: page.Uploads, CommonPrefixes: page.CommonPrefixes,
	}, nil
}
