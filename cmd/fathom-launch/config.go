// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
	"time"
)

// config is where everything is. Folders are absolute paths.
type config struct {
	url, tokenFile, caFile                  string
	code, inputs, output, checkpoints       string
	secret                                  string
	params, progress, termination, hostfile string
	loopback                                bool          // ranks are processes that share one address
	scan                                    time.Duration // how often progress and checkpoints are looked at
	patience                                time.Duration // how long a request is retried
}

func configFrom(getenv func(string) string) (config, error) {
	root := or(getenv("FATHOM_ROOT"), "/fathom")
	below := func(name, file string) string { return or(getenv(name), filepath.Join(root, file)) }
	c := config{
		url: getenv("FATHOM_RUN_URL"), tokenFile: getenv("FATHOM_TOKEN_FILE"), caFile: getenv("FATHOM_CA_FILE"),
		code: below("FATHOM_CODE", "code"), inputs: below("FATHOM_INPUTS", "inputs"),
		output: below("FATHOM_OUTPUT", "output"), checkpoints: below("FATHOM_CHECKPOINTS", "checkpoints"),
		params: below("FATHOM_PARAMS", "params.json"), progress: below("FATHOM_PROGRESS", "progress"),
		termination: below("FATHOM_TERMINATION", "termination.json"), hostfile: below("FATHOM_HOSTFILE", "hostfile"),
		secret: below("FATHOM_SECRET", "secret"), loopback: getenv("FATHOM_ISOLATION") == "process",
		scan: time.Second, patience: 2 * time.Minute,
	}
	for name, value := range map[string]string{"FATHOM_RUN_URL": c.url, "FATHOM_TOKEN_FILE": c.tokenFile} {
		if value == "" {
			return c, fmt.Errorf("%s is not set: fathom-launch runs only inside a run's pod", name)
		}
	}
	return c, nil
}

// environment tells the command where everything is; it repeats what the pod says, or fills it in.
func (c config) environment() map[string]string {
	return map[string]string{
		"FATHOM_CODE": c.code, "FATHOM_INPUTS": c.inputs, "FATHOM_OUTPUT": c.output, "FATHOM_CHECKPOINTS": c.checkpoints,
		"FATHOM_PARAMS": c.params, "FATHOM_PROGRESS": c.progress, "FATHOM_TERMINATION": c.termination,
		"FATHOM_HOSTFILE": c.hostfile,
	}
}

func or(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}
