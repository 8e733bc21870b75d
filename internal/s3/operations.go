// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api/controllers"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

// Operation is one line of the door's table.
type Operation struct {
	Name   string
	Method string
	Level  string // service, bucket, object: how deep the path goes
	// Needs are query parameters that must be there, "name" or "name=value"; Copies that the header x-amz-copy-source
	// must be there, and without it that it must not.
	Needs  []string
	Copies bool
	// Also are the other query parameters that it understands.
	Also []string
	// Verb is what it wants of workspaces/objects in the bucket's workspace. Reading in the inbox wants datasets/identified
	// too. Empty: nothing (a list of one's own buckets).
	Verb string

	streams bool // the body is not held in memory
	run     fiber.Handler
}

// owner is who all buckets belong to, as S3 sees it.
const owner = "fathom"

// Operations returns the table: all that this door can do. The order counts: the first line that fits is taken.
func Operations() []Operation {
	overrides := []string{"response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires"}
	return []Operation{
		{Name: "ListBuckets", Method: "GET", Level: "service", Also: []string{"max-buckets", "continuation-token", "prefix", "bucket-region"}},

		{Name: "HeadBucket", Method: "HEAD", Level: "bucket", Verb: "list"},
		{Name: "GetBucketLocation", Method: "GET", Level: "bucket", Needs: []string{"location"}, Verb: "list"},
		{Name: "GetBucketVersioning", Method: "GET", Level: "bucket", Needs: []string{"versioning"}, Verb: "list"},
		{Name: "ListMultipartUploads", Method: "GET", Level: "bucket", Needs: []string{"uploads"}, Verb: "list",
			Also: []string{"delimiter", "encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"}},
		{Name: "ListObjectsV2", Method: "GET", Level: "bucket", Needs: []string{"list-type=2"}, Verb: "list",
			Also: []string{"continuation-token", "delimiter", "encoding-type", "fetch-owner", "max-keys", "prefix", "start-after"}},
		{Name: "ListObjects", Method: "GET", Level: "bucket", Verb: "list",
			Also: []string{"delimiter", "encoding-type", "marker", "max-keys", "prefix"}},
		{Name: "DeleteObjects", Method: "POST", Level: "bucket", Needs: []string{"delete"}, Verb: "delete"},

		{Name: "HeadObject", Method: "HEAD", Level: "object", Verb: "get", Also: append(overrides, "partNumber")},
		{Name: "ListParts", Method: "GET", Level: "object", Needs: []string{"uploadId"}, Verb: "create",
			Also: []string{"max-parts", "part-number-marker", "encoding-type"}},
		{Name: "GetObject", Method: "GET", Level: "object", Verb: "get", Also: append(overrides, "partNumber")},
		{Name: "CreateMultipartUpload", Method: "POST", Level: "object", Needs: []string{"uploads"}, Verb: "create"},
		{Name: "CompleteMultipartUpload", Method: "POST", Level: "object", Needs: []string{"uploadId"}, Verb: "create"},
		{Name: "UploadPartCopy", Method: "PUT", Level: "object", Needs: []string{"uploadId", "partNumber"}, Copies: true, Verb: "create"},
		{Name: "UploadPart", Method: "PUT", Level: "object", Needs: []string{"uploadId", "partNumber"}, Verb: "create", streams: true},
		{Name: "CopyObject", Method: "PUT", Level: "object", Copies: true, Verb: "create"},
		{Name: "PutObject", Method: "PUT", Level: "object", Verb: "create", streams: true},
		{Name: "AbortMultipartUpload", Method: "DELETE", Level: "object", Needs: []string{"uploadId"}, Verb: "create"},
		{Name: "DeleteObject", Method: "DELETE", Level: "object", Verb: "delete"},
	}
}

// controllersOf names the part of versitygw that reads the request of each operation and writes its answer.
func controllersOf(c controllers.S3ApiController) map[string]controllers.Controller {
	return map[string]controllers.Controller{
		"ListBuckets": c.ListBuckets,
		"HeadBucket":  c.HeadBucket, "GetBucketLocation": c.GetBucketLocation, "GetBucketVersioning": c.GetBucketVersioning,
		"ListMultipartUploads": c.ListMultipartUploads, "ListObjectsV2": c.ListObjectsV2, "ListObjects": c.ListObjects,
		"DeleteObjects": c.DeleteObjects,
		"HeadObject":    c.HeadObject, "GetObject": c.GetObject, "PutObject": c.PutObject, "CopyObject": c.CopyObject,
		"DeleteObject": c.DeleteObject, "ListParts": c.ListParts, "UploadPart": c.UploadPart, "UploadPartCopy": c.UploadPartCopy,
		"CreateMultipartUpload": c.CreateMultipartUpload, "CompleteMultipartUpload": c.CompleteMultipartUpload,
		"AbortMultipartUpload": c.AbortMultipartUpload,
	}
}

// compile joins the table with its controllers: verify the signature, then the checksums, then say who it is.
func (d *Door) compile(root middlewares.RootUserConfig, iam auth.IAMService) []Operation {
	d.proof = func(method, level string, streams bool) []fiber.Handler {
		return []fiber.Handler{
			proven,
			middlewares.VerifyPresignedV4Signature(root, iam, d.opt.Region, streams),
			middlewares.VerifyV4Signature(root, iam, d.opt.Region, streams, method != "HEAD", level == "service"),
		}
	}
	run := controllersOf(controllers.New(d.backend, iam, nil, nil, nil, false, true, "", 0))
	table := Operations()
	for i := range table {
		op := &table[i]
		steps := append(d.proof(op.Method, op.Level, op.streams), d.identify, d.mayAt(op))
		switch {
		case op.streams:
			steps = append(steps, middlewares.VerifyChecksums(true, false, false))
		case op.Name == "DeleteObjects":
			steps = append(steps, middlewares.VerifyChecksums(false, true, true))
		}
		op.run = controllers.ProcessHandlers(run[op.Name], op.Name, &controllers.Services{}, steps...)
	}
	return table
}

// proven refuses a request without a signature, and one with two: which would count?
func proven(c fiber.Ctx) error {
	for _, name := range []string{"Authorization", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Copy-Source", "X-Amz-Date", "Host"} {
		if len(c.Request().Header.PeekAll(name)) > 1 {
			return badRequest("InvalidArgument", "The header "+name+" is there twice.")
		}
	}
	query, header := utils.IsPresignedURLAuth(c), c.Get("Authorization") != ""
	switch {
	case !query && !header:
		return accessDenied("The request is not signed.")
	case query && header:
		return badRequest("InvalidArgument", "Only one way to sign a request is allowed.")
	case query && utils.IsStreamingPayload(c.Get("X-Amz-Content-Sha256")):
		return badRequest("InvalidArgument", "A presigned request cannot have a chunked body.")
	}
	return nil
}

// identify puts the caller into the request. It runs after the signature was verified.
func (d *Door) identify(c fiber.Ctx) error {
	account, _ := utils.ContextKeyAccount.Get(c).(auth.Account)
	user, err := d.keys.open(context.Background(), account.Access, account.SessionToken)
	if err != nil {
		return accessDenied("The keys are not valid.")
	}
	c.Locals(callerKey{}, caller{user: user, remote: c.RequestCtx().RemoteAddr().String()})
	utils.ContextKeyParsedAcl.Set(c, auth.ACL{Owner: owner})
	return nil
}

// mayAt asks for the right that the table names, before the request's parameters or body are looked at. The storage asks
// again, for what it then really touches.
func (d *Door) mayAt(op *Operation) fiber.Handler {
	return func(c fiber.Ctx) error {
		if op.Verb == "" {
			return nil
		}
		who, _ := c.Locals(callerKey{}).(caller)
		bucket, key, _ := strings.Cut(strings.TrimPrefix(c.Path(), "/"), "/")
		err := d.decide(who, op.Verb, bucket, key)
		if fault.Is(err, fault.Forbidden) {
			err = errors.Join(err, d.recorded(who, op.Verb, bucket, key, err))
		}
		return wireError(err)
	}
}

// dispatch finds the operation of a request.
func (d *Door) dispatch(level string) fiber.Handler {
	return func(c fiber.Ctx) error {
		if level == "service" && c.Method() == http.MethodPost {
			return d.assumeRole(c)
		}
		op, err := d.find(level, c.Request())
		if err != nil {
			return d.refuse(c, level, err)
		}
		return op.run(c)
	}
}

// refuse answers to what the door does not do, once it is proven who asks: others learn only that they are nobody.
func (d *Door) refuse(c fiber.Ctx, level string, why error) error {
	streams := utils.IsStreamingPayload(c.Get("X-Amz-Content-Sha256"))
	if n := c.Request().Header.ContentLength(); !streams && (n > maxBody || n == -1) {
		return fail(c, why)
	}
	refusal := func(fiber.Ctx) (*controllers.Response, error) { return &controllers.Response{}, why }
	steps := append(d.proof(c.Method(), level, streams), d.identify)
	return controllers.ProcessHandlers(refusal, "", &controllers.Services{}, steps...)(c)
}

func (d *Door) find(level string, r *fasthttp.Request) (*Operation, error) {
	if err := refusedHeader(r); err != nil {
		return nil, err
	}
	method, query := string(r.Header.Method()), r.URI().QueryArgs()
	copies := len(r.Header.Peek("X-Amz-Copy-Source")) > 0
	for i := range d.table {
		op := &d.table[i]
		if op.Method != method || op.Level != level || op.Copies != copies || !hasAll(query, op.Needs) {
			continue
		}
		if name := op.unknown(query); name != "" {
			return nil, refusedParameter(method, name)
		}
		if n := r.Header.ContentLength(); !op.streams && (n > maxBody || n == -1) {
			return nil, badRequest("MaxMessageLengthExceeded", "The request's body is too large.")
		}
		return op, nil
	}
	return nil, refusedParameter(method, "")
}

func hasAll(query *fasthttp.Args, needs []string) bool {
	for _, n := range needs {
		name, value, exact := strings.Cut(n, "=")
		if !query.Has(name) || exact && string(query.Peek(name)) != value {
			return false
		}
	}
	return true
}

// unknown returns a query parameter that the operation does not understand. Parameters of the signature are fine.
func (op *Operation) unknown(query *fasthttp.Args) string {
	for raw := range query.All() {
		name := string(raw)
		if name == "x-id" || strings.HasPrefix(name, "X-Amz-") || listed(op.Needs, name) || listed(op.Also, name) {
			continue
		}
		return name
	}
	return ""
}

func listed(names []string, name string) bool {
	for _, n := range names {
		if n, _, _ := strings.Cut(n, "="); n == name {
			return true
		}
	}
	return false
}

// refusedParameter answers to what is not in the table.
func refusedParameter(method, name string) error {
	switch {
	case method == "GET" || method == "HEAD":
		return notImplemented("reading " + quoted(name))
	case name == "" || name == "acl" || name == "policy" || name == "ownershipControls" || name == "publicAccessBlock":
		return accessDenied("Buckets and who may use them belong to their Workspace object.")
	}
	return notImplemented(quoted(name))
}

func quoted(name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	return "?" + name
}

// refusedHeader refuses what would have to be ignored, where ignoring it could surprise: encryption that does not
// happen, rights that are not given, locks that do not hold.
func refusedHeader(r *fasthttp.Request) error {
	for k, v := range r.Header.All() {
		name, value := strings.ToLower(string(k)), string(v)
		switch {
		case (name == "x-amz-expected-bucket-owner" || name == "x-amz-source-expected-bucket-owner") && value != owner:
			return s3err.GetAPIError(s3err.ErrAccessDenied)
		case name == "x-amz-acl" && (value == "private" || value == "bucket-owner-full-control"):
		case name == "x-amz-acl", strings.HasPrefix(name, "x-amz-grant-"):
			return badRequest("AccessControlListNotSupported", "Who may read an object is decided by its Workspace.")
		case strings.HasPrefix(name, "x-amz-server-side-encryption"), strings.HasPrefix(name, "x-amz-copy-source-server-side-encryption"),
			strings.HasPrefix(name, "x-amz-object-lock-"), name == "x-amz-tagging", name == "x-amz-website-redirect-location":
			return notImplemented("the header " + name)
		}
	}
	return nil
}

// clean refuses paths with tricks in them, before anything reads them.
func clean(c fiber.Ctx) error {
	original := string(c.Request().URI().PathOriginal())
	if len(original) > 4*maxKey {
		return fail(c, s3err.GetAPIError(s3err.ErrKeyTooLong))
	}
	decoded, err := url.PathUnescape(original)
	if err != nil {
		return fail(c, badRequest("InvalidURI", "The path is not valid."))
	}
	if err := identity.CleanPath(decoded); err != nil {
		return fail(c, wireError(err))
	}
	return c.Next()
}

func fail(c fiber.Ctx, err error) error {
	return controllers.ProcessController(c, func(fiber.Ctx) (*controllers.Response, error) {
		return &controllers.Response{}, err
	}, "", &controllers.Services{})
}
