// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"fathom.dev/fathom/api/v1alpha1"
	"fathom.dev/fathom/internal/fault"
)

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // only maps of plain values are passed
		panic(err)
	}
	return string(b)
}

func newPromote(g *global) *cobra.Command {
	return decision(g, "promote", "approve", "Approve a model version that keeps the rules and awaits approval")
}

func newRollback(g *global) *cobra.Command {
	return decision(g, "rollback", "rollback", "Put an earlier model version back into production")
}

func decision(g *global, verb, action, short string) *cobra.Command {
	var version int64
	cmd := &cobra.Command{
		Use:     verb + " MODEL",
		Short:   short,
		Example: fmt.Sprintf("  fathom %s parkinsons\n  fathom %s parkinsons --version 1", verb, verb),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			var answer struct {
				Version int64  `json:"version"`
				By      string `json:"by"`
			}
			body := map[string]any{"action": action, "version": version}
			if err := c.ask(cmd.Context(), "POST", c.path("/models/%s/promotion", url.PathEscape(args[0])), body, &answer); err != nil {
				return err
			}
			if g.forPrograms() {
				return g.encode(cmd.OutOrStdout(), answer)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s of model %s: version %d, by %s\n", action, args[0], answer.Version, answer.By)
			return nil
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "version (default: the one it must be about)")
	return cmd
}

func newReplay(g *global) *cobra.Command {
	var version int64
	cmd := &cobra.Command{
		Use:     "replay KIND NAME",
		Short:   "Make a version again and compare: bytes for datasets, metrics for models",
		Example: "  fathom replay dataset cohort\n  fathom replay model parkinsons --version 1",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := kindOf(args[0])
			if err == nil && kind != "Dataset" && kind != "Model" {
				err = fault.New(fault.Invalid, "kind", "only datasets and models are made in versions that can be replayed")
			}
			if err != nil {
				return err
			}
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			query := ""
			if version > 0 {
				query = fmt.Sprintf("?version=%d", version)
			}
			var answer struct {
				Same    bool   `json:"same"`
				Version int64  `json:"version"`
				Message string `json:"message"`
			}
			path := c.path("/%ss/%s/replay%s", strings.ToLower(kind), url.PathEscape(args[1]), query)
			if err := c.ask(cmd.Context(), "POST", path, nil, &answer); err != nil {
				return err
			}
			if g.forPrograms() {
				err = g.encode(cmd.OutOrStdout(), answer)
			} else {
				fmt.Fprintln(cmd.OutOrStdout(), answer.Message)
			}
			if err == nil && !answer.Same {
				return exit(1)
			}
			return err
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "version (default: the current one)")
	return cmd
}

func newPredict(g *global) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "predict ENDPOINT",
		Short: "Ask an endpoint, with features and their values",
		Long: "Ask an endpoint. The question is a JSON object of features and values, or an Open Inference request; without one, the first example of the " +
			"model's own evaluation.",
		Example: "  fathom predict parkinsons                      # the example of the model's own evaluation\n  fathom predict parkinsons -d '{\"jitter\": 0.01, \"shimmer\": 0.3}'\n  fathom predict parkinsons -d @request.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.in(cmd.Context())
			if err != nil {
				return err
			}
			var e v1alpha1.Endpoint
			if err := c.client.Get(cmd.Context(), types.NamespacedName{Namespace: c.workspace, Name: args[0]}, &e); err != nil {
				return fromAPI(err)
			}
			request, err := predictRequest(cmd, c, e.Spec.Model, data)
			if err != nil {
				return err
			}
			path := fmt.Sprintf("/endpoints/%s/%s/v2/models/%s/infer", c.workspace, e.Name, e.Spec.Model)
			body, err := c.call(cmd.Context(), "POST", path, strings.NewReader(request))
			if fault.Is(err, fault.Invalid) {
				return fault.New(fault.Invalid, "endpoint "+e.Name, "%w", err).WithHint("`fathom predict %s` alone asks with an example and shows it", e.Name)
			} else if err != nil {
				return err
			}
			defer body.Close()
			answer, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			if g.forPrograms() {
				_, err = cmd.OutOrStdout().Write(answer)
				return err
			}
			return printPrediction(cmd.OutOrStdout(), request, answer)
		},
	}
	cmd.Flags().StringVarP(&data, "data", "d", "", "JSON, or @FILE")
	return cmd
}

// predictRequest turns what a person gave into an Open Inference v2 request.
func predictRequest(cmd *cobra.Command, c *connection, model, data string) (string, error) {
	if file, ok := strings.CutPrefix(data, "@"); ok {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fault.New(fault.NotFound, "predict", "there is no file %s", file)
		} else if err != nil {
			return "", err
		}
		data = string(content)
	}
	row := map[string]any{}
	if data == "" {
		var evaluation struct {
			Examples []struct {
				Inputs map[string]any `json:"inputs"`
			} `json:"examples"`
		}
		if err := c.ask(cmd.Context(), "GET", c.path("/models/%s/evaluation", model), nil, &evaluation); err != nil {
			return "", err
		}
		if len(evaluation.Examples) == 0 {
			return "", fault.New(fault.NotFound, "predict", "the model's evaluation holds no example").WithHint("give one with -d")
		}
		row = evaluation.Examples[0].Inputs
	} else if err := json.Unmarshal([]byte(data), &row); err != nil {
		return "", fault.New(fault.Invalid, "data", "what -d gives is not JSON: %v", err).
			WithHint("for example -d '{\"age\": 44}', in single quotes so that the shell leaves it alone, or -d @FILE")
	}
	if _, ready := row["inputs"]; ready {
		return data, nil
	}
	var inputs []map[string]any
	for _, name := range slices.Sorted(maps.Keys(row)) { // the same question reads the same
		value, datatype := row[name], "FP64"
		if _, text := value.(string); text {
			datatype = "BYTES"
		}
		inputs = append(inputs, map[string]any{"name": name, "shape": []int{1, 1}, "datatype": datatype, "data": []any{value}})
	}
	return mustJSON(map[string]any{"inputs": inputs}), nil
}

func printPrediction(w io.Writer, request string, answer []byte) error {
	var out struct {
		ModelVersion string `json:"model_version"`
		Outputs      []struct {
			Name string `json:"name"`
			Data []any  `json:"data"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	var in struct {
		Inputs []struct {
			Name string `json:"name"`
			Data []any  `json:"data"`
		} `json:"inputs"`
	}
	if json.Unmarshal([]byte(request), &in) == nil {
		var parts []string
		for _, i := range in.Inputs {
			if len(i.Data) == 1 {
				parts = append(parts, fmt.Sprintf("%s=%v", i.Name, i.Data[0]))
			}
		}
		fmt.Fprintf(w, "asked    %s\n", strings.Join(parts, " "))
	}
	for _, o := range out.Outputs {
		fmt.Fprintf(w, "answered %s = %v\n", o.Name, o.Data)
	}
	fmt.Fprintf(w, "by       version %s\n", out.ModelVersion)
	return nil
}
