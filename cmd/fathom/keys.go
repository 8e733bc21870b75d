// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fathom.dev/fathom/internal/fault"
)

const (
	keysLife   = "1h"        // the door gives keys for no longer
	keysRegion = "us-east-1" // clients want one; the door has no others
)

// s3Keys are what `credential_process` of the AWS command line and SDKs reads, and where the keys work.
type s3Keys struct {
	Version         int       `json:"Version"` // of the format: 1
	AccessKeyID     string    `json:"AccessKeyId" xml:"AccessKeyId"`
	SecretAccessKey string    `json:"SecretAccessKey"`
	SessionToken    string    `json:"SessionToken"`
	Expiration      time.Time `json:"Expiration"`
	Endpoint        string    `json:"Endpoint" xml:"-"`
	Region          string    `json:"Region" xml:"-"`
}

func newKeys(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Print S3 keys that act as you for an hour, for boto3, the AWS command line, rclone and other S3 clients",
		Long: "Print S3 keys that act as you for an hour, as settings for the shell. A workspace is a bucket of the same name.\n" +
			"With -o json they are what credential_process in ~/.aws/config expects, so that clients renew them by themselves.",
		Example: "  fathom keys\n  eval \"$(fathom keys)\"; aws s3 ls s3://neurology/inbox/\n" +
			"  credential_process = fathom keys -o json    # in ~/.aws/config",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.connect(cmd.Context())
			if err != nil {
				return err
			}
			keys, err := c.keys(cmd.Context())
			if err != nil {
				return err
			}
			lines := []string{
				"export AWS_ENDPOINT_URL_S3=" + keys.Endpoint, "export AWS_REGION=" + keys.Region,
				"export AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "export AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey,
				"export AWS_SESSION_TOKEN=" + keys.SessionToken,
			}
			if authority := filepath.Join(g.state, "pki", "ca.crt"); readable(authority) {
				lines = append(lines, "export AWS_CA_BUNDLE="+quoted(authority))
			}
			return g.printed(cmd.OutOrStdout(), keys, "%s", strings.Join(lines, "\n"))
		},
	}
}

func readable(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// quoted is the text as one word of a POSIX shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// keys exchanges a token of one's own for keys, as pods do with theirs: STS' AssumeRoleWithWebIdentity.
func (c *connection) keys(ctx context.Context) (s3Keys, error) {
	var token struct {
		Token string `json:"token"`
	}
	if err := c.ask(ctx, http.MethodPost, "/registry/token?life="+keysLife, nil, &token); err != nil {
		return s3Keys{}, err
	}
	if c.objects == "" {
		return s3Keys{}, fault.New(fault.Unavailable, "keys", "this Fathom does not say where its S3 door is").WithHint("start it again")
	}
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/oneself"},
		"RoleSessionName": {"fathom"}, "WebIdentityToken": {token.Token},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.objects+"/", strings.NewReader(form.Encode()))
	if err != nil {
		return s3Keys{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := c.http.Do(r)
	if err != nil {
		return s3Keys{}, unreachable(c.objects, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return s3Keys{}, unreachable(c.objects, err)
	}
	var given struct {
		Keys    s3Keys `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
		Message string `xml:"Error>Message"`
	}
	if err := xml.Unmarshal(text, &given); err != nil {
		return s3Keys{}, fmt.Errorf("answer of %s: %w", c.objects, err)
	}
	if answer.StatusCode != http.StatusOK {
		return s3Keys{}, fault.New(fault.Forbidden, "keys", "the S3 door gives none: %s", given.Message)
	}
	given.Keys.Version, given.Keys.Endpoint, given.Keys.Region = 1, c.objects, keysRegion
	return given.Keys, nil
}
