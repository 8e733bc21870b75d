// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"strings"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/ref"
)

// inbox is the folder of raw files as they came from the clinic: identified data.
const inbox = "inbox"

// Access is one decision, for the audit log.
type Access struct {
	User     identity.User
	Action   identity.Action
	Bucket   string
	Key      string // or the prefix of a listing
	Remote   string // the caller's address
	Decision error  // nil: allowed
}

// caller is who signed the request. Decisions are taken in contexts of their own: fasthttp uses the request's context
// again for another request, while a question to the API server may still hold it.
type caller struct {
	user   identity.User
	remote string
}

type callerKey struct{}

// touch asks whether the caller may do this to this key, and records the answer. Every method of the storage that
// versitygw can reach begins with it.
func (d *Door) touch(ctx context.Context, verb, bucket, key string) error {
	who, _ := ctx.Value(callerKey{}).(caller)
	err := d.decide(who, verb, bucket, key)
	if failed := d.recorded(who, verb, bucket, key, err); failed != nil {
		return failed
	}
	return err
}

// recorded writes the decision down. Its error means that the access must not happen.
func (d *Door) recorded(who caller, verb, bucket, key string, decision error) error {
	if d.opt.Record == nil {
		return nil
	}
	action := identity.Action{Verb: verb, Group: identity.Group, Resource: "workspaces", Subresource: "objects", Namespace: bucket, Data: true}
	access := Access{User: who.user, Action: action, Bucket: bucket, Key: key, Remote: who.remote, Decision: decision}
	if err := d.opt.Record(context.Background(), access); err != nil {
		return fault.New(fault.Unavailable, "audit", "the access could not be recorded: %v", err)
	}
	return nil
}

// decide is touch without a record: for steps of one access that is recorded as a whole.
func (d *Door) decide(who caller, verb, bucket, key string) error {
	if who.user.Name == "" {
		return fault.New(fault.Unauthenticated, "authorize", "nobody signed this request")
	}
	if !ref.IsLabel(bucket) {
		return fault.New(fault.Forbidden, "authorize", "there is no bucket %q for you", bucket)
	}
	for _, action := range wanted(verb, bucket, key) {
		if err := d.opt.Authorizer.Authorize(context.Background(), who.user, action); err != nil {
			return err
		}
	}
	return nil
}

// wanted maps an access to what the API server is asked.
func wanted(verb, bucket, key string) []identity.Action {
	actions := []identity.Action{{Verb: verb, Group: identity.Group, Resource: "workspaces", Subresource: "objects", Namespace: bucket}}
	if verb == "get" && identified(key) {
		actions = append(actions, identity.Action{Verb: "get", Group: identity.Group, Resource: "datasets", Subresource: "identified", Namespace: bucket})
	}
	return actions
}

// identified reports whether the key lies in the inbox, however a file system without cases would write that.
func identified(key string) bool {
	first, _, _ := strings.Cut(key, "/")
	return strings.EqualFold(first, inbox)
}
