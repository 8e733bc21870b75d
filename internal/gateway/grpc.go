// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/identity"
	"fathom.dev/fathom/internal/oip"
	"fathom.dev/fathom/internal/oip/oippb"
)

// GRPCPrefix is where the routes of the protocol's gRPC form begin: the service is one for all endpoints.
const GRPCPrefix = "/" + oippb.Service + "/"

// EndpointHeader is the gRPC metadata that names the endpoint: "<workspace>/<endpoint>".
const EndpointHeader = "X-Fathom-Endpoint"

// grpcFrame is what stands before a message: whether it is compressed, and its length.
const grpcFrame = 5

// grpcRoutes serve the six calls. A call is one HTTP/2 request with one message, so the routes are guarded as all others are.
func (g *gateway) grpcRoutes() []identity.Route {
	methods := []struct {
		name, verb string
		answer     func(*http.Request, *exchange) (proto.Message, error)
	}{
		{"ServerLive", "get", g.grpcLive}, {"ServerReady", "get", g.grpcReady}, {"ModelReady", "get", g.grpcModelReady},
		{"ServerMetadata", "get", g.grpcServer}, {"ModelMetadata", "get", g.grpcModel}, {"ModelInfer", "create", g.grpcInfer},
	}
	routes := make([]identity.Route, len(methods))
	for i, m := range methods {
		routes[i] = identity.Route{Pattern: "POST " + GRPCPrefix + m.name, Action: grpcAction(m.verb), Handler: g.grpc(m.answer)}
	}
	return routes
}

func grpcAction(verb string) func(*http.Request) (identity.Action, error) {
	return func(r *http.Request) (identity.Action, error) {
		if !isGRPC(r) {
			return identity.Action{}, fault.New(fault.Invalid, "", "this is a gRPC method: call it with HTTP/2 and Content-Type application/grpc")
		}
		if err := nameEndpoint(r); err != nil {
			return identity.Action{}, err
		}
		return action(verb)(r)
	}
}

// nameEndpoint reads the endpoint from the call's metadata.
func nameEndpoint(r *http.Request) error {
	named := r.Header[EndpointHeader]
	if len(named) != 1 {
		return fault.New(fault.Invalid, "", "the call does not name one endpoint").
			WithHint("send the metadata %s: <workspace>/<endpoint>", strings.ToLower(EndpointHeader))
	}
	workspace, name, _ := strings.Cut(named[0], "/")
	r.SetPathValue("workspace", workspace)
	r.SetPathValue("endpoint", name)
	return nil
}

// isGRPC says whether the caller expects an answer of gRPC.
func isGRPC(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return r.ProtoMajor == 2 && (kind == "application/grpc" || kind == "application/grpc+proto")
}

// grpc answers a call.
func (g *gateway) grpc(answer func(*http.Request, *exchange) (proto.Message, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := g.Now()
		ctx, cancel, err := grpcDeadline(r)
		if err != nil {
			fail(w, r, err)
			return
		}
		defer cancel()
		r = r.WithContext(ctx)
		x, err := g.exchange(r)
		if err != nil {
			fail(w, r, err)
			return
		}
		defer x.over()
		free, err := g.read(r, x)
		if err != nil {
			fail(w, r, err)
			return
		}
		defer free()
		if len(x.body) > 0 && x.body[0] == 1 { // as gRPC's rules of compression have it
			w.Header().Set("Grpc-Accept-Encoding", "identity")
			w.Header().Set("Content-Type", "application/grpc")
			grpcStatus(w.Header(), "", codes.Unimplemented, "compressed messages are not read: send it uncompressed")
			return
		}
		message, err := answer(r, x)
		if strings.HasSuffix(r.URL.Path, "/ModelInfer") {
			defer g.grpcDone(w, r, x, err, start)
		}
		w.Header().Set(RequestHeader, x.id)
		if err != nil {
			fail(w, r, err)
			return
		}
		writeGRPC(w, message)
	}
}

// grpcDone counts a prediction and keeps it.
func (g *gateway) grpcDone(w http.ResponseWriter, r *http.Request, x *exchange, err error, start time.Time) {
	if err == nil {
		x.pool.use.done(x.slot.target.Version, x.status, g.Now().Sub(start))
		g.keep(r.Context(), w, x, start)
		return
	}
	x.pool.use.done(x.slot.target.Version, code(r.Context(), err), g.Now().Sub(start))
}

// grpcDeadline reads the header grpc-timeout: at most 8 digits and a unit.
func grpcDeadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	text := r.Header.Get("Grpc-Timeout")
	if text == "" {
		return r.Context(), func() {}, nil
	}
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	unit := units[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil || unit == 0 || len(text) > 9 {
		return nil, nil, fault.New(fault.Invalid, "", "grpc-timeout is no time")
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(min(n, uint64(24*time.Hour/unit)))*unit)
	return ctx, cancel, nil
}

// unframe takes the one message out of a call's body.
func unframe(body []byte, into proto.Message) error {
	if len(body) < grpcFrame || body[0] != 0 || uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-grpcFrame) {
		return fault.New(fault.Invalid, "", "the call must have exactly one message")
	}
	if proto.Unmarshal(body[grpcFrame:], into) != nil {
		return fault.New(fault.Invalid, "", "the message cannot be read")
	}
	return nil
}

func writeGRPC(w http.ResponseWriter, message proto.Message) {
	body, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, grpcFrame, 512), message)
	if err != nil { // unreachable: what we send is valid UTF-8
		grpcStatus(w.Header(), "", codes.Internal, "internal error")
		return
	}
	binary.BigEndian.PutUint32(body[1:], uint32(len(body)-grpcFrame))
	w.Header().Set("Content-Type", "application/grpc")
	_, _ = w.Write(body) // nobody is left to tell
	grpcStatus(w.Header(), http.TrailerPrefix, codes.OK, "")
}

// grpcStatus sets how a call ended, in the trailer or, when nothing else is sent, in the header.
func grpcStatus(header http.Header, prefix string, c codes.Code, message string) {
	header.Set(prefix+"Grpc-Status", strconv.Itoa(int(c)))
	if message != "" {
		header.Set(prefix+"Grpc-Message", strings.ReplaceAll(url.QueryEscape(message), "+", "%20"))
	}
}

// grpcCode is gRPC's word for a kind of error.
func grpcCode(kind fault.Kind) codes.Code {
	switch kind {
	case fault.Invalid:
		return codes.InvalidArgument
	case fault.NotFound:
		return codes.NotFound
	case fault.Unauthenticated:
		return codes.Unauthenticated
	case fault.Forbidden:
		return codes.PermissionDenied
	case fault.TooLarge, fault.Exhausted:
		return codes.ResourceExhausted
	case fault.Unavailable:
		return codes.Unavailable
	case fault.Conflict:
		return codes.Aborted
	}
	return codes.Internal
}

func (g *gateway) grpcLive(*http.Request, *exchange) (proto.Message, error) {
	return &oippb.ServerLiveResponse{Live: true}, nil
}

func (g *gateway) grpcReady(_ *http.Request, x *exchange) (proto.Message, error) {
	target, found := g.Backends(x.name)
	return &oippb.ServerReadyResponse{Ready: found && len(target.Addresses) > 0}, nil
}

func (g *gateway) grpcModelReady(r *http.Request, x *exchange) (proto.Message, error) {
	var q oippb.ModelReadyRequest
	if err := unframe(x.body, &q); err != nil {
		return nil, err
	}
	target, found := g.Backends(x.name)
	if !found || len(target.Addresses) == 0 {
		return &oippb.ModelReadyResponse{}, nil
	}
	err := g.inquire(r.Context(), x, modelPath(q.GetName(), q.GetVersion())+"/ready", nil)
	if fault.Is(err, fault.Unavailable) {
		return &oippb.ModelReadyResponse{}, nil
	}
	return &oippb.ModelReadyResponse{Ready: err == nil}, err
}

func (g *gateway) grpcServer(r *http.Request, x *exchange) (proto.Message, error) {
	var m oip.ServerMetadata
	err := g.inquire(r.Context(), x, "/v2", &m)
	return &oippb.ServerMetadataResponse{Name: m.Name, Version: m.Version, Extensions: m.Extensions}, err
}

func (g *gateway) grpcModel(r *http.Request, x *exchange) (proto.Message, error) {
	var q oippb.ModelMetadataRequest
	if err := unframe(x.body, &q); err != nil {
		return nil, err
	}
	var m oip.Metadata
	err := g.inquire(r.Context(), x, modelPath(q.GetName(), q.GetVersion()), &m)
	return oippb.Metadata(m), err
}

func (g *gateway) grpcInfer(r *http.Request, x *exchange) (proto.Message, error) {
	var q oippb.ModelInferRequest
	if err := unframe(x.body, &q); err != nil {
		return nil, err
	}
	message, header, err := oippb.Request(&q)
	if err != nil {
		return nil, err
	}
	x.body, x.path = message, modelPath(q.GetModelName(), q.GetModelVersion())+"/infer"
	if err := identity.CleanPath(x.path); err != nil {
		return nil, err
	}
	x.head = http.Header{oip.HeaderLength: {strconv.Itoa(header)}, "Content-Type": {"application/octet-stream"}}
	if err := g.deliver(r.Context(), x); err != nil {
		return nil, err
	}
	if err := g.whole(x); err != nil {
		return nil, err
	}
	answer, err := oip.ReadResponse(x.answer, x.json, oip.Limits{})
	if err != nil {
		return nil, fault.New(fault.Internal, "gateway", "a replica's answer: %v", err)
	}
	return oippb.Response(answer), nil
}

func modelPath(name, version string) string {
	path := "/v2/models/" + name
	if version != "" {
		path += "/versions/" + version
	}
	return path
}

// inquire asks a replica for a document.
func (g *gateway) inquire(ctx context.Context, x *exchange, path string, into any) error {
	x.verb, x.path, x.body, x.head = http.MethodGet, path, nil, nil
	if err := identity.CleanPath(path); err != nil {
		return err
	}
	if err := g.deliver(ctx, x); err != nil {
		return err
	}
	if err := g.whole(x); err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(x.answer, into); err != nil {
		return fault.New(fault.Internal, "gateway", "a replica's metadata: %v", err)
	}
	return nil
}

// whole turns a replica's refusal into an error, and takes what is left of a long answer.
func (g *gateway) whole(x *exchange) error {
	if x.rest != nil {
		long := bytes.NewBuffer(x.answer)
		_, err := long.ReadFrom(x.rest)
		_ = x.rest.Close()
		if err != nil {
			return fault.New(fault.Unavailable, "", "the replicas of endpoint %s break their connections", x.name)
		}
		x.answer, x.rest = long.Bytes(), nil
	}
	if x.status == http.StatusOK {
		return nil
	}
	var told struct{ Error string }
	if json.Unmarshal(x.answer, &told) != nil || told.Error == "" {
		told.Error = fmt.Sprintf("the model server answers %d", x.status)
	}
	return fault.New(kindOf(x.status), "", "%s", told.Error)
}

// kindOf is the kind of error that a model server's status stands for.
func kindOf(status int) fault.Kind {
	for _, kind := range []fault.Kind{fault.Invalid, fault.NotFound, fault.TooLarge, fault.Exhausted, fault.Unavailable} {
		if fault.HTTPStatus(kind) == status {
			return kind
		}
	}
	return fault.Internal
}
