// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api/controllers"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
)

const (
	maxBody     = 8 << 20 // of requests whose body is held in memory: lists of parts and of keys
	maxHeader   = 32 << 10
	connections = 4096
	idle        = time.Minute
)

// Options configures [New]. Dir, KeyFile, Authenticator, Authorizer and TLS are required.
type Options struct {
	// Dir holds the buckets: <state>/lake/objects.
	Dir string
	// KeyFile holds the key that seals session tokens (0600); it is made if it is not there. Outside Dir.
	KeyFile string
	// Authenticator reviews the tokens of pods.
	Authenticator identity.Authenticator
	// Authorizer decides on workspaces/objects (get, list, create, delete) and datasets/identified (get) in the
	// namespace that is called like the bucket.
	Authorizer identity.Authorizer
	// TLS has the listener's certificate. Plain text is not served.
	TLS *tls.Config
	// Region is what clients must sign for. Default "us-east-1", which clients use by themselves.
	Region string
	// Record receives one entry for each access to data; an access that cannot be recorded is refused. Nil: none.
	Record func(context.Context, Access) error
	// OnChange is called after an object was written or removed through the door. It must not block. Nil: nobody.
	OnChange func(bucket, key string)
	// Now is the clock of keys and files; signatures are checked with the system's. Default time.Now.
	Now func() time.Time
}

// Door is the S3 door.
type Door struct {
	opt     Options
	store   *store
	keys    *keyring
	backend *backendOf
	table   []Operation
	proof   func(method, level string, streams bool) []fiber.Handler // who sent a request
	app     *fiber.App

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
}

// New makes the door; [Door.Serve] opens it. Errors: Internal for missing options, Unavailable for a directory that
// cannot be used, Invalid or Corrupt for a bad key file.
func New(opt Options) (*Door, error) {
	if opt.Dir == "" || opt.KeyFile == "" || opt.Authenticator == nil || opt.Authorizer == nil || opt.TLS == nil {
		return nil, fault.New(fault.Internal, "s3.New", "Dir, KeyFile, Authenticator, Authorizer and TLS are required")
	}
	if opt.Region == "" {
		opt.Region = "us-east-1"
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.OnChange == nil {
		opt.OnChange = func(string, string) {}
	}
	keys, err := newKeyring(opt.KeyFile, opt.Authenticator, opt.Now)
	if err != nil {
		return nil, err
	}
	files, err := newStore(opt.Dir, opt.Now, opt.OnChange)
	if err != nil {
		return nil, err
	}
	d := &Door{opt: opt, store: files, keys: keys}
	d.backend = &backendOf{door: d}
	// versitygw wants a root account. Nobody knows this one's secret, and its name is not one that keys can have.
	root := middlewares.RootUserConfig{Access: "nobody-" + rand.Text(), Secret: rand.Text() + rand.Text()}
	d.table = d.compile(root, signers{IAMService: auth.NewIAMServiceSingle(auth.Account{}), keys: keys})
	d.app = d.routes(root)
	return d, nil
}

func (d *Door) routes(root middlewares.RootUserConfig) *fiber.App {
	app := fiber.New(fiber.Config{
		AppName: "fathom", ServerHeader: "fathom", StreamRequestBody: true, Immutable: true, CaseSensitive: true,
		Concurrency: connections, ReadBufferSize: maxHeader, IdleTimeout: 2 * time.Minute, ErrorHandler: unexpected,
	})
	app.Use(recover.New())
	app.Use(middlewares.DrainRequestBody(), finish, middlewares.RequestIDs(), clean, middlewares.SetDefaultValues(root, d.opt.Region),
		controllers.WrapMiddleware(middlewares.DecodeURL, nil, nil))
	app.All("/", d.dispatch("service"))
	app.All("/:bucket", d.dispatch("bucket"))
	app.All("/:bucket/*", d.dispatch("object"))
	return app
}

// unexpected answers to requests that did not reach an operation, and to panics.
func unexpected(c fiber.Ctx, err error) error {
	if errors.Is(err, fiber.ErrRequestHeaderFieldsTooLarge) {
		return fail(c, s3err.GetRequestHeaderSectionTooLargeErr(maxHeader))
	}
	var known *fiber.Error
	if errors.As(err, &known) && known.Code < http.StatusInternalServerError {
		return fail(c, s3err.APIError{Code: "BadRequest", Description: "The request is not valid.", HTTPStatusCode: known.Code})
	}
	return fail(c, s3err.GetAPIError(s3err.ErrInternalError))
}

// Serve answers requests on the listener, over TLS, until [Door.Close] or until the context ends.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	config := d.opt.TLS.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{"http/1.1"}
	if !d.keep(l) {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = d.Close() })
	defer stop()
	err := d.app.Listener(tls.NewListener(patient{l}, config), fiber.ListenConfig{DisableStartupMessage: true})
	if err != nil && strings.Contains(err.Error(), "closed") {
		err = nil
	}
	return fault.Wrap(fault.Unavailable, "s3.Serve", err)
}

// Close stops serving, gives running requests ten seconds, and closes the files. It may be called more than once.
func (d *Door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	err := d.app.ShutdownWithTimeout(10 * time.Second)
	if errors.Is(err, fiber.ErrNotRunning) {
		err = nil
	}
	for _, l := range d.listeners {
		_ = l.Close() // closed already, unless Serve is only about to begin
	}
	return errors.Join(err, d.store.close())
}

// keep notes the listener for Close; it closes it at once when the door is closed already.
func (d *Door) keep(l net.Listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = l.Close()
		return false
	}
	d.listeners = append(d.listeners, l)
	return true
}
