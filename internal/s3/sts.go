// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/utils"

	"fathom.dev/fathom/internal/fault"
)

const maxForm = 64 << 10

type stsCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type stsResponse struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Result  struct {
		Credentials                 stsCredentials
		SubjectFromWebIdentityToken string
		AssumedRoleUser             struct {
			Arn           string
			AssumedRoleID string `xml:"AssumedRoleId"`
		}
		Provider string
	} `xml:"AssumeRoleWithWebIdentityResult"`
	Metadata stsMetadata `xml:"ResponseMetadata"`
}

type stsMetadata struct {
	RequestID string `xml:"RequestId"`
}

type stsError struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Error   struct {
		Type, Code, Message string
	}
	RequestID string `xml:"RequestId"`
}

// assumeRole is STS' AssumeRoleWithWebIdentity, the one call that needs no signature: a pod shows its token and gets
// keys that act as the pod's service account. The role's name is not looked at: there is one role, being oneself.
func (d *Door) assumeRole(c fiber.Ctx) error {
	form, err := stsForm(c)
	if err != nil {
		return stsFail(c, err)
	}
	ttl, err := stsTTL(form.Get("DurationSeconds"))
	if err != nil {
		return stsFail(c, err)
	}
	token := form.Get("WebIdentityToken")
	user, err := d.opt.Authenticator.Authenticate(context.Background(), token)
	if err != nil {
		return stsFail(c, err)
	}
	if end, ok := tokenEnd(token); ok {
		ttl = min(ttl, end.Sub(d.opt.Now()))
	}
	if ttl <= 0 {
		return stsFail(c, fault.New(fault.Unauthenticated, "sts", "the token has expired"))
	}
	keys, err := d.keys.issue(sealed{Token: token}, ttl)
	if err != nil {
		return stsFail(c, err)
	}
	var out stsResponse
	out.Metadata.RequestID, _ = utils.EnsureRequestIDs(c)
	out.Result.SubjectFromWebIdentityToken = user.Name
	out.Result.Provider = "kubernetes"
	out.Result.AssumedRoleUser.Arn = form.Get("RoleArn")
	out.Result.AssumedRoleUser.AssumedRoleID = keys.AccessKeyID + ":" + form.Get("RoleSessionName")
	out.Result.Credentials = stsCredentials{keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken, keys.Expires.UTC().Format(time.RFC3339)}
	return stsSend(c, http.StatusOK, out)
}

// stsForm reads the form. Restrictions that would not be honoured (Policy, PolicyArns) are refused.
func stsForm(c fiber.Ctx) (url.Values, error) {
	if n := c.Request().Header.ContentLength(); n < 0 || n > maxForm {
		return nil, fault.New(fault.Invalid, "sts", "the form must have a length of at most %d bytes", maxForm)
	}
	form, err := url.ParseQuery(string(c.BodyRaw()))
	if err != nil {
		return nil, fault.New(fault.Invalid, "sts", "the body is not a form")
	}
	if form.Get("Action") != "AssumeRoleWithWebIdentity" {
		return nil, fault.New(fault.Invalid, "sts", "only AssumeRoleWithWebIdentity is served here")
	}
	for name := range form {
		if strings.HasPrefix(name, "Policy") {
			return nil, fault.New(fault.Invalid, "sts", "session policies are not supported")
		}
	}
	return form, nil
}

func stsTTL(seconds string) (time.Duration, error) {
	if seconds == "" {
		return maxPodTTL, nil
	}
	n, err := strconv.Atoi(seconds)
	if err != nil || n < int(minTTL/time.Second) {
		return 0, fault.New(fault.Invalid, "sts", "DurationSeconds must be a number of at least %d", int(minTTL/time.Second))
	}
	return min(time.Duration(min(n, 1<<20))*time.Second, maxPodTTL), nil
}

// tokenEnd reads when a token that was already found valid will end.
func tokenEnd(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(b, &claims) != nil || claims.Exp <= 0 {
		return time.Time{}, false
	}
	return time.Unix(claims.Exp, 0), true
}

func stsFail(c fiber.Ctx, err error) error {
	var out stsError
	out.RequestID, _ = utils.EnsureRequestIDs(c)
	out.Error.Type, out.Error.Code, out.Error.Message = "Sender", "ValidationError", err.Error()
	status := http.StatusBadRequest
	switch fault.KindOf(err) {
	case fault.Invalid:
	case fault.Unauthenticated:
		out.Error.Code = "InvalidIdentityToken"
	case fault.Forbidden:
		out.Error.Code, status = "AccessDenied", http.StatusForbidden
	default:
		out.Error.Type, out.Error.Code, out.Error.Message = "Receiver", "IDPCommunicationError", "try again later"
		status = http.StatusServiceUnavailable
	}
	return stsSend(c, status, out)
}

func stsSend(c fiber.Ctx, status int, body any) error {
	b, err := xml.Marshal(body)
	if err != nil {
		return fault.Wrap(fault.Internal, "sts", err)
	}
	c.Set("Content-Type", "text/xml")
	c.Set("Cache-Control", "no-store")
	return c.Status(status).Send(append([]byte(xml.Header), b...))
}
