// SPDX-License-Identifier: Apache-2.0

package s3

// Why some of versitygw's own checks pass with it alone and not here. All are decisions.
const (
	noLocks      = "objects cannot be locked: datasets keep their versions; the headers are refused, not ignored"
	noTags       = "objects have no tags; the header is refused, not ignored"
	noWebsites   = "buckets are no websites; the header is refused, not ignored"
	noPolicies   = "who may do what is said by the Workspace object, not by policies of a bucket; nothing is public"
	noOwners     = "buckets belong to Fathom, whoever made the workspace"
	plainFolders = "a bucket is a plain folder: a folder has no headers, metadata or checksum, and is listed while it is empty"
	cleanKeys    = "keys that a file system could read in another way (.., //, \\, %2e) are refused"
	longHeaders  = "headers may have 32 KiB: tokens are long"
	otherError   = "it is refused as well, with another code: what the door does not do is refused before its parameters are read"
)

var suiteExceptions = map[string]string{
	"CopyObject_invalid_legal_hold":                            noLocks,
	"CopyObject_invalid_object_lock_mode":                      noLocks,
	"CopyObject_invalid_website_redirect_location":             noWebsites,
	"CopyObject_overwrite_same_file_object":                    otherError,
	"CreateMultipartUpload_invalid_legal_hold":                 noLocks,
	"CreateMultipartUpload_invalid_object_lock_mode":           noLocks,
	"CreateMultipartUpload_invalid_website_redirect_location":  noWebsites,
	"CreateMultipartUpload_past_retain_until_date":             noLocks,
	"CreateMultipartUpload_with_metadata":                      noTags,
	"CreateMultipartUpload_with_object_lock":                   noLocks,
	"CreateMultipartUpload_with_object_lock_invalid_retention": noLocks,
	"CreateMultipartUpload_with_object_lock_not_enabled":       noLocks,
	"CreateMultipartUpload_with_tagging":                       noTags,
	"DeleteObject_directory_not_empty":                         plainFolders,
	"DeleteObject_expected_bucket_owner":                       noOwners,
	"GetObject_dir_object_checksum":                            plainFolders,
	"GetObject_overrides_fail_public":                          noPolicies,
	"GetObject_success":                                        noTags,
	"HeadObject_overrides_fail_public":                         noPolicies,
	"HeadObject_success":                                       noTags,
	"ListBuckets_success":                                      noOwners,
	"ListBuckets_truncated":                                    noOwners,
	"ListBuckets_with_prefix":                                  noOwners,
	"ListObjects_nested_dir_file_objs":                         plainFolders,
	"PutObject_false_negative_object_names":                    cleanKeys,
	"PutObject_invalid_legal_hold":                             noLocks,
	"PutObject_invalid_object_lock_mode":                       noLocks,
	"PutObject_invalid_object_names":                           cleanKeys,
	"PutObject_invalid_retain_until_date":                      noLocks,
	"PutObject_invalid_website_redirect_location":              noWebsites,
	"PutObject_missing_bucket_lock":                            noLocks,
	"PutObject_missing_object_lock_retention_config":           noLocks,
	"PutObject_past_retain_until_date":                         noLocks,
	"PutObject_special_chars":                                  cleanKeys,
	"PutObject_tagging":                                        noTags,
	"PutObject_with_metadata":                                  plainFolders,
	"PutObject_with_object_lock":                               noLocks,
	"PutObject_with_slashes":                                   cleanKeys,
	"RouterCopySourceNotAllowed":                               otherError,
	"RouterGetUploadsWithKey":                                  otherError,
	"RouterListVersionsWithKey":                                otherError,
	"RouterPUTObjectOnlyUploadId":                              otherError,
	"RouterPostObjectWithoutQuery":                             otherError,
	"RouterPostRoot":                                           otherError,
	"RouterPutPartNumberWithoutUploadId":                       otherError,
	"Server_large_http_header":                                 longHeaders,
	"UnsignedStreamingPayloadTrailer_not_allowed":              otherError,
	"UploadPartCopy_non_existing_bucket":                       otherError,
	"VersioningDisabled_PutBucketVersioning_not_configured":    otherError,
}
