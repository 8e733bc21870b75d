// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"errors"
	"net/http"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"

	"fathom.dev/fathom/internal/fault"
)

// errExpired makes clients fetch new keys.
var errExpired = s3err.APIError{Code: "ExpiredToken", Description: "The keys have expired.", HTTPStatusCode: http.StatusBadRequest}

func notImplemented(what string) error {
	return s3err.APIError{Code: "NotImplemented", Description: "This is not supported here: " + what, HTTPStatusCode: http.StatusNotImplemented}
}

func accessDenied(why string) error {
	return s3err.APIError{Code: "AccessDenied", Description: why, HTTPStatusCode: http.StatusForbidden}
}

func badRequest(code, why string) error {
	return s3err.APIError{Code: code, Description: why, HTTPStatusCode: http.StatusBadRequest}
}

// wireError turns an error into S3's: code, status and text. Our own mistakes are not told.
func wireError(err error) error {
	var known s3err.S3Error
	if err == nil || errors.As(err, &known) || errors.Is(err, auth.ErrInvalidSessionToken) || errors.Is(err, auth.ErrNoSuchUser) {
		return err
	}
	if own, ok := keyErrors[opOf(err)]; ok {
		return s3err.GetAPIError(own)
	}
	text := err.Error()
	switch kind := fault.KindOf(err); kind {
	case fault.Invalid:
		return badRequest("InvalidArgument", text)
	case fault.Unauthenticated, fault.Forbidden:
		return accessDenied(text)
	case fault.NotFound:
		return notFound(err)
	case fault.Conflict:
		return s3err.APIError{Code: "OperationAborted", Description: text, HTTPStatusCode: http.StatusConflict}
	case fault.TooLarge:
		return badRequest("MetadataTooLarge", text)
	case fault.Exhausted:
		return s3err.APIError{Code: "NoSpaceLeftOnDevice", Description: "The disk is full.", HTTPStatusCode: http.StatusInsufficientStorage}
	case fault.Unavailable:
		return s3err.APIError{Code: "ServiceUnavailable", Description: "Try again later.", HTTPStatusCode: http.StatusServiceUnavailable}
	default:
		return s3err.GetAPIError(s3err.ErrInternalError)
	}
}

// keyErrors are S3's errors for what is wrong with a key.
var keyErrors = map[string]s3err.ErrorCode{
	opLength: s3err.ErrKeyTooLong, opParent: s3err.ErrObjectParentIsFile, opFolder: s3err.ErrExistingObjectIsDirectory,
}

func opOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Op
	}
	return ""
}

func notFound(err error) error {
	switch opOf(err) {
	case "bucket":
		return s3err.GetBucketErr(s3err.ErrNoSuchBucket, "")
	case "upload":
		return s3err.GetAPIError(s3err.ErrNoSuchUpload)
	}
	return s3err.GetAPIError(s3err.ErrNoSuchKey)
}
