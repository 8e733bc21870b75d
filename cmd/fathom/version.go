// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
)

// versions of all that takes part; empty where nothing answers.
type versions struct {
	Client     string `json:"client"`
	Commit     string `json:"commit,omitempty"`
	Go         string `json:"go"`
	Server     string `json:"server,omitempty"`
	Kubernetes string `json:"kubernetes,omitempty"`
	Address    string `json:"address,omitempty"`
	Trouble    string `json:"trouble,omitempty"` // why the server's versions are missing
}

func newVersion(g *global) *cobra.Command {
	var local bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Tell the versions of this program, the server and Kubernetes",
		Example: "  fathom version\n  fathom version --client",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{Client: version, Commit: commit(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
			if !local {
				g.ask(cmd, &v)
			}
			if g.forPrograms() {
				return g.encode(cmd.OutOrStdout(), v)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "client      %s", v.Client)
			if v.Commit != "" {
				fmt.Fprintf(out, ", commit %s", v.Commit)
			}
			fmt.Fprintf(out, ", %s\n", v.Go)
			switch {
			case v.Trouble != "":
				fmt.Fprintf(out, "server      not asked: %s\n", v.Trouble)
			case !local:
				fmt.Fprintf(out, "server      %s at %s\nkubernetes  %s\n", v.Server, v.Address, v.Kubernetes)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&local, "client", false, "ask no server")
	return cmd
}

// ask fills in what the server says. That there is none is no error: the client's version is told all the same.
func (g *global) ask(cmd *cobra.Command, v *versions) {
	config, _, err := g.restConfig()
	if err != nil {
		v.Trouble = err.Error()
		return
	}
	v.Address = config.Host
	c, err := g.connect(cmd.Context())
	if err != nil {
		v.Trouble = err.Error()
		return
	}
	var where corev1.ConfigMap
	if err := c.client.Get(cmd.Context(), types.NamespacedName{Namespace: "fathom-system", Name: "fathom-doors"}, &where); err == nil {
		v.Server = where.Data["version"]
	}
	if v.Server == "" {
		v.Server = "of unknown version"
	}
	if d, err := discovery.NewDiscoveryClientForConfig(config); err == nil {
		if k, err := d.ServerVersion(); err == nil {
			v.Kubernetes = k.GitVersion
		}
	}
}

// commit is the revision that the program was built from, as far as Go noted it.
func commit() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) > 12 {
			return s.Value[:12]
		}
	}
	return ""
}
