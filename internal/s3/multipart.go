// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"fathom.dev/fathom/internal/fault"
)

const noChecksum = "null" // how S3 writes that an upload has none

const minPart = 5 << 20 // S3's smallest part that is not the last

// CreateMultipartUpload implements backend.Backend.
func (b *backendOf) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	bucket, key := *in.Bucket, *in.Key
	err := b.door.touch(ctx, "create", bucket, key)
	if err == nil && strings.HasSuffix(key, "/") {
		err = s3err.GetAPIError(s3err.ErrDirectoryObjectContainsData) // a folder cannot be uploaded in parts
	}
	if err != nil {
		return s3response.InitiateMultipartUploadResult{}, wireError(err)
	}
	id, err := b.door.store.createUpload(bucket, key, attributes{Metadata: in.Metadata, Headers: headers(map[string]*string{
		"content-type": in.ContentType, "content-encoding": in.ContentEncoding, "content-disposition": in.ContentDisposition,
		"content-language": in.ContentLanguage, "cache-control": in.CacheControl, "expires": in.Expires,
	})}, checksum{Algorithm: string(in.ChecksumAlgorithm), Type: string(in.ChecksumType)})
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
	u, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, wireError(err)
	}
	if err := u.mayHave(in.Body, in); err != nil {
		return nil, err
	}
	g, sum, err := b.receive(in.Body, in.ContentLength, in, u.Checksum.Algorithm)
	if err != nil {
		return nil, wireError(err)
	}
	defer g.discard()
	p, err := g.addPart(dir, int(*in.PartNumber), sum)
	if err != nil {
		return nil, wireError(err)
	}
	out := &awss3.UploadPartOutput{ETag: ptr(quote(p.etag))}
	sum.tell(out)
	return out, nil
}

// mayHave checks that a part comes with the sort of checksum that its upload was begun with.
func (u upload) mayHave(r io.Reader, message any) error {
	said := given(message).Algorithm
	if t, ok := r.(middlewares.ChecksumReader); ok && t.Algorithm() != "" {
		said = strings.ToUpper(t.Algorithm())
	}
	wanted := types.ChecksumAlgorithm(u.Checksum.Algorithm)
	switch {
	case said == "" && u.Checksum.Type == string(types.ChecksumTypeComposite):
		return s3err.GetChecksumTypeMismatchErr(wanted, "null")
	case said != "" && u.Checksum.Type != "" && said != u.Checksum.Algorithm:
		return s3err.GetChecksumTypeMismatchErr(wanted, types.ChecksumAlgorithm(said))
	}
	return nil
}

// UploadPartCopy implements backend.Backend: it asks to read the source and to write the destination.
func (b *backendOf) UploadPartCopy(ctx context.Context, in *awss3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	u, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
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
	g, sum, err := b.receive(src, &src.length, nothingSaid, u.Checksum.Algorithm)
	if err != nil {
		return s3response.CopyPartResult{}, wireError(err)
	}
	defer g.discard()
	p, err := g.addPart(dir, int(*in.PartNumber), sum)
	if err != nil {
		return s3response.CopyPartResult{}, wireError(err)
	}
	out := s3response.CopyPartResult{ETag: ptr(quote(p.etag)), LastModified: p.modified}
	if u.Checksum.Type != "" {
		sum.tell(&out)
	}
	return out, nil
}

// CompleteMultipartUpload implements backend.Backend.
func (b *backendOf) CompleteMultipartUpload(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	a, err := b.complete(ctx, in)
	if err != nil {
		return s3response.CompleteMultipartUploadResult{}, "", wireError(err)
	}
	out := s3response.CompleteMultipartUploadResult{Bucket: in.Bucket, Key: in.Key, ETag: ptr(quote(a.ETag))}
	a.Checksum.tell(&out)
	return out, "", nil
}

func (b *backendOf) complete(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (attributes, error) {
	if err := b.door.touch(ctx, "create", *in.Bucket, *in.Key); err != nil {
		return attributes{}, err
	}
	b.door.store.joining.Lock() // who sends it twice gets the same answer twice
	defer b.door.store.joining.Unlock()
	u, dir, err := b.door.store.findUpload(*in.Bucket, *in.Key, *in.UploadId)
	if fault.Is(err, fault.NotFound) {
		return b.completed(*in.Bucket, *in.Key, *in.UploadId, err)
	}
	if err != nil {
		return attributes{}, err
	}
	have, err := b.door.store.parts(dir)
	if err != nil {
		return attributes{}, err
	}
	if in.ChecksumType != "" && string(in.ChecksumType) != u.Checksum.Type {
		return attributes{}, s3err.GetChecksumTypeMismatchOnMpErr(types.ChecksumType(cmp.Or(u.Checksum.Type, noChecksum)))
	}
	chosen, err := u.choose(have, in.MultipartUpload.Parts)
	if err != nil {
		return attributes{}, err
	}
	g, err := b.door.store.stage()
	if err != nil {
		return attributes{}, err
	}
	defer g.discard()
	a := u.Attributes
	sum, etag, err := g.join(chosen, u.Checksum)
	if err != nil {
		return attributes{}, err
	}
	a.ETag, a.Checksum, a.Parts, a.Upload = etag, &sum, sizesOf(chosen), *in.UploadId
	if in.MpuObjectSize != nil && *in.MpuObjectSize != g.size {
		return attributes{}, s3err.GetIncorrectMpObjectSizeErr(g.size, *in.MpuObjectSize)
	}
	if err := u.claimed(in, sum, len(chosen)); err != nil {
		return attributes{}, err
	}
	if a, err = g.publish(*in.Bucket, *in.Key, a, ifUnchanged(in.IfMatch, in.IfNoneMatch)); err != nil {
		return attributes{}, err
	}
	_ = b.door.store.removeUpload(dir) // what stays is swept later
	return a, nil
}

// completed finds the object that the upload became, if it is still the one under the key.
func (b *backendOf) completed(bucket, key, id string, missing error) (attributes, error) {
	f, info, err := b.door.store.open(bucket, key)
	if err != nil {
		return attributes{}, missing
	}
	defer f.Close()
	a := readAttributes(f, info)
	if a.Upload != id || a.Checksum == nil {
		return attributes{}, missing
	}
	return a, nil
}

// claimed compares the checksum of the whole with what the client says it should be.
func (u upload) claimed(in *awss3.CompleteMultipartUploadInput, sum checksum, parts int) error {
	said := given(in)
	if u.Checksum.Type == "" || said.Algorithm != sum.Algorithm {
		return nil
	}
	if sum.Type == string(types.ChecksumTypeComposite) && !strings.Contains(said.Value, "-") {
		said.Value += "-" + strconv.Itoa(parts)
	}
	if said.Value != sum.Value {
		return badDigest(sum.Algorithm)
	}
	return nil
}

// choose picks the parts that the client named, in its order, and checks them.
func (u upload) choose(have []part, named []types.CompletedPart) ([]part, error) {
	byNumber := map[int]part{}
	for _, p := range have {
		byNumber[p.number] = p
	}
	if err := inOrder(named); err != nil {
		return nil, err
	}
	var chosen []part
	for i, n := range named {
		p, ok := byNumber[int(*n.PartNumber)]
		etag := strings.Trim(*n.ETag, `"`)
		switch {
		case !ok:
			return nil, s3err.GetInvalidPartErr(u.ID, *n.PartNumber, *n.ETag)
		case p.size < minPart && i < len(named)-1:
			return nil, s3err.GetEntityTooSmallErr(p.size, minPart)
		case etag != p.etag:
			return nil, s3err.GetInvalidPartErr(u.ID, *n.PartNumber, quote(p.etag))
		}
		if err := u.sameSum(p, n); err != nil {
			return nil, err
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// inOrder checks that the client's list of parts is one.
func inOrder(named []types.CompletedPart) error {
	last := int32(0)
	for _, n := range named {
		switch {
		case n.PartNumber == nil || n.ETag == nil:
			return s3err.GetAPIError(s3err.ErrMalformedXML)
		case *n.PartNumber < 1:
			return s3err.GetInvalidArgumentErr(s3err.InvalidArgCompleteMpPartNumber, strconv.Itoa(int(*n.PartNumber)))
		case *n.PartNumber <= last:
			return s3err.GetAPIError(s3err.ErrInvalidPartOrder)
		}
		last = *n.PartNumber
	}
	return nil
}

// sameSum compares a part's checksum with the one that the client names.
func (u upload) sameSum(p part, named types.CompletedPart) error {
	said := given(&named)
	switch {
	case countGiven(&named) > 1:
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, said.Value)
	case u.Checksum.Type == "" && said.Value == "":
		return nil
	case u.Checksum.Type != "" && said.Value == "":
		return badRequest("InvalidRequest", fmt.Sprintf("The upload was created using a %s checksum. The complete request must include "+
			"the checksum for each part. It was missing for part %d in the request.", strings.ToLower(u.Checksum.Algorithm), p.number))
	case !utils.IsValidChecksum(said.Value, types.ChecksumAlgorithm(said.Algorithm)):
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgChecksumPart, said.Value)
	case u.Checksum.Type != "" && said.Algorithm != u.Checksum.Algorithm:
		return badRequest("BadDigest", fmt.Sprintf("The %s you specified for part %d did not match what we received.",
			strings.ToLower(said.Algorithm), p.number))
	case said != checksum{Algorithm: p.sum.Algorithm, Value: p.sum.Value}, u.Checksum.Type == "":
		return s3err.GetInvalidPartErr(u.ID, *named.PartNumber, *named.ETag)
	}
	return nil
}

// AbortMultipartUpload implements backend.Backend.
func (b *backendOf) AbortMultipartUpload(ctx context.Context, in *awss3.AbortMultipartUploadInput) error {
	u, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
	if err == nil && in.IfMatchInitiatedTime != nil && in.IfMatchInitiatedTime.Unix() != u.Started.Unix() {
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatchInitiatedTime)
	}
	if err == nil {
		err = b.door.store.removeUpload(dir)
	}
	return wireError(err)
}

// ListParts implements backend.Backend.
func (b *backendOf) ListParts(ctx context.Context, in *awss3.ListPartsInput) (s3response.ListPartsResult, error) {
	u, dir, err := b.inUpload(ctx, in.Bucket, in.Key, in.UploadId)
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
		PartNumberMarker: after, StorageClass: types.StorageClassStandard,
		ChecksumAlgorithm: types.ChecksumAlgorithm(cmp.Or(u.Checksum.Algorithm, noChecksum)),
		ChecksumType:      types.ChecksumType(cmp.Or(u.Checksum.Type, noChecksum))}
	for _, p := range have {
		if p.number <= after {
			continue
		}
		if len(out.Parts) == limit {
			out.IsTruncated = true
			break
		}
		shown := s3response.Part{PartNumber: p.number, ETag: quote(p.etag), Size: p.size, LastModified: p.modified}
		if u.Checksum.Type != "" {
			p.sum.tell(&shown)
		}
		out.Parts = append(out.Parts, shown)
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
		if !strings.HasPrefix(u.Key, deref(in.Prefix)) || u.Key < deref(in.KeyMarker) ||
			u.Key == deref(in.KeyMarker) && u.Key != "" && deref(in.UploadIdMarker) == "" {
			continue
		}
		uploads = append(uploads, s3response.Upload{Key: u.Key, UploadID: u.ID, Initiated: u.Started, StorageClass: types.StorageClassStandard,
			ChecksumAlgorithm: types.ChecksumAlgorithm(u.Checksum.Algorithm), ChecksumType: types.ChecksumType(u.Checksum.Type)})
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
